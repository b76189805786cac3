/** The queue of one process for one lock: who may ask, who passes by, and when other processes are let in. */
import { describe, expect, it } from "#harness/vitest"
import { LockQueue, Waiter } from "../../src/core/lockQueue.js"
import { LockQueues } from "../../src/core/lockQueues.js"
import { LinkedList } from "../../src/core/linkedList.js"
import type { LockRecord } from "../../src/LockRecord.js"

const heldBy = (ownerId: string): LockRecord =>
  ({ ownerId, holds: ["h"], lockId: "l", token: 1, version: 1 }) as unknown as LockRecord

/** So many turns, each of `took` ms, by fibers that come again at once. Tells after how many turns each pause was taken. */
const goRound = (queue: LockQueue, fibers: number, turns: number, took: number, hints: "none" | "prompt" | "late") => {
  let now = 0
  let unheard = 0
  const waiting: Array<Waiter> = []
  const come = () => {
    const waiter = new Waiter(`owner ${Math.random()}`, false)
    waiting.push(waiter)
    return queue.join(waiter, now)
  }
  for (let i = 0; i < fibers; i++) come()
  const pauses: Array<number> = []
  const dues: Array<number> = []
  for (let turn = 0; turn < turns; turn++) {
    const head = waiting.shift()!
    expect(queue.mayGo(head)).toBe(true)
    if (queue.takePause(now)) {
      pauses.push(turn)
      now += 20
    }
    dues.push(queue.due(head, now) - now)
    queue.claimed(head.ownerId, now, 1 + 2 * turn)
    queue.leave(head)
    come()
    now += took
    if (hints === "late") for (; unheard > 5; unheard--) queue.freed(now)
    queue.ending(head.ownerId)
    queue.ended(head.ownerId, now)
    unheard++
    if (hints === "prompt") for (; unheard > 0; unheard--) queue.freed(now)
  }
  return { pauses, dues, head: waiting[0]! }
}

describe("the queue", () => {
  it("lets others in each time it has gone round for long enough, not at every eighth turn ever after, and less often while nobody comes", () => {
    const { pauses } = goRound(new LockQueue(), 8, 1000, 1, "none")
    expect(pauses).toEqual([100, 300, 700])
  })

  it("counts long turns: eight of them are a streak", () => {
    const { pauses } = goRound(new LockQueue(), 8, 100, 50, "none")
    expect(pauses).toEqual([9, 18, 27, 43, 75])
  })

  for (const hints of ["prompt", "late"] as const) {
    it(`does not take the hints of its own releases for those of others, however many are under way (${hints})`, () => {
      const { dues } = goRound(new LockQueue(), 8, 1000, 1, hints)
      expect(Math.max(...dues)).toBe(0)
    })
  }

  it("hears others again once one of them has it, though hints of its own releases were lost", () => {
    const queue = new LockQueue()
    const { head } = goRound(queue, 2, 100, 1, "none")
    queue.held(heldBy("theirs"))
    for (let i = 0; i < 5; i++) queue.freed(1000 + 10 * i)
    queue.claimed(head.ownerId, 1050, 300)
    expect(queue.remembers(1050)).toBe(true)
  })

  it("a pause goes on though who was first in queue has left", () => {
    const queue = new LockQueue()
    const [first, second] = [new Waiter("a", false), new Waiter("b", false)]
    queue.join(first, 0)
    queue.join(second, 0)
    queue.pausesUntil = 20
    queue.leave(first)
    expect(queue.mayGo(second)).toBe(true)
    expect(queue.pausesUntil).toBe(20)
    queue.claimed("b", 20, 1)
    expect(queue.pausesUntil).toBe(undefined)
  })

  it("hands on to those who wait, and not to who comes after they have left", () => {
    const queue = new LockQueue()
    // It has met others, so that there is a turn to await.
    const one = new Waiter("one", false)
    queue.join(one, 0)
    queue.held(heldBy("other"))
    for (let i = 0; i < 8; i++) queue.freed(10 * i)
    queue.claimed("one", 80, 1)
    queue.leave(one)
    const two = new Waiter("two", false)
    queue.join(two, 81)
    queue.ending("one")
    queue.ended("one", 82)
    expect(queue.due(two, 82)).toBe(82)
    queue.leave(two)
    const three = new Waiter("three", false)
    expect(queue.join(three, 83)).toBe(true)
    expect(queue.due(three, 83)).toBeGreaterThan(83)
  })

  it("who only tries, and gets it, has not waited in place of those who do", () => {
    const queue = new LockQueue()
    queue.freed(0)
    queue.join(new Waiter("waiter", false), 0)
    queue.held(heldBy("other"))
    queue.claimed("trier", 80, 1)
    expect(queue.remembers(80)).toBe(true)
  })

  it("a reentry that is already in queue passes by when its owner gets the lock, here or by the storage's word", () => {
    const queue = new LockQueue()
    const [first, other, again] = [new Waiter("a"), new Waiter("b", false), new Waiter("a")]
    for (const waiter of [first, other, again]) queue.join(waiter, 0)
    expect(queue.mayGo(again)).toBe(false)
    let rung = false
    const signal = again.signal.notify.bind(again.signal)
    again.signal.notify = () => {
      rung = true
      signal()
    }
    queue.claimed("a", 0, 1)
    queue.leave(first)
    expect(rung).toBe(true)
    expect([queue.mayGo(other), queue.mayGo(again)]).toEqual([false, true])

    rung = false
    queue.ending("a")
    queue.ended("a", 1)
    expect([queue.mayGo(other), queue.mayGo(again)]).toEqual([true, false])
    queue.held(heldBy("a"))
    expect(rung).toBe(true)
    expect(queue.mayGo(again)).toBe(true)
    rung = again.hinted = false
    queue.hint()
    expect([rung, again.hinted, other.hinted]).toEqual([true, true, true])
  })

  it("an empty queue is forgotten, and with it the owners it knew", () => {
    const queues = new LockQueues()
    for (let i = 0; i < 3000; i++) {
      const queue = queues.of(`lock ${i}`)
      const waiter = new Waiter("owner")
      queue.join(waiter, i)
      queue.claimed("owner", i, 1)
      queue.leave(waiter)
      queue.ending("owner")
      queue.ended("owner", i)
      expect(queue.isEmpty).toBe(true)
      queues.tidy(`lock ${i}`, i)
    }
    expect((queues as unknown as { queues: Map<string, LockQueue> }).queues.size).toBe(0)
  })
})

describe("the queue", () => {
  it("is in order, whoever leaves from wherever", () => {
    const queue = new LinkedList<Waiter>()
    const waiters = Array.from({ length: 200 }, (_, i) => new Waiter(`${i}`))
    const model: Array<Waiter> = []
    let seed = 7
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
    for (let i = 0; i < 5000; i++) {
      const waiter = waiters[random(waiters.length)]!
      const place = model.indexOf(waiter)
      expect(queue.has(waiter)).toBe(place >= 0)
      if (place >= 0) {
        model.splice(place, 1)
        queue.delete(waiter)
        queue.delete(waiter)
      } else {
        model.push(waiter)
        queue.add(waiter)
        queue.add(waiter)
      }
      expect(queue.first).toBe(model[0])
      expect(queue.size).toBe(model.length)
    }
    while (model.length > 0) {
      expect(queue.first).toBe(model.shift())
      queue.delete(queue.first!)
    }
    expect(queue.first).toBe(undefined)
  })
})
