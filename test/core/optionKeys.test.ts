/** A misspelt option must not be taken for one that was left out. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type { InvalidOptions } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const ofLayer = (options: unknown): Effect.Effect<InvalidOptions, unknown> =>
  Effect.flip(
    Effect.scoped(
      Layer.build(StorageLock.layer(options as StorageLock.Options).pipe(Layer.provide(MemoryStorage.layer)))
    )
  )

const ofAcquire = (...args: ReadonlyArray<unknown>): Effect.Effect<InvalidOptions, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const link = Faulty.make(yield* MemoryStorage.make())
      const { locks } = yield* Process.make(link.storage)
      const given = args as [string]
      const all = [
        Effect.scoped(locks.acquire(...given)),
        Effect.scoped(locks.tryAcquire(...given)),
        locks.withLock(() => Effect.void, ...given),
        locks.withLockIfAvailable(() => Effect.void, ...given)
      ]
      const errors = yield* Effect.forEach(all, (one) => Effect.flip(one as Effect.Effect<unknown, InvalidOptions>))
      assert.strictEqual(link.calls.claim, 0)
      for (const error of errors) assert.deepStrictEqual(error, errors[0])
      return errors[0]!
    })
  )

const misspelt: ReadonlyArray<readonly [key: string, nearest: string]> = [
  ["acquireTimeOut", "acquireTimeout"],
  ["leaseExpiresAfter", "leaseExpireAfter"],
  ["RETRY", "retry"],
  ["leaseRefresh", "leaseRefreshInterval"],
  ["label", "ownerLabel"],
  ["holdAtmost", "holdAtMost"],
  ["constructor", "ownerLabel"]
]

describe("an option that there is none of", () => {
  for (const [key, nearest] of misspelt) {
    it.effect(`${key}: refused by the layer and by each acquire, before any I/O, with the nearest that there is`, () =>
      Effect.gen(function* () {
        for (const error of [
          yield* ofLayer({ [key]: "1 second" }),
          yield* ofAcquire("foo", { [key]: "1 second" }),
          yield* ofAcquire("foo", "me", { [key]: undefined })
        ]) {
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.field, key)
          if (key !== "constructor")
            assert.strictEqual(
              error.message,
              `${key} must be the name of an option (did you mean ${nearest}?), but is unknown`
            )
        }
      })
    )
  }

  it.effect("what is of the other kind is told so", () =>
    Effect.gen(function* () {
      const owner = yield* ofLayer({ ownerId: "me" })
      assert.strictEqual(owner.message, "ownerId must be an option of one acquire, but is an option of the layer")
      for (const key of ["namespace", "purgeAfter"]) {
        const error = yield* ofAcquire("foo", { [key]: "1 day" })
        assert.strictEqual(error.message, `${key} must be an option of the layer, but is an option of one acquire`)
      }
      // @ts-expect-error of the layer only
      const one: StorageLock.AcquireOptions = { namespace: "mine" }
      // @ts-expect-error of the layer only
      const two: StorageLock.AcquireOptions = { purgeAfter: "1 day" }
      assert.strictEqual((yield* ofAcquire("foo", one)).field, "namespace")
      assert.strictEqual((yield* ofAcquire("foo", "me", two)).field, "purgeAfter")
    })
  )

  it.effect("options are an object", () =>
    Effect.gen(function* () {
      for (const options of [null, "30 seconds", 30, [], ["30 seconds"]]) {
        for (const error of [yield* ofLayer(options), yield* ofAcquire("foo", "me", options)]) {
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.strictEqual(error.field, "options")
          assert.include(error.message, "must be an object")
        }
      }
      assert.strictEqual((yield* ofAcquire("foo", [])).field, "options")
    })
  )
})
