import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const link = Faulty.make(storage)
  return { storage, link, a: yield* Process.make(link.storage) }
})

describe("closing the layer", () => {
  it.effect("fails what is held with Closed, lets bodies end, and releases", () =>
    Effect.gen(function* () {
      const { a, storage } = yield* setup
      let heldAtEnd: boolean | undefined
      const body = yield* Effect.forkChild(
        Effect.exit(
          a.run(
            StorageLock.withLock(
              Effect.onInterrupt(Effect.never, () =>
                Effect.map(Effect.orDie(storage.get("foo")), (found) => (heldAtEnd = Option.isSome(found)))
              ),
              "foo"
            )
          )
        )
      )
      yield* TestClock.adjust("1 second")
      yield* a.close
      const exit = yield* Fiber.join(body)
      const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
      assert(Option.isSome(error) && error.value._tag === "LockLost")
      assert.strictEqual(error.value.reason, "Closed")
      assert.isTrue(heldAtEnd)
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )

  it.effect("fails waiters with StorageError Closed, and refuses new acquires", () =>
    Effect.gen(function* () {
      const { a, storage } = yield* setup
      yield* storage.claim({ lockId: "foo", ownerId: "other", holdId: "o".repeat(22), lease: 30_000_000 })
      const waiters = yield* Effect.forEach(["w1", "w2"], (owner) =>
        Effect.forkChild(Effect.flip(Effect.scoped(a.locks.acquire("foo", owner))))
      )
      yield* TestClock.adjust("1 second")
      yield* a.close
      const late = [Effect.scoped(a.locks.acquire("bar")), Effect.scoped(a.locks.tryAcquire("bar")), a.locks.get("bar")]
      for (const effect of [
        ...waiters.map(Fiber.join),
        ...late.map((_) => Effect.flip(_ as Effect.Effect<unknown, StorageLock.AcquireError>))
      ]) {
        const error = yield* effect
        assert(error._tag === "StorageError")
        assert.strictEqual(error.reason, "Closed")
        assert.strictEqual(error.applied, "no")
      }
    })
  )

  it.effect("releases a hold whose scope is still open, after a grace", () =>
    Effect.gen(function* () {
      const { a, storage } = yield* setup
      const lock = yield* a.locks.acquire("foo")
      const closing = yield* Effect.forkChild(a.close)
      yield* TestClock.adjust("900 millis")
      assert.isTrue(Option.isSome(yield* storage.get("foo")))
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(closing)
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
      assert.strictEqual((yield* Effect.flip(lock.check)).reason, "Closed")
    })
  )

  it.effect("waits for releases under way", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* setup
      yield* link.set(["claim"], Faulty.late("500 millis"))
      const abandoned = yield* Effect.forkChild(Effect.scoped(a.locks.acquire("bar")))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.interrupt(abandoned)
      const closing = yield* Effect.forkChild(a.close)
      yield* TestClock.adjust("600 millis")
      yield* Fiber.join(closing)
      assert.isTrue(Option.isNone(yield* storage.get("bar")))
    })
  )

  it.effect("releases a hold though the first answers are errors, so that nobody waits for its lease", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* setup
      yield* a.locks.acquire("foo")
      let failures = 0
      const twice = Effect.suspend(() =>
        failures++ < 2 ? Effect.fail(Faulty.failure("Connection", "unknown")) : Effect.void
      )
      yield* link.set(["release"], { before: twice })
      const closing = yield* Effect.forkChild(a.close)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(closing)
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )

  it.effect("does not repeat a release that no repetition can help", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      yield* a.locks.acquire("foo")
      yield* link.set(["release"], { before: Effect.fail(Faulty.failure("Permission", "no", false)) })
      const closing = yield* Effect.forkChild(a.close)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(link.calls.release, 1)
    })
  )

  it.effect("ends though the storage hangs, and though nobody moves a test clock", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      yield* a.locks.acquire("foo")
      yield* link.set(["claim", "renew", "release"], { ...Faulty.hang, uninterruptible: true })
      yield* TestClock.adjust("25 seconds")
      yield* a.close
    })
  )
})
