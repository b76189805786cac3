/** Holds that end with a block, and what is told of locks. */
import { assert, describe, it } from "#harness/vitest"
import { InvalidOptions, LockLost, LockTimeout } from "../../src/promise/index.js"
import { locksOn, memory, rejected } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("acquire", () => {
  it("holds until the end of the block of await using", async () => {
    await using locks = await locksOn(memory())
    {
      await using lock = await locks.acquire("a", { ownerLabel: "worker 1" })
      assert.isAbove(lock.token, 0)
      assert.isAbove(lock.check(), 20_000)
      assert.isAbove(await lock.renew(), 20_000)
      assert.strictEqual(lock.info.ownerLabel, "worker 1")
      assert.isFalse(lock.signal.aborted)
      const found = await locks.get("a")
      assert.deepStrictEqual(
        { ...found, version: 0, leaseExpireTime: 0 },
        { ...lock.info, version: 0, leaseExpireTime: 0 }
      )
      assert.instanceOf(found!.lockBeginTime, Date)
      assert.isAbove(found!.leaseExpireTime.getTime(), found!.lockBeginTime.getTime())
    }
    assert.isUndefined(await locks.get("a"))
  })

  it("gives back by release, once, and what is over says so", async () => {
    await using locks = await locksOn(memory())
    const lock = await locks.acquire("a")
    const { lost, signal } = lock
    await Promise.all([lock.release(), lock.release()])
    await lock[Symbol.asyncDispose]()
    for (const error of [await rejected((async () => lock.check())()), await rejected(lock.renew())]) {
      assert.instanceOf(error, LockLost)
      assert.strictEqual(error.reason, "Released")
      assert.strictEqual(error.code, "LOCK_LOST")
    }
    await unhandled.settled()
    assert.isFalse(signal.aborted)
    assert.strictEqual(await Promise.race([lost, Promise.resolve("pending")]), "pending")
  })

  it("says who has the lock where the time is over", async () => {
    const storage = memory()
    await using one = await locksOn(storage, { ownerLabel: "worker 1" })
    await using two = await locksOn(storage)
    await using lock = await one.acquire("a")
    const error = await rejected(two.acquire("a", { acquireTimeout: 50, ownerId: "me" }))
    assert.instanceOf(error, LockTimeout)
    assert.instanceOf(error, Error)
    const { code, heldBy, lockId, message, name, ownerId, waitedMillis } = error
    assert.deepStrictEqual([code, name, lockId, ownerId], ["LOCK_TIMEOUT", "LockTimeout", "a", "me"])
    assert.strictEqual(heldBy?.ownerLabel, "worker 1")
    assert.strictEqual(heldBy?.token, lock.token)
    assert.instanceOf(heldBy?.leaseExpireTime, Date)
    assert.isAbove(waitedMillis, 0)
    assert.match(message, /^"me" waited \d+ ms for the lock "a": it is held by worker 1 /)
  })

  it("takes lengths of time as numbers and as texts", async () => {
    await using locks = await locksOn(memory(), { leaseExpireAfter: "1 minute" })
    await using long = await locks.acquire("a")
    await using short = await locks.acquire("b", { leaseExpireAfter: 20_000, leaseRefreshInterval: "5 seconds" })
    assert.isAbove(long.check(), 30_000)
    assert.isBelow(short.check(), 20_000)
  })
})

describe("tryAcquire", () => {
  it("is undefined if somebody has it", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    const first = await one.tryAcquire("a")
    assert.isDefined(first)
    assert.isUndefined(await two.tryAcquire("a"))
    await first.release()
    await using second = await two.tryAcquire("a")
    assert.isAbove(second!.token, first.token)
  })
})

describe("list", () => {
  it("gives those of its namespace, and ends early where the loop does", async () => {
    const storage = memory()
    await using mine = await locksOn(storage, { namespace: "mine" })
    await using other = await locksOn(storage)
    await using _a = await mine.acquire("a")
    await using _b = await mine.acquire("b")
    await using _c = await other.acquire("c")
    const ids: Array<string> = []
    for await (const { lockId } of mine.list()) ids.push(lockId)
    assert.sameMembers(ids, ["a", "b"])
    for await (const _ of mine.list()) break
    const all = mine.list()
    const [first, second, third, fourth] = await Promise.all([all.next(), all.next(), all.next(), all.next()])
    assert.deepStrictEqual([first?.done, second?.done, third?.done, fourth?.done], [false, false, true, true])
    assert.isTrue((await all.next()).done)
    const left = mine.list()
    await left.return!()
    assert.isTrue((await left.next()).done)
  })
})

describe("forceRelease", () => {
  it("takes a lock from the hold with the token, which is told at once", async () => {
    await using locks = await locksOn(memory())
    const lock = await locks.acquire("a")
    const { lost, signal } = lock
    assert.isFalse(await locks.forceRelease("a", { token: lock.token + 1, when: "now" }))
    assert.isTrue(await locks.forceRelease("a", { token: lock.token, when: "now" }))
    const error = await rejected(lost)
    assert.instanceOf(error, LockLost)
    assert.strictEqual(error.reason, "Forced")
    assert.strictEqual(signal.reason, error)
    assert.strictEqual(await rejected((async () => lock.check())()), error)
    assert.isUndefined(await locks.get("a"))
  })

  it("refuses options without which nothing is meant", async () => {
    await using locks = await locksOn(memory())
    assert.instanceOf(await rejected(locks.forceRelease("a", { token: 1 } as never)), InvalidOptions)
  })
})
