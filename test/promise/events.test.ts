/** Events as an async iterator. */
import { assert, describe, it } from "#harness/vitest"
import { type LockEvent, type Locks, LockTimeout, StorageError } from "../../src/promise/index.js"
import * as faulty from "../support/faulty.js"
import { failing, locksOn, memory, rejected } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("events", () => {
  it("begin with the call, and end when the locks are closed", async () => {
    const locks = await locksOn(memory(), { ownerLabel: "worker 1" })
    const events = locks.events()
    const lock = await locks.acquire("a", { ownerId: "me" })
    assert.isUndefined(await locks.tryAcquire("a"))
    await rejected(locks.acquire("a", { acquireTimeout: 30 }))
    const lost = await locks.acquire("b")
    await locks.forceRelease("b", { token: lost.token, when: "now" })
    await lock.release()
    await locks.close()
    const seen: Array<LockEvent> = []
    for await (const event of events) seen.push(event)
    assert.deepStrictEqual(
      seen.map(({ type }) => type),
      ["Acquired", "Refused", "Waiting", "TimedOut", "Acquired", "Forced", "Lost", "Released"]
    )
    const [acquired, refused, waiting, timedOut, , forced, gone, released] = seen
    assert(acquired?.type === "Acquired" && refused?.type === "Refused" && waiting?.type === "Waiting")
    assert(timedOut?.type === "TimedOut" && forced?.type === "Forced" && gone?.type === "Lost")
    assert(released?.type === "Released")
    assert.deepStrictEqual(
      [acquired.lockId, acquired.ownerId, acquired.ownerLabel, acquired.token, acquired.attempts],
      ["a", "me", "worker 1", lock.token, 1]
    )
    assert.instanceOf(acquired.at, Date)
    assert.isNumber(acquired.waited)
    assert.isAbove(timedOut.waited, 0)
    assert.instanceOf(timedOut.error, LockTimeout)
    assert.strictEqual(gone.reason, "Forced")
    assert.strictEqual(forced.token, lost.token)
    assert.isTrue(released.confirmed)
    assert.isNumber(released.held)
  })

  it("miss nothing that the call is followed by at once", async () => {
    for (const before of [
      () => Promise.resolve(),
      (locks: Locks) => rejected(locks.get("")),
      (locks: Locks) => locks.withLock("a", () => 1)
    ]) {
      await using locks = await locksOn(memory())
      await before(locks)
      const all = [locks.events(), locks.events()]
      const lock = await locks.acquire("a")
      for (const events of all) {
        const { value } = await events.next()
        assert.strictEqual(value?.type, "Acquired")
        await events.return!()
      }
      await lock.release()
    }
  })

  it("tell of a storage that fails, and works again", async () => {
    const { set, storage } = failing()
    const locks = await locksOn(storage)
    const events = locks.events()
    set(["get"], faulty.refuse)
    await rejected(locks.get("a"))
    const { value: failing_ } = await events.next()
    set(["get"], undefined)
    await locks.get("a")
    const { value: back } = await events.next()
    assert(failing_?.type === "StorageFailing" && back?.type === "StorageBack")
    assert.instanceOf(failing_.error, StorageError)
    assert.isNumber(back.failedFor)
    await locks.close()
  })

  it("are heard until the loop is left; a call that waits then ends", async () => {
    await using locks = await locksOn(memory())
    const events = locks.events()
    const waiting = events.next()
    await events.return!()
    assert.isTrue((await waiting).done)
    assert.isTrue((await events.next()).done)
    const loop = locks.events()
    await (await locks.acquire("a")).release()
    for await (const { type } of loop) {
      assert.strictEqual(type, "Acquired")
      break
    }
    assert.isTrue((await loop.next()).done)
  })

  it("hold up nothing where nobody reads them: the oldest are dropped, and counted", async () => {
    const locks = await locksOn(memory())
    const events = locks.events()
    for (let n = 0; n < 1500; n++) await (await locks.acquire("a")).release()
    await locks.close()
    let count = 0
    let dropped = 0
    for await (const event of events) {
      if (event.type === "Dropped") dropped += event.count
      else count++
    }
    assert.isAbove(dropped, 0)
    assert.strictEqual(count + dropped, 3000)
  })
})
