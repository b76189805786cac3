/**
 * `work.pipe(StorageLock.withLock)`, without an id. The compiler lets it pass: by the one signature of both forms, whether an id must follow is decided by what stands first, and where a function is
 * only handed on, TypeScript does not count what is decided so late.
 */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"

const untyped = StorageLock as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown>>

describe("without a lock id", () => {
  it.effect("nothing is run, and what is missing is told", () =>
    Effect.gen(function* () {
      let ran = 0
      const work = Effect.sync(() => ran++)
      const programs: ReadonlyArray<Effect.Effect<unknown, unknown, unknown>> = [
        work.pipe(StorageLock.withLock),
        work.pipe(StorageLock.withLockIfAvailable),
        // Who has no types.
        untyped.withLock!(work),
        untyped.withLock!(() => work),
        untyped.withLockIfAvailable!(work),
        untyped.acquire!(),
        untyped.tryAcquire!(),
        untyped.tryAcquireOrHolder!(),
        untyped.get!(),
        untyped.isLocked!(),
        untyped.forceRelease!(undefined, { token: 1, when: "now" })
      ]
      for (const program of programs) {
        const error = yield* Effect.flip(program as Effect.Effect<unknown, { readonly _tag: string }>)
        assert.strictEqual(error._tag, "InvalidLockId")
        assert.include(String((error as unknown as Error).message), "of type undefined")
      }
      assert.strictEqual(ran, 0)
    }).pipe(Effect.scoped, Effect.provide(Layer.provide(StorageLock.layer(), MemoryStorage.layer)))
  )
})
