/** Bodies under a lock. */
import { assert, describe, it } from "#harness/vitest"
import type { LogEntry } from "../../src/promise/index.js"
import { InvalidLockId, InvalidOptions } from "../../src/promise/index.js"
import { locksOn, memory, rejected, until } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

describe("withLock", () => {
  it("gives what the body gives, and holds the lock until then", async () => {
    await using locks = await locksOn(memory())
    const result = await locks.withLock("a", async (lock, signal) => {
      assert.strictEqual(lock.lockId, "a")
      assert.isFalse(signal.aborted)
      assert.isAbove(lock.check(), 0)
      assert.strictEqual((await locks.get("a"))?.token, lock.token)
      return 7
    })
    assert.strictEqual(result, 7)
    assert.isUndefined(await locks.get("a"))
    assert.strictEqual(await locks.withLock("a", () => "no promise"), "no promise")
  })

  it("is rejected with the very thing that the body throws, and gives the lock back", async () => {
    await using locks = await locksOn(memory())
    const odd = { odd: true }
    for (const body of [
      () => {
        throw odd
      },
      () => Promise.reject(odd),
      async () => {
        await Promise.resolve()
        throw odd
      }
    ]) {
      assert.strictEqual(await rejected(locks.withLock("a", body)), odd)
      assert.isUndefined(await locks.get("a"))
    }
    assert.isUndefined(await rejected(locks.withLock("a", () => Promise.reject(undefined))))
  })

  it("lets one body run at a time, of all processes", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    let inside = 0
    let most = 0
    const tokens: Array<number> = []
    const turn = async (lock: { readonly token: number }) => {
      most = Math.max(most, ++inside)
      tokens.push(lock.token)
      await new Promise((resolve) => setTimeout(resolve, 1))
      inside--
    }
    await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : two).withLock("a", turn)))
    assert.strictEqual(most, 1)
    assert.deepStrictEqual(
      tokens,
      [...tokens].sort((a, b) => a - b)
    )
    assert.strictEqual(new Set(tokens).size, 20)
  })

  it("enters again by the owner id of the hold", async () => {
    await using locks = await locksOn(memory())
    const depth = await locks.withLock("a", ({ ownerId, token }) =>
      locks.withLock(
        "a",
        async (lock) => {
          assert.strictEqual(lock.token, token)
          return (await locks.get("a"))?.lockCount
        },
        { ownerId }
      )
    )
    assert.strictEqual(depth, 2)
  })

  it("warns of a body that may wait for itself", async () => {
    const lines: Array<LogEntry> = []
    await using locks = await locksOn(memory(), { log: (entry) => void lines.push(entry) })
    const controller = new AbortController()
    await locks.withLock("a", async () => {
      const inner = rejected(locks.withLock("a", () => 1, { signal: controller.signal }))
      await until(() => lines.length > 0)
      controller.abort("enough")
      assert.strictEqual(await inner, "enough")
    })
    assert.strictEqual(lines[0]!.level, "warn")
    assert.match(lines[0]!.message, /the lock "a" .* has waited for 1 s, perhaps for itself.*ownerId: lock\.ownerId/)
  })

  it("may give the lock back early", async () => {
    await using locks = await locksOn(memory())
    const seen = await locks.withLock("a", async (lock, signal) => {
      await lock.release()
      return [await locks.get("a"), signal.aborted]
    })
    assert.deepStrictEqual(seen, [undefined, false])
  })

  it("refuses nonsense, before the storage is asked", async () => {
    await using locks = await locksOn(memory())
    assert.instanceOf(await rejected(locks.withLock("", () => 1)), InvalidLockId)
    for (const [options, message] of [
      [
        { acquireTimout: 5 },
        "acquireTimout must be the name of an option (did you mean acquireTimeout?), but is unknown"
      ],
      [{ namespace: "mine" }, "namespace must be an option of the layer, but is an option of one acquire"],
      [{ signal: "no" }, "signal must be an AbortSignal, but is of type string"],
      [7, "options must be an object, but is of type number"]
    ] as const) {
      const error = await rejected(locks.withLock("a", () => 1, options as never))
      assert.instanceOf(error, InvalidOptions)
      assert.strictEqual(error.message, message)
    }
    const error = await rejected(locks.withLock("a", 42 as never))
    assert.strictEqual((error as InvalidOptions).message, "body must be a function of the lock, but is of type number")
  })
})

describe("once", () => {
  it("keeps others out for its time, though the job is done", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    assert.deepStrictEqual(await one.once("job", () => "done", { holdAtLeast: "1 minute" }), {
      ran: true,
      result: "done"
    })
    for (const locks of [one, two])
      assert.deepStrictEqual(await locks.once("job", () => assert.fail("it ran"), { holdAtLeast: "1 minute" }), {
        ran: false
      })
    const refused = (await rejected(one.once("b", () => undefined, { holdAtLeast: 0 }))) as InvalidOptions
    assert.strictEqual(refused.field, "holdAtLeast")
  })
})

describe("withLockIfAvailable", () => {
  it("says whether the body ran, also where it gives nothing", async () => {
    const storage = memory()
    await using one = await locksOn(storage)
    await using two = await locksOn(storage)
    assert.deepStrictEqual(await one.withLockIfAvailable("a", () => undefined), { ran: true, result: undefined })
    await one.withLock("a", async () => {
      assert.deepStrictEqual(await two.withLockIfAvailable("a", () => assert.fail("it ran")), { ran: false })
    })
    assert.deepStrictEqual(await two.withLockIfAvailable("a", async () => 7), { ran: true, result: 7 })
    const odd = new Error("odd")
    assert.strictEqual(await rejected(two.withLockIfAvailable("a", () => Promise.reject(odd))), odd)
  })
})
