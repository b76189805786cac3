/** Work that waits for a lock that it has itself: told at once where it is certain, and after a moment where it may be. */
import { assert, describe, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as logs from "#harness/logs"
import { InvalidOptions } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type { Lock } from "../../src/StorageLock.js"
import * as Process from "../support/process.js"

const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const { locks } = yield* Process.make(storage, { ownerLabel: "the test" })
  return { storage, locks }
})

/** What is logged meanwhile. */
const logging = <A, E, R>(self: (said: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const said: Array<string> = []
    const logger = logs.to(({ message }) => void said.push(message))
    return Effect.provide(self(said), logger)
  })

const isRefused = (error: unknown, ownerId: string) => {
  assert.instanceOf(error, InvalidOptions)
  assert.strictEqual(error.field, "ownerId")
  assert.include(error.message, ownerId)
  assert.include(error.message, "{ ownerId: lock.ownerId }")
}

describe("a nested acquire of one lock without an owner id", () => {
  it.effect("in the body of withLock is refused at once, and the body may go on", () =>
    Effect.gen(function* () {
      const { locks } = yield* setup
      const result = yield* locks.withLock(
        (lock) =>
          Effect.gen(function* () {
            isRefused(yield* Effect.flip(locks.withLock(() => Effect.void, "x")), lock.ownerId)
            isRefused(yield* Effect.flip(Effect.scoped(locks.acquire("x"))), lock.ownerId)
            isRefused(yield* Effect.flip(Effect.scoped(locks.acquire("x", { acquireTimeout: "1 hour" }))), lock.ownerId)
            assert.isTrue(Option.isNone(yield* Effect.scoped(locks.tryAcquire("x"))))
            assert.isTrue(Option.isNone(yield* locks.withLockIfAvailable(() => Effect.void, "x")))
            return yield* locks.withLock(() => Effect.succeed("entered again"), "x", { ownerId: lock.ownerId })
          }),
        "x"
      )
      assert.strictEqual(result, "entered again")
    })
  )

  it.effect(
    "is refused also through bodies of other locks, another layer, and a body with an owner id of its own",
    () =>
      Effect.gen(function* () {
        const { locks, storage } = yield* setup
        const other = yield* Process.make(storage)
        const inner = locks.withLock(() => Effect.void, "x")
        isRefused(
          yield* Effect.flip(
            locks.withLock(() => other.locks.withLock(() => locks.withLock(() => inner, "z"), "y"), "x", "me")
          ),
          "me"
        )
        isRefused(
          yield* Effect.flip(locks.withLockIfAvailable(() => other.locks.withLock(() => Effect.void, "x"), "x", "me")),
          "me"
        )
      })
  )

  it.effect("is not refused for another lock, another storage, after an early release, or outside", () =>
    Effect.gen(function* () {
      const { locks } = yield* setup
      const elsewhere = (yield* setup).locks
      yield* locks.withLock(
        (lock) =>
          locks
            .withLock(() => Effect.void, "y")
            .pipe(
              Effect.andThen(elsewhere.withLock(() => Effect.void, "x")),
              Effect.andThen(lock.release),
              Effect.andThen(locks.withLock(() => Effect.void, "x"))
            ),
        "x"
      )
      yield* locks.withLock(() => Effect.void, "x")
      // The context of a body, kept beyond it.
      const context = yield* locks.withLock(() => Effect.context<never>(), "x")
      yield* Effect.provide(
        locks.withLock(() => Effect.void, "x"),
        context
      )
    })
  )

  it.effect(
    "in a forked child waits, for the body may end without it; after a moment that is said, once, with both places",
    () =>
      logging((said) =>
        Effect.gen(function* () {
          const { locks } = yield* setup
          const go = yield* Deferred.make<Lock>()
          const end = yield* Deferred.make<void>()
          let entered = false
          const outer = yield* Effect.forkChild(
            Effect.withSpan(
              locks.withLock(
                (lock) =>
                  Effect.gen(function* () {
                    yield* Effect.forkDetach(
                      Effect.withSpan(
                        locks.withLock(() => Effect.sync(() => (entered = true)), "x"),
                        "the inner one"
                      )
                    )
                    yield* Deferred.succeed(go, lock)
                    yield* Deferred.await(end)
                  }),
                "x"
              ),
              "the outer one"
            )
          )
          const lock = yield* Deferred.await(go)
          yield* TestClock.adjust("900 millis")
          assert.deepStrictEqual(said, [])
          yield* TestClock.adjust("20 seconds")
          assert.strictEqual(said.length, 1)
          for (const part of [
            '"x"',
            "the inner one",
            "the outer one",
            "the test",
            lock.ownerId,
            String(lock.token),
            "since 1970",
            "{ ownerId: lock.ownerId }"
          ]) {
            assert.include(said[0], part)
          }
          yield* Deferred.succeed(end, undefined)
          yield* Fiber.join(outer)
          yield* Effect.yieldNow
          yield* TestClock.adjust("1 second")
          assert.isTrue(entered)
        })
      )
  )

  it.effect("of a scope that has it already waits, and is told of", () =>
    logging((said) =>
      Effect.gen(function* () {
        const { locks } = yield* setup
        const first = yield* locks.acquire("x")
        const second = yield* Effect.forkChild(locks.acquire("x"))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(said.length, 1)
        assert.include(said[0], first.ownerId)
        yield* first.release
        yield* Fiber.join(second)
      })
    )
  )

  it.effect("ordinary waiting for others is not told of", () =>
    logging((said) =>
      Effect.gen(function* () {
        const { locks } = yield* setup
        const holder = yield* Effect.forkChild(locks.withLock(() => Effect.sleep("1 minute"), "x"))
        yield* Effect.yieldNow
        const waiter = yield* Effect.forkChild(locks.withLock(() => Effect.void, "x"))
        const reentry = yield* Effect.forkChild(
          locks.withLock(() => locks.withLock(() => Effect.void, "y", "me"), "y", "me")
        )
        yield* TestClock.adjust("2 minutes")
        yield* Fiber.joinAll([holder, waiter, reentry])
        assert.deepStrictEqual(said, [])
      })
    )
  )
})
