/** What a body ends in whose hold was over at its end, or that lasts for longer than it may. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as fibers from "#effect/fibers"
import { withClock } from "#effect/clocks"
import { LockLost } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as HandClock from "../support/handClock.js"
import { at, heard } from "../support/logged.js"
import * as Process from "../support/process.js"

const options = { leaseExpireAfter: "3 seconds", clockMargin: "300 millis" } as const

const process = (own?: StorageLock.Options) =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const link = Faulty.make(storage)
    return { link, storage, ...(yield* Process.make(link.storage, { ...options, ...own })) }
  })

type Locks = StorageLock.Service

/** One line tells of all that were lost together. */
const lastOf = (lockIds: unknown): string | undefined => String(lockIds).split(", ").sort().at(-1)

/** All that run a body under a hold. */
const ways: Record<
  string,
  (
    locks: Locks,
    body: Effect.Effect<string, string>,
    own?: StorageLock.AcquireOptions
  ) => Effect.Effect<unknown, unknown>
> = {
  withLock: (locks, body, own) => locks.withLock(() => body, "foo", own),
  withLockIfAvailable: (locks, body, own) =>
    Effect.map(
      locks.withLockIfAvailable(() => body, "foo", own),
      Option.getOrThrow
    ),
  "guard of acquire": (locks, body, own) =>
    Effect.scoped(Effect.flatMap(locks.acquire("foo", own), (lock) => lock.guard(body))),
  "guard of tryAcquire": (locks, body, own) =>
    Effect.scoped(Effect.flatMap(locks.tryAcquire("foo", own), (lock) => Option.getOrThrow(lock).guard(body))),
  withLocks: (locks, body, own) => locks.withLocks(() => body, ["foo", "bar"], own),
  "guard of acquireAll": (locks, body, own) =>
    Effect.scoped(Effect.flatMap(locks.acquireAll(["foo", "bar"], own), (set) => set.guard(body)))
}

describe("a body that ends after its hold is over", () => {
  for (const [name, run] of Object.entries(ways)) {
    /** The body blocks the event loop for so long: time passes, and no timer fires. */
    const blocked = (millis: number, end: Effect.Effect<string, string>, own?: StorageLock.AcquireOptions) =>
      Effect.gen(function* () {
        const hands = { wall: 0, monotonic: 0 }
        const clock = yield* HandClock.make(hands)
        const body = Effect.suspend(() => {
          hands.wall = hands.monotonic += millis
          return end
        })
        return yield* withClock(
          Effect.scoped(Effect.flatMap(process(), ({ locks }) => Effect.result(run(locks, body, own)))),
          clock
        )
      })

    it.effect(`${name}: blocked beyond the lease, ends in LockLost, with what it gave`, () =>
      heard((lines) =>
        Effect.gen(function* () {
          const result = yield* blocked(2700, Effect.succeed("done"))
          assert(result._tag === "Failure" && result.failure instanceof LockLost)
          assert.deepInclude(
            { ...result.failure },
            { lockId: "foo", reason: "Expired", completed: true, result: "done" }
          )
          assert.match(result.failure.message, /run to its end/)
          assert.deepStrictEqual(
            at(lines, "Warning").map(({ annotations }) => lastOf(annotations.lockId)),
            ["foo"]
          )
        })
      )
    )

    it.effect(`${name}: blocked, but not beyond the lease, ends in what it gave`, () =>
      Effect.map(blocked(2699, Effect.succeed("done")), (result) =>
        assert.deepInclude({ ...result }, { success: "done" })
      )
    )

    it.effect(`${name}: that failed by itself, fails with its own error`, () =>
      Effect.map(blocked(2700, Effect.fail("its own")), (result) =>
        assert.deepInclude({ ...result }, { failure: "its own" })
      )
    )

    it.effect(`${name}: ends in what it gave if its loss at the end is no failure`, () =>
      heard((lines) =>
        Effect.gen(function* () {
          const result = yield* blocked(2700, Effect.succeed("done"), { lostAtEnd: "succeed" })
          assert.deepInclude({ ...result }, { success: "done" })
          assert.deepStrictEqual(
            at(lines, "Warning").map(({ annotations }) => lastOf(annotations.lockId)),
            ["foo"]
          )
        })
      )
    )

    it.effect(
      `${name}: that was interrupted for the loss, ends in LockLost, as soon as it can be; its own failure stands`,
      () =>
        Effect.gen(function* () {
          const { link, locks } = yield* process()
          yield* link.set(["renew"], Faulty.refuse)
          const body = Effect.as(Effect.sleep("10 seconds"), "done")
          for (const whole of [true, false]) {
            const fiber = yield* Effect.forkChild(
              Effect.result(run(locks, whole ? Effect.uninterruptible(body) : body))
            )
            yield* TestClock.adjust("9 seconds")
            assert.strictEqual(fibers.exitOf(fiber) === undefined, whole)
            yield* TestClock.adjust("11 seconds")
            const result = yield* Fiber.join(fiber)
            assert(result._tag === "Failure" && result.failure instanceof LockLost)
            assert.strictEqual(result.failure.reason, "Expired")
          }
          const failing = yield* Effect.forkChild(
            Effect.result(run(locks, Effect.uninterruptible(Effect.andThen(body, Effect.fail("its own")))))
          )
          yield* TestClock.adjust("20 seconds")
          assert.deepInclude({ ...(yield* Fiber.join(failing)) }, { failure: "its own" })
        })
    )
  }

  it.effect("that has given the lock back itself, ends in what it gave, however late", () =>
    Effect.gen(function* () {
      const { locks } = yield* process()
      const fiber = yield* Effect.forkChild(
        locks.withLock((lock) => Effect.as(Effect.andThen(lock.release, Effect.sleep("10 seconds")), "done"), "foo")
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
    })
  )

  it.effect("whose caller is interrupted, is interrupted", () =>
    Effect.gen(function* () {
      const { locks } = yield* process()
      const fiber = yield* Effect.forkChild(
        locks.withLock(() => Effect.uninterruptible(Effect.sleep("10 seconds")), "foo")
      )
      yield* TestClock.adjust("1 second")
      const exit = yield* Effect.forkChild(Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber)))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.join(exit)))
    })
  )

  it.effect("and a scope that closes after its hold is over, leave a word in the log", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const hands = { wall: 0, monotonic: 0 }
        yield* withClock(
          Effect.scoped(
            Effect.gen(function* () {
              const { locks } = yield* process()
              yield* Effect.scoped(
                Effect.tap(locks.acquire("foo"), () => Effect.sync(() => (hands.wall = hands.monotonic = 5000)))
              )
            })
          ),
          yield* HandClock.make(hands)
        )
        assert.deepStrictEqual(
          at(lines, "Warning").map(({ annotations }) => [lastOf(annotations.lockId), annotations.reason]),
          [["foo", "Expired"]]
        )
      })
    )
  )
})

describe("holdAtMost", () => {
  for (const [name, run] of Object.entries(ways)) {
    it.effect(`${name}: a body that hangs is stopped then, to the millisecond, and others have the lock`, () =>
      heard((lines) =>
        Effect.gen(function* () {
          const { locks } = yield* process({ holdAtMost: "1 minute" })
          const fiber = yield* Effect.forkChild(Effect.result(run(locks, Effect.never)))
          yield* TestClock.adjust("59999 millis")
          assert.isTrue(fibers.exitOf(fiber) === undefined)
          yield* TestClock.adjust("1 millis")
          const result = yield* Fiber.join(fiber)
          assert(result._tag === "Failure" && result.failure instanceof LockLost)
          assert.strictEqual(result.failure.reason, "HeldTooLong")
          assert.match(result.failure.message, /`holdAtMost` allows \(1m\)/)
          assert.isTrue(Option.isSome(yield* locks.tryAcquire("foo")))
          assert.deepStrictEqual(
            at(lines, "Warning").map(({ annotations }) => [lastOf(annotations.lockId), annotations.reason]),
            [["foo", "HeldTooLong"]]
          )
        })
      )
    )
  }

  it.effect("a body that does not end keeps the lock until its lease ends, and no longer", () =>
    Effect.gen(function* () {
      const { link, locks, storage } = yield* process({ holdAtMost: "10500 millis" })
      const fiber = yield* Effect.forkChild(
        Effect.exit(locks.withLock(() => Effect.uninterruptible(Effect.sleep("1 minute")), "foo"))
      )
      yield* TestClock.adjust("10500 millis")
      const renewals = link.calls.renew
      // Renewed last at 10 seconds.
      yield* TestClock.adjust("2400 millis")
      assert.isTrue(Option.isSome(yield* storage.get("foo")))
      yield* TestClock.adjust("200 millis")
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
      assert.strictEqual(link.calls.renew, renewals)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
    })
  )

  it.effect("a hold of a scope is lost, and check says for how long it may last", () =>
    Effect.gen(function* () {
      const { locks } = yield* process()
      const lock = yield* locks.acquire("foo", { holdAtMost: "2 seconds" })
      assert.strictEqual(lock.unsafeRemainingMillis(), 2000)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(lock.unsafeRemainingMillis(), 1000)
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* Effect.flip(lock.lost)).reason, "HeldTooLong")
      assert.strictEqual((yield* Effect.flip(lock.check)).reason, "HeldTooLong")
    })
  )

  it.effect("a lease that cannot be renewed is over before", () =>
    Effect.gen(function* () {
      const { link, locks } = yield* process({ holdAtMost: "1 minute" })
      const lock = yield* locks.acquire("foo")
      yield* link.set(["renew"], Faulty.refuse)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* Effect.flip(lock.lost)).reason, "Expired")
    })
  )

  it.effect("each hold of an owner has its own", () =>
    Effect.gen(function* () {
      const { locks } = yield* process()
      const outer = yield* locks.acquire("foo", { ownerId: "ada", holdAtMost: "1 minute" })
      yield* TestClock.adjust("30 seconds")
      const inner = yield* locks.acquire("foo", { ownerId: "ada", holdAtMost: "1 minute" })
      const short = yield* locks.acquire("foo", { ownerId: "ada", holdAtMost: "10 seconds" })
      const forever = yield* locks.acquire("foo", { ownerId: "ada" })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Effect.flip(short.check)).reason, "HeldTooLong")
      yield* outer.check
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Effect.flip(outer.check)).reason, "HeldTooLong")
      yield* inner.check
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Effect.flip(inner.check)).reason, "HeldTooLong")
      yield* TestClock.adjust("5 minutes")
      yield* forever.check
      assert.isTrue(Option.isNone(yield* locks.tryAcquire("foo", { ownerId: "grace" })))
    })
  )

  it.effect("of one acquire, also to have none", () =>
    Effect.gen(function* () {
      const { locks } = yield* process({ holdAtMost: "1 second" })
      const lock = yield* locks.acquire("foo", { holdAtMost: "infinity" })
      yield* TestClock.adjust("1 minute")
      yield* lock.check
    })
  )

  it.effect("that makes no sense is refused before any I/O, by the layer and by one acquire; lostAtEnd too", () =>
    Effect.gen(function* () {
      const { link, locks } = yield* process()
      for (const value of [0, -1, Number.NaN, "soon", null, "0 millis", {}]) {
        const refused = yield* Effect.flip(Effect.scoped(locks.acquire("foo", { holdAtMost: value as never })))
        assert.deepInclude({ ...refused }, { _tag: "InvalidOptions", field: "holdAtMost" })
        assert.strictEqual((yield* Effect.flip(process({ holdAtMost: value as never })))._tag, "InvalidOptions")
      }
      for (const value of ["ignore", true, null, 0]) {
        const refused = yield* Effect.flip(Effect.scoped(locks.acquire("foo", { lostAtEnd: value as never })))
        assert.deepInclude({ ...refused }, { _tag: "InvalidOptions", field: "lostAtEnd" })
      }
      assert.strictEqual(link.calls.claim, 0)
    })
  )
})
