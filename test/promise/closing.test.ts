/** The end of all locks of a connection. */
import { assert, describe, it } from "#harness/vitest"
import { LockLost, StorageError } from "../../src/promise/index.js"
import * as faulty from "../support/faulty.js"
import { failing, locksOn, memory, rejected } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("close", () => {
  it("tells bodies and holds, waits for them, and gives everything back", async () => {
    const storage = memory()
    const locks = await locksOn(storage)
    await using other = await locksOn(storage)
    const lock = await locks.acquire("a")
    let ended = false
    let begin = () => {}
    const hasBegun = new Promise<void>((resolve) => (begin = resolve))
    const body = rejected(
      locks.withLock("b", async (_, signal) => {
        begin()
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
        await new Promise((resolve) => setTimeout(resolve, 20))
        assert.isDefined(await other.get("b"))
        ended = true
        throw signal.reason
      })
    )
    const waiting = rejected(locks.acquire("a"))
    await hasBegun
    const closing = locks.close()
    assert.strictEqual(locks.close(), closing)
    await closing
    assert.isTrue(ended)
    for (const loss of [await body, lock.signal.reason, await rejected(lock.lost)]) {
      assert.instanceOf(loss, LockLost)
      assert.strictEqual(loss.reason, "Closed")
    }
    assert.isUndefined(await other.get("a"))
    assert.isUndefined(await other.get("b"))
    for (const error of [
      await waiting,
      await rejected(locks.acquire("a")),
      await rejected(locks.get("a")),
      await rejected(locks.withLock("a", () => 1)),
      await rejected(locks.list().next())
    ]) {
      assert.instanceOf(error, StorageError)
      assert.strictEqual(error.reason, "Closed")
    }
    await lock.release()
    await locks[Symbol.asyncDispose]()
  })

  it("does not wait for a body that does not end, which is told all the same", async () => {
    const locks = await locksOn(memory())
    let end = () => {}
    let begin = () => {}
    const hasBegun = new Promise<void>((resolve) => (begin = resolve))
    const work = rejected(
      locks.withLock("a", () => {
        begin()
        return new Promise<void>((resolve) => (end = resolve))
      })
    )
    await hasBegun
    await locks.close()
    end()
    assert.strictEqual(((await work) as LockLost).reason, "Closed")
  })

  it("ends though the storage hangs, and with events that nobody reads", async () => {
    const { set, storage } = failing()
    const locks = await locksOn(storage)
    locks.events()
    const lock = await locks.acquire("a")
    set(["claim", "renew", "release", "revoke", "get"], faulty.hang)
    const waiting = rejected(locks.get("b"))
    await locks.close()
    assert.instanceOf(await waiting, StorageError)
    await lock.release()
  })
})
