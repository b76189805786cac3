/** What the service itself decides: what it refuses, and which holds of this process an operator's word ends. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import type { InvalidOptions, StorageError } from "../../src/LockError.js"
import type { RevokeOutcome } from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Process from "../support/process.js"

const setup = (revoke?: RevokeOutcome) =>
  Effect.gen(function* () {
    const memory = yield* MemoryStorage.make()
    return yield* Process.make(revoke === undefined ? memory : { ...memory, revoke: () => Effect.succeed(revoke) })
  })

const refusal = (self: Effect.Effect<unknown, unknown, any>) =>
  Effect.map(Effect.flip(self as Effect.Effect<unknown, InvalidOptions | StorageError>), (error) => error.message)

describe("forceRelease", () => {
  it.effect("says what it cannot use", () =>
    Effect.gen(function* () {
      const { locks } = yield* setup()
      const force = (token: unknown, when: unknown) =>
        refusal(locks.forceRelease("a", { token, when } as { token: number; when: "now" }))
      for (const [token, told] of [
        [0, "0"],
        [-1, "-1"],
        [1.5, "1.5"],
        [Number.NaN, "NaN"],
        ["1", '"1"'],
        [undefined, "of type undefined"]
      ]) {
        assert.strictEqual(
          yield* force(token, "now"),
          `token must be the fencing token of the hold, a positive integer, but is ${told}`
        )
      }
      assert.strictEqual(yield* force(1, "later"), 'when must be "now" or "leaseEnd", but is "later"')
      assert.strictEqual(yield* force(1, undefined), 'when must be "now" or "leaseEnd", but is undefined')
      assert.isFalse(yield* locks.forceRelease("a", { token: 1, when: "leaseEnd" }))
    })
  )

  it.effect("ends the hold of this process at once, and no hold of another lock, nor of another token", () =>
    Effect.gen(function* () {
      const { locks } = yield* setup()
      const a = yield* locks.acquire("a")
      const b = yield* locks.acquire("b")
      assert.strictEqual(a.token, b.token)
      assert.isTrue(yield* locks.forceRelease("a", { token: a.token, when: "now" }))
      assert.strictEqual(a.unsafeRemainingMillis(), 0)
      assert.isAbove(b.unsafeRemainingMillis(), 0)
      const other = yield* setup({ _tag: "Revoked" })
      const c = yield* other.locks.acquire("c")
      assert.isTrue(yield* other.locks.forceRelease("c", { token: c.token + 1, when: "now" }))
      assert.isAbove(c.unsafeRemainingMillis(), 0)
    })
  )

  it.effect("ends nothing if the storage had nothing to revoke", () =>
    Effect.gen(function* () {
      const { locks } = yield* setup({ _tag: "NotHeld" })
      const a = yield* locks.acquire("a")
      assert.isFalse(yield* locks.forceRelease("a", { token: a.token, when: "now" }))
      assert.isAbove(a.unsafeRemainingMillis(), 0)
    })
  )
})

it.effect("a closed layer says of each operation that it is closed", () =>
  Effect.gen(function* () {
    const { close, locks } = yield* setup()
    yield* close
    const operation = (self: Effect.Effect<unknown, unknown, any>) =>
      Effect.map(Effect.flip(self as Effect.Effect<unknown, StorageError>), (error) => [error.reason, error.operation])
    assert.deepStrictEqual(yield* operation(Effect.scoped(locks.acquire("a"))), ["Closed", "StorageLock.acquire"])
    assert.deepStrictEqual(yield* operation(Stream.runDrain(locks.list)), ["Closed", "StorageLock.list"])
    assert.deepStrictEqual(yield* operation(locks.get("a")), ["Closed", "StorageLock.get"])
    assert.deepStrictEqual(yield* operation(locks.forceRelease("a", { token: 1, when: "now" })), [
      "Closed",
      "StorageLock.revoke"
    ])
  })
)

it.effect("null is neither an owner id nor options", () =>
  Effect.gen(function* () {
    const { locks } = yield* setup()
    const error = yield* Effect.flip(Effect.scoped(locks.acquire("a", null as unknown as string)))
    assert.strictEqual(error._tag, "InvalidOptions")
  })
)
