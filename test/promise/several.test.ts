/** Several locks at once, as promises. */
import { assert, describe, it } from "#harness/vitest"
import { InvalidOptions, LockLost, LockTimeout } from "../../src/promise/index.js"
import { failing, locksOn, memory, rejected, until } from "../support/promises.js"
import * as faulty from "../support/faulty.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("several locks", () => {
  it("are held while the body runs, and given back together", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    const tokens = await one.withLocks(["b", "a"], async (held, signal) => {
      assert.isFalse(signal.aborted)
      assert.isAbove(held.check(), 0)
      assert.isAbove(await held.renew(), 0)
      assert.deepStrictEqual(
        held.locks.map(({ lockId }) => lockId),
        ["b", "a"]
      )
      for (const lock of held.locks) assert.strictEqual((await two.get(lock.lockId))?.token, lock.token)
      return held.locks.map(({ token }) => token)
    })
    assert.strictEqual(tokens.length, 2)
    assert.isUndefined(await two.get("a"))
    assert.isUndefined(await two.get("b"))
  })

  it("until the end of a block; all or none, with one time-out; refused if they make no sense", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    {
      await using held = await one.acquireAll(["a", "b"])
      assert.isAbove(held.check(), 0)
      assert.instanceOf(await rejected(two.acquireAll(["0", "b"], { acquireTimeout: 50 })), LockTimeout)
      assert.isUndefined(await two.get("0"))
      assert.isDefined(await two.get("a"))
      assert.instanceOf(await rejected(two.withLocks(["0", "b"], () => 1, { acquireTimeout: 50 })), LockTimeout)
    }
    assert.isUndefined(await two.get("a"))
    assert.instanceOf(await rejected(one.acquireAll([])), InvalidOptions)
    assert.instanceOf(await rejected(one.acquireAll(["a", "a"])), InvalidOptions)
    assert.instanceOf(await rejected(one.withLocks(["a"], "body" as never)), InvalidOptions)
  })

  it("are lost with the first of them: the signal aborts, and all are given back", async () => {
    const { set, storage } = failing()
    await using one = await locksOn(storage, { leaseExpireAfter: "1 second", clockMargin: 100 })
    let isTold = false
    const lost = rejected(
      one.withLocks(["a", "b"], async (held, signal) => {
        set(["renew"], faulty.refuse)
        await until(() => signal.aborted)
        isTold = held.signal.aborted && (await rejected(held.lost)) instanceof LockLost
        set(["renew"], undefined)
      })
    )
    assert.instanceOf(await lost, LockLost)
    assert.isTrue(isTold)
    await using two = await locksOn(storage)
    await until(async () => (await two.get("a")) === undefined && (await two.get("b")) === undefined)
  })
})
