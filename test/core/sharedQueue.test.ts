/** The queue of one process for a lock that several may hold: who asks beside whom, and who stays behind. */
import { assert, describe, it } from "#harness/vitest"
import { Waiter } from "../../src/core/lockQueue.js"
import { LockQueues } from "../../src/core/lockQueues.js"
import { SharedQueue } from "../../src/core/sharedQueue.js"
import type { View } from "../../src/LockRecord.js"

const heldBy = (...ownerIds: ReadonlyArray<string>): View =>
  ({
    ownerId: ownerIds[0],
    holds: ["h"],
    lockId: "l",
    token: 1,
    version: 1,
    holders: ownerIds.map((ownerId) => ({ ownerId }))
  }) as unknown as View

/** Waiters in a queue, in this order, and whom it has woken since that was last asked. */
const waiting = <Name extends string>(kind: string, ...names: ReadonlyArray<Name>) => {
  const queue = new SharedQueue(kind)
  const notified: Array<string> = []
  const all = Object.fromEntries(
    names.map((name) => {
      const waiter = new Waiter(name)
      waiter.signal.notify = () => void notified.push(name)
      assert.isFalse(queue.join(waiter, 0), "whoever comes may ask at once")
      return [name, waiter]
    })
  ) as Record<Name, Waiter>
  const may = () => names.filter((name) => queue.mayGo(all[name])).join("")
  const hinted = () => names.filter((name) => all[name].hinted).join("")
  return { queue, all, may, hinted, notified: () => notified.splice(0).join("") }
}

describe("the queue for a lock that several may hold", () => {
  it("lets all ask, up to and including the first that was refused", () => {
    const { all, may, notified, queue } = waiting("semaphore", "a", "b", "c", "d")
    assert.strictEqual(may(), "abcd")
    queue.held(heldBy("x"), all.c)
    assert.strictEqual(may(), "abc")
    queue.held(heldBy("x"), all.b)
    assert.strictEqual(may(), "ab")
    queue.held(heldBy("x"), all.c)
    assert.strictEqual(may(), "ab", "an answer that comes late changes nothing")
    notified()
    queue.leave(all.a)
    assert.deepStrictEqual([may(), notified()], ["ab", "b"], "the head is told that it is that, and nobody else")
    queue.leave(all.b)
    assert.deepStrictEqual([may(), notified()], ["abcd", "ccd"])
    queue.held(heldBy("x"), all.b)
    assert.strictEqual(may(), "abcd", "who has left keeps nobody behind it")
  })

  it("awaits no turn, and makes no pause: who waits keeps its place in the record", () => {
    const { all, queue } = waiting("semaphore", "a")
    for (let turn = 0; turn < 100; turn++) {
      queue.claimed("a", 10 * turn, 1 + 2 * turn)
      queue.ended("a", 10 * turn + 9)
    }
    assert.strictEqual(queue.takePause(), false)
    queue.held(heldBy("x"), all.a)
    for (let i = 0; i < 5; i++) queue.freed(1_000 + i)
    queue.claimed("a", 1_010, 300)
    queue.ended("a", 1_011)
    assert.strictEqual(queue.due(all.a, 1_012), 1_012)
  })

  it("hints to all that may ask, and to nobody behind them", () => {
    const { all, hinted, notified, queue } = waiting("semaphore", "a", "b", "c")
    queue.held(heldBy("x"), all.b)
    notified()
    queue.hint()
    assert.deepStrictEqual([hinted(), notified()], ["ab", "ab"])
    queue.leave(all.b)
    queue.hint()
    assert.strictEqual(hinted(), "abc")
  })

  it("hints when one of several holds here is over", () => {
    const { hinted, queue } = waiting("semaphore", "a")
    queue.claimed("x", 0, 1)
    queue.claimed("y", 0, 2)
    queue.ended("x", 1)
    assert.strictEqual(hinted(), "a")
  })

  it("lets an owner that reads or writes already pass by, as this process knows or the storage has said last", () => {
    const { all, may, queue } = waiting("readWrite", "a", "b", "c", "d")
    queue.claimed("b", 0, 1)
    queue.held(heldBy("x", "d"), all.a)
    assert.strictEqual(may(), "abd")
    queue.held(heldBy("x", "c"), all.a)
    assert.strictEqual(may(), "abc")
    queue.held(undefined, all.a)
    queue.ended("b", 1)
    assert.strictEqual(may(), "a")
  })

  it("lets nobody pass by for permits, of which an owner may have some and want more", () => {
    const { all, may, queue } = waiting("semaphore", "a", "b", "c")
    queue.claimed("b", 0, 1)
    queue.held(heldBy("x", "c"), all.a)
    assert.strictEqual(may(), "a")
  })
})

describe("the queues of a layer", () => {
  it("tell how many wait in the longest, and which locks seem to be free", () => {
    const queues = new LockQueues()
    assert.strictEqual(queues.longest(), 0)
    const waiters = ["a", "b", "b"].map((key) => {
      const waiter = new Waiter("me")
      queues.of(key).join(waiter, 0)
      return waiter
    })
    queues.of("c").join(new Waiter("me"), 0)
    assert.strictEqual(queues.longest(), 2)
    const free = (now: number, owner = "me") =>
      ["a", "b", "nobody's"].filter((key) => queues.seemsFree(key, owner, now)).join(" ")
    assert.strictEqual(free(0), "nobody's")
    queues.of("a").leave(waiters[0]!)
    assert.strictEqual(free(0), "a nobody's")
    queues.of("a").claimed("me", 0, 1)
    assert.deepStrictEqual([free(0), free(0, "you")], ["a nobody's", "nobody's"])
    queues.of("a").ended("me", 1)
    queues.of("a").awaited(1)
    assert.deepStrictEqual([free(2), free(1_002)], ["nobody's", "a nobody's"], "another process waits for it")
  })
})
