/** Locks without a scope: begun by one request, ended by another. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type { Hold } from "../../src/core/hold.js"
import { mostLost, UnscopedHolds } from "../../src/core/unscopedHolds.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const link = Faulty.make(storage)
  const a = yield* Process.make(link.storage)
  const b = yield* Process.make(storage)
  const isFree = Effect.map(storage.get("foo"), Option.isNone)
  return { storage, link, a, b, isFree }
})

/** How it failed. */
const failed = <A, E>(self: Effect.Effect<A, E>) => Effect.flip(self) as Effect.Effect<E & { readonly _tag: string }>

describe("lock and unlock", () => {
  it.effect("one request locks, is renewed after it has ended, and another unlocks", () =>
    Effect.gen(function* () {
      const { a, b, isFree } = yield* setup
      const lock = yield* Effect.scoped(a.locks.lock("foo", "session"))
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(Option.isNone(yield* b.locks.tryLock("foo", "other")))
      assert.isAbove(Duration.toMillis(yield* lock.check), 0)
      yield* a.locks.unlock("foo", "session")
      assert.isTrue(yield* isFree)
      assert.strictEqual((yield* Effect.flip(lock.check)).reason, "Released")
    })
  )

  it.effect("an owner that locks twice unlocks twice, and a third time is told that it has nothing", () =>
    Effect.gen(function* () {
      const { a, isFree } = yield* setup
      yield* a.locks.lock("foo", "session")
      yield* a.locks.lock("foo", { ownerId: "session" })
      yield* a.locks.unlock("foo", "session")
      assert.isFalse(yield* isFree)
      yield* a.locks.unlock("foo", "session")
      assert.isTrue(yield* isFree)
      const error = yield* failed(a.locks.unlock("foo", "session"))
      assert.deepInclude(error, { _tag: "NotLocked", lockId: "foo", ownerId: "session" })
    })
  )

  it.effect("two that unlock at once do not both", () =>
    Effect.gen(function* () {
      const { a } = yield* setup
      yield* a.locks.lock("foo", "session")
      const both = yield* Effect.forEach([1, 2], () => Effect.exit(a.locks.unlock("foo", "session")), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(both.map(({ _tag }) => _tag).sort(), ["Failure", "Success"])
    })
  )

  it.effect("nobody unlocks what is another owner's, another process's, or a scope's", () =>
    Effect.gen(function* () {
      const { a, b, isFree } = yield* setup
      yield* a.locks.lock("foo", "session")
      yield* a.locks.acquire("bar", "session")
      for (const wrong of [
        a.locks.unlock("foo", "other"),
        a.locks.unlock("bar", "session"),
        b.locks.unlock("foo", "session"),
        b.locks.extend("foo", "session")
      ])
        assert.strictEqual((yield* failed<unknown, unknown>(wrong))._tag, "NotLocked")
      assert.isFalse(yield* isFree)
    })
  )

  it.effect("without an owner id, that of the lock unlocks it", () =>
    Effect.gen(function* () {
      const { a, isFree } = yield* setup
      const { ownerId } = yield* a.locks.lock("foo")
      yield* a.locks.unlock("foo", ownerId)
      assert.isTrue(yield* isFree)
    })
  )

  it.effect("a lock that is lost says so when it is unlocked, once, and is given back", () =>
    Effect.gen(function* () {
      const { a, b, link } = yield* setup
      yield* a.locks.lock("foo", "session")
      yield* link.set(["renew"], Faulty.refuse)
      yield* TestClock.adjust("1 minute")
      yield* b.locks.lock("foo", "next")
      const error = yield* failed(a.locks.unlock("foo", "session"))
      assert.deepInclude(error, { _tag: "LockLost", reason: "Expired", ownerId: "session" })
      assert.strictEqual((yield* failed(a.locks.unlock("foo", "session")))._tag, "NotLocked")
      assert.isTrue(yield* b.locks.isLocked("foo"))
    })
  )

  it.effect("of lost ones that nobody unlocks, the latest are remembered", () =>
    Effect.gen(function* () {
      const { a } = yield* setup
      for (let i = 0; i <= mostLost; i++) yield* a.locks.lock(`foo-${i}`, "session", { holdAtMost: "1 second" })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* failed(a.locks.unlock("foo-0", "session")))._tag, "NotLocked")
      assert.strictEqual((yield* failed(a.locks.unlock("foo-1", "session")))._tag, "LockLost")
      assert.strictEqual((yield* failed(a.locks.unlock(`foo-${mostLost}`, "session")))._tag, "LockLost")
    })
  )

  it.effect("those that somebody has unlocked take no place among them", () =>
    Effect.gen(function* () {
      const { a } = yield* setup
      const lose = (from: number, to: number) =>
        Effect.gen(function* () {
          for (let i = from; i < to; i++) yield* a.locks.lock(`foo-${i}`, "session", { holdAtMost: "1 second" })
          yield* TestClock.adjust("2 seconds")
        })
      const toldOf = (i: number) => Effect.map(failed(a.locks.unlock(`foo-${i}`, "session")), ({ _tag }) => _tag)
      // One after the other: those that end at one moment may be told of in any order.
      for (let i = 0; i < 3; i++) yield* lose(i, i + 1)
      yield* lose(3, mostLost)
      yield* a.locks.lock("held", "session")
      yield* a.locks.unlock("held", "session")
      for (let i = mostLost - 5; i < mostLost; i++) assert.strictEqual(yield* toldOf(i), "LockLost")
      yield* lose(mostLost, mostLost + 5)
      assert.strictEqual(yield* toldOf(0), "LockLost")
      yield* lose(mostLost + 5, mostLost + 7)
      assert.deepStrictEqual([yield* toldOf(1), yield* toldOf(2)], ["NotLocked", "LockLost"])
    })
  )

  it("keeps nothing of what was unlocked", () => {
    const kept = new UnscopedHolds()
    const holds = ["a", "a", "b"].map(
      (key) => ({ claimant: { key, ownerId: "me" }, onLost: () => () => {} }) as unknown as Hold
    )
    for (const hold of holds) assert.isTrue(kept.keep(hold))
    assert.strictEqual(kept.size, 2)
    for (const hold of holds) kept.forget(hold)
    assert.strictEqual(kept.size, 0)
  })

  it.effect("ends after holdAtMost, and extend moves that", () =>
    Effect.gen(function* () {
      const { a } = yield* setup
      const lock = yield* a.locks.lock("foo", "session", { holdAtMost: "1 minute" })
      const told = yield* Effect.forkChild(Effect.flip(lock.lost))
      yield* TestClock.adjust("50 seconds")
      const left = yield* a.locks.extend("foo", "session", { holdAtMost: "2 minutes" })
      assert.isAtMost(Duration.toMillis(left), 30_000)
      yield* TestClock.adjust("110 seconds")
      assert.isAbove(lock.unsafeRemainingMillis(), 0)
      yield* TestClock.adjust("20 seconds")
      const error = yield* Fiber.join(told)
      assert.deepInclude(error, { reason: "HeldTooLong", detail: "2m 50s" })
      assert.strictEqual((yield* failed(a.locks.extend("foo", "session")))._tag, "LockLost")
    })
  )

  it.effect("extend shortens as well, renews each hold of the owner, and tells the least of what is left", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      yield* a.locks.lock("foo", "session", { leaseExpireAfter: "10 seconds" })
      yield* a.locks.lock("foo", "session", { leaseExpireAfter: "1 minute" })
      yield* link.set(["renew"], Faulty.slow("100 millis"))
      const renewing = yield* Effect.forkChild(a.locks.extend("foo", "session"))
      yield* TestClock.adjust("100 millis")
      // Side by side.
      const renewed = yield* Fiber.join(renewing)
      assert.isAbove(Duration.toMillis(renewed), 5_000)
      assert.isAtMost(Duration.toMillis(renewed), 10_000)
      yield* link.set(["renew"], undefined)
      const left = yield* a.locks.extend("foo", "session", { holdAtMost: "5 seconds" })
      assert.strictEqual(link.calls.renew, 4)
      assert.isAtMost(Duration.toMillis(left), 5_000)
      yield* TestClock.adjust("6 seconds")
      for (let i = 0; i < 2; i++)
        assert.deepInclude(yield* failed(a.locks.unlock("foo", "session")), { _tag: "LockLost", reason: "HeldTooLong" })
    })
  )

  it.effect("bad input is refused before any I/O, by field and rule", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      yield* a.locks.lock("foo", "session")
      const asked = { ...link.calls }
      const wrong: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
        ["InvalidLockId", a.locks.lock("", "session")],
        ["InvalidLockId", a.locks.unlock("", "session")],
        ["InvalidLockId", a.locks.extend("", "session")],
        ["ownerId", a.locks.lock("foo", "")],
        ["ownerId", a.locks.unlock("foo", "")],
        ["ownerId", a.locks.unlock("foo", undefined as never)],
        ["ownerId", a.locks.extend("foo", "")],
        ["holdAtMost", a.locks.extend("foo", "session", { holdAtMost: 0 })],
        ["holdAtMost", a.locks.extend("foo", "session", { holdAtMost: "soon" as never })],
        ["holdAtmost", a.locks.extend("foo", "session", { holdAtmost: "1 second" } as never)],
        ["options", a.locks.extend("foo", "session", null as never)]
      ]
      for (const [what, self] of wrong) {
        const error = yield* failed(self as Effect.Effect<unknown, { readonly _tag: string; readonly field: string }>)
        assert.include([error._tag, error.field], what)
      }
      assert.deepStrictEqual(link.calls, asked)
    })
  )

  it.effect("who is interrupted while it waits has locked nothing", () =>
    Effect.gen(function* () {
      const { a, b, isFree } = yield* setup
      yield* b.locks.lock("foo", "first")
      const waiting = yield* Effect.forkChild(a.locks.lock("foo", "session"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      yield* b.locks.unlock("foo", "first")
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isFree)
      assert.strictEqual((yield* failed(a.locks.unlock("foo", "session")))._tag, "NotLocked")
    })
  )

  it.effect("what is had only when the layer has closed is given back", () =>
    Effect.gen(function* () {
      const { a, isFree, link } = yield* setup
      yield* link.set(["claim"], Faulty.late("100 millis"))
      const locking = yield* Effect.forkChild(failed(a.locks.lock("foo", "session")))
      yield* TestClock.adjust("50 millis")
      const closing = yield* Effect.forkChild(a.close)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.deepInclude(yield* Fiber.join(locking), { _tag: "StorageError", reason: "Closed" })
      assert.isTrue(yield* isFree)
    })
  )

  it.effect("when the layer closes, what is locked is released, not lost, and at once", () =>
    Effect.gen(function* () {
      const { a, isFree } = yield* setup
      const lock = yield* a.locks.lock("foo", "session")
      const began = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      yield* a.close
      assert.isTrue(yield* isFree)
      assert.strictEqual((yield* Effect.flip(lock.check)).reason, "Released")
      assert.strictEqual(yield* Effect.clockWith((clock) => clock.currentTimeMillis), began)
      assert.deepInclude(yield* failed(a.locks.lock("foo", "session")), { _tag: "StorageError", reason: "Closed" })
    })
  )
})
