/** How to test a service that takes locks: in virtual time, with as many processes as the test needs, and with faults. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option } from "effect"
import * as TestClock from "effect/TestClock"
import { LockError, MemoryStorage, Storage, StorageLock } from "effect-storage-lock"

/** The service under test. */
const report = (write: Effect.Effect<void>) => StorageLock.withLockIfAvailable(write, "nightly-report")

/** A layer for each process, over one storage that they share. */
const process = (storage: Storage.Service) =>
  Layer.build(
    StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))
  )

it.scoped("one process of two writes the report", () =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const [a, b] = [yield* process(storage), yield* process(storage)]
    const writing = yield* Effect.fork(report(Effect.sleep("1 hour")).pipe(Effect.provide(a)))
    yield* TestClock.adjust("1 minute")
    assert.isTrue(Option.isNone(yield* report(Effect.void).pipe(Effect.provide(b))))
    yield* TestClock.adjust("1 hour")
    assert.isTrue(Option.isSome(yield* Fiber.join(writing)))
  })
)

it.scoped("after the process that writes it was killed, another can", () =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const a = yield* process(storage)
    // What a killed process leaves behind: a claim that nobody renews. In microseconds.
    yield* storage.claim({ lockId: "nightly-report", ownerId: "killed", holdId: "killed", lease: 30_000_000 })
    assert.isTrue(Option.isNone(yield* report(Effect.void).pipe(Effect.provide(a))))
    yield* TestClock.adjust("30 seconds")
    assert.isTrue(Option.isSome(yield* report(Effect.void).pipe(Effect.provide(a))))
  })
)

it.scoped("a report is not written on when the lock is lost", () =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const [a, b] = [yield* process(storage), yield* process(storage)]
    let stopped = false
    const writing = yield* Effect.fork(
      report(Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => (stopped = true))))).pipe(
        Effect.flip,
        Effect.provide(a)
      )
    )
    yield* TestClock.adjust("1 second")
    // As an operator would, from elsewhere.
    const { token } = Option.getOrThrow(yield* StorageLock.get("nightly-report").pipe(Effect.provide(b)))
    yield* StorageLock.forceRelease("nightly-report", { token, when: "now" }).pipe(Effect.provide(b))
    // Noticed at the next renewal.
    yield* TestClock.adjust("10 seconds")
    const error = yield* Fiber.join(writing)
    assert.strictEqual(error._tag === "LockLost" ? error.reason : error._tag, "Forced")
    assert.isTrue(stopped)
  })
)

it.scoped("an outage shorter than the lease does no harm, and a longer one stops the report", () =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    let isOut = false
    const down = new LockError.StorageError({
      reason: "Connection",
      operation: "test",
      isRetryable: true,
      applied: "no",
      message: "out, for a test"
    })
    const unlessOut = <A>(operation: Effect.Effect<A, LockError.StorageError>) =>
      Effect.suspend(() => (isOut ? down : operation))
    const a = yield* process({
      ...storage,
      claim: (request) => unlessOut(storage.claim(request)),
      renew: (requests) => unlessOut(storage.renew(requests)),
      release: (request) => unlessOut(storage.release(request)),
      get: (lockId) => unlessOut(storage.get(lockId))
    })
    const writing = yield* Effect.fork(report(Effect.never).pipe(Effect.flip, Effect.provide(a)))
    yield* TestClock.adjust("1 minute")
    isOut = true
    yield* TestClock.adjust("15 seconds")
    isOut = false
    yield* TestClock.adjust("1 minute")
    assert.isTrue(Option.isNone(yield* Fiber.poll(writing)))
    isOut = true
    yield* TestClock.adjust("30 seconds")
    const error = yield* Fiber.join(writing)
    assert.strictEqual(error._tag === "LockLost" ? error.reason : error._tag, "Expired")
    // Who asks now is told that the storage is out, not that somebody has the lock.
    const asking = yield* Effect.fork(report(Effect.void).pipe(Effect.flip, Effect.provide(a)))
    yield* TestClock.adjust("10 seconds")
    assert.strictEqual((yield* Fiber.join(asking))._tag, "StorageError")
  })
)
