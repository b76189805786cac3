import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as fibers from "#effect/fibers"
import { withClock } from "#effect/clocks"
import { StorageError } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Faulty from "../support/faulty.js"
import * as HandClock from "../support/handClock.js"
import * as Process from "../support/process.js"

const options = { leaseExpireAfter: "3 seconds", clockMargin: "300 millis" } as const

/** One process whose link to the storage can be broken, and one that only waits for the lock. */
const contest = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const link = Faulty.make(storage)
  return { storage, link, a: yield* Process.make(link.storage, options), b: yield* Process.make(storage, options) }
})

const faults: Record<string, Faulty.Fault> = {
  hanging: Faulty.hang,
  refused: Faulty.refuse,
  "answering after the lease": Faulty.slow("4 seconds"),
  "applying, and losing every reply for a while": Faulty.loseReply
}

describe("a hold is lost before another process can have the lock", () => {
  for (const [name, fault] of Object.entries(faults)) {
    it.effect(`storage ${name}`, () =>
      Effect.gen(function* () {
        const { a, b, link } = yield* contest
        const events: Array<string> = []
        const note = (event: string) => Effect.map(Clock.currentTimeMillis, (now) => events.push(`${event}@${now}`))

        const body = yield* Effect.forkChild(
          Effect.exit(
            a.run(StorageLock.withLock(Effect.never.pipe(Effect.onInterrupt(() => note("body ended"))), "foo", "a"))
          )
        )
        yield* TestClock.adjust("1500 millis")
        yield* link.set(["renew"], fault)
        const other = yield* Effect.forkChild(Effect.scoped(Effect.andThen(b.locks.acquire("foo", "b"), note("taken"))))
        for (let i = 0; i < 100; i++) yield* TestClock.adjust("100 millis")

        const exit = yield* Fiber.join(body)
        const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : Option.none()
        assert(Option.isSome(error) && error.value._tag === "LockLost")
        assert.strictEqual(error.value.reason, "Expired")
        yield* Fiber.join(other)
        const [ended, taken] = events.map((event) => Number(event.split("@")[1]))
        assert.match(events[0]!, /^body ended/)
        assert.match(events[1]!, /^taken/)
        // The last renewal that was answered began at 1000 ms; its lease ends at 4000. As soon as the body has ended, others may come.
        assert.isAtMost(ended!, 3700)
        assert.isAtLeast(taken!, ended!)
      })
    )
  }

  it.effect(
    "lost, check, guard and unsafeRemainingMillis agree, at the deadline to the millisecond, and for ever after",
    () =>
      Effect.gen(function* () {
        const { a, link } = yield* contest
        const lock = yield* a.locks.acquire("foo", "a")
        yield* link.set(["renew"], Faulty.hang)
        const lost = yield* Effect.forkChild(Effect.flip(lost_(lock)))
        yield* TestClock.adjust("2699 millis")
        assert.isTrue(fibers.exitOf(lost) === undefined)
        assert.strictEqual(lock.unsafeRemainingMillis(), 1)
        assert.strictEqual(Duration.toMillis(yield* lock.check), 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(lost)).reason, "Expired")
        // Even if the storage would renew it again: the client never un-loses.
        yield* link.set(["renew"], undefined)
        assert.strictEqual((yield* Effect.flip(lock.check)).reason, "Expired")
        assert.strictEqual((yield* Effect.flip(lock.renew))._tag, "LockLost")
        assert.strictEqual((yield* Effect.flip(lock.guard(Effect.void))).reason, "Expired")
        assert.isAtMost(lock.unsafeRemainingMillis(), 0)
      })
  )

  it.effect("a blocked event loop is seen by check though no timer could fire", () =>
    Effect.gen(function* () {
      const hands = { wall: 0, monotonic: 0 }
      yield* withClock(
        Effect.gen(function* () {
          const a = yield* Process.make(yield* MemoryStorage.make(), options)
          const lock = yield* a.locks.acquire("foo")
          hands.wall = hands.monotonic = 2699
          assert.isAbove(lock.unsafeRemainingMillis(), 0)
          hands.wall = hands.monotonic = 2700
          assert.isAtMost(lock.unsafeRemainingMillis(), 0)
        }).pipe(Effect.scoped),
        yield* HandClock.make(hands)
      )
    })
  )

  it.effect("a renewal that is answered after the deadline revives nothing, though no timer has fired", () =>
    Effect.gen(function* () {
      const hands = { wall: 0, monotonic: 0 }
      yield* withClock(
        Effect.gen(function* () {
          const gate = yield* Deferred.make<void>()
          const storage = yield* MemoryStorage.make()
          let renewed: string | undefined
          const a = yield* Process.make(
            {
              ...storage,
              renew: (requests) =>
                Effect.tap(Effect.andThen(Deferred.await(gate), storage.renew(requests)), ([outcome]) =>
                  Effect.sync(() => (renewed = outcome?._tag))
                )
            },
            options
          )
          const lock = yield* a.locks.acquire("foo")
          hands.wall = hands.monotonic = 1000
          const renewing = yield* Effect.forkChild(Effect.flip(lock.renew))
          yield* Effect.yieldNow
          hands.wall = hands.monotonic = 2750
          yield* Deferred.succeed(gate, undefined)
          const error = yield* Fiber.join(renewing)
          assert.strictEqual(renewed, "Renewed")
          assert.deepInclude({ ...error }, { _tag: "LockLost", reason: "Expired" })
          assert.isAtMost(lock.unsafeRemainingMillis(), 0)
        }).pipe(Effect.scoped),
        yield* HandClock.make(hands)
      )
    })
  )

  it.effect("a hold that cannot be renewed is lost alone, though it travels with others", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStorage.makeVersioned()
      const broken = new StorageError({
        reason: "Schema",
        operation: "Test.get",
        isRetryable: false,
        applied: "no",
        message: "cannot read it"
      })
      let isBroken = false
      const a = yield* Process.make(
        VersionedStore.toStorage({
          ...store,
          get: (lockId) => (isBroken && lockId === "bad" ? Effect.fail(broken) : store.get(lockId))
        }),
        options
      )
      const [bad, good] = [yield* a.locks.acquire("bad"), yield* a.locks.acquire("good")]
      isBroken = true
      yield* TestClock.adjust("10 seconds")
      assert.include((yield* Effect.flip(bad.check)).message, "cannot read it")
      assert.isAbove(good.unsafeRemainingMillis(), 0)
      yield* good.check
    })
  )

  it.effect("a suspended machine, whose monotonic clock stood still, has lost its holds", () =>
    Effect.gen(function* () {
      const hands = { wall: 5000, monotonic: 1000 }
      yield* withClock(
        Effect.gen(function* () {
          const storage = yield* MemoryStorage.make({ time: Effect.succeed(1) })
          const a = yield* Process.make(storage, options)
          const lock = yield* a.locks.acquire("foo")
          // Set back by an administrator: no time has passed.
          hands.wall -= 3_600_000
          assert.strictEqual(lock.unsafeRemainingMillis(), 2700)
          hands.wall += 2000
          hands.monotonic += 100
          assert.isAtMost(Math.abs(lock.unsafeRemainingMillis() - 700), 3)
          hands.wall += 1000
          assert.isAtMost(lock.unsafeRemainingMillis(), 0)
        }).pipe(Effect.scoped),
        yield* HandClock.make(hands)
      )
    })
  )
})

describe("withLock", () => {
  it.effect("interrupted, keeps the lock until its body has ended", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* contest
      let ended = false
      const body = Effect.never.pipe(
        Effect.onInterrupt(() => Effect.map(Effect.sleep("500 millis"), () => (ended = true)))
      )
      const fiber = yield* Effect.forkChild(a.run(StorageLock.withLock(body, "foo", "a")))
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("400 millis")
      assert.isFalse(ended)
      assert.strictEqual(link.calls.release, 0)
      assert.isTrue(Option.isSome(yield* storage.get("foo")))
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(interrupting)
      assert.isTrue(ended)
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )
})

describe("a lost hold", () => {
  it.effect("is not released while its body is still ending and its lease lasts", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* contest
      yield* link.set(["renew"], Faulty.refuse)
      const body = Effect.never.pipe(Effect.onInterrupt(() => Effect.sleep("200 millis")))
      const fiber = yield* Effect.forkChild(Effect.flip(a.run(StorageLock.withLock(body, "foo", "a"))))
      yield* TestClock.adjust("2850 millis")
      assert.strictEqual(link.calls.release, 0)
      assert.isTrue(Option.isSome(yield* storage.get("foo")))
      yield* TestClock.adjust("60 millis")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "LockLost")
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )
})

const lost_ = (lock: StorageLock.Lock) => lock.lost

describe("the deadline", () => {
  it.effect(
    "of a claim whose first reply was lost counts from the answered attempt, by the end of the first lease",
    () =>
      Effect.gen(function* () {
        const { a, link, storage } = yield* contest
        // Applied at 0, its reply lost at 900: the retry is answered with what is left of the first lease.
        yield* link.set(["claim"], {
          after: Effect.andThen(Effect.sleep("900 millis"), Faulty.failure("Connection", "unknown"))
        })
        const acquiring = yield* Effect.forkChild(a.locks.acquire("foo", "a"))
        yield* TestClock.adjust("890 millis")
        yield* link.set(["claim", "renew"], undefined)
        yield* TestClock.adjust("200 millis")
        const lock = yield* Fiber.join(acquiring)
        const until = (yield* Clock.currentTimeMillis) + lock.unsafeRemainingMillis()
        const validFor = Option.getOrThrow(yield* storage.get("foo")).validFor / 1000
        assert.isAtMost(until, (yield* Clock.currentTimeMillis) + validFor - 300)
        assert.isAtMost(until, 2700)
      })
  )

  it.effect("a reply so late that nothing is left is given back, and the lock is claimed again", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      // The storage says that hardly anything is left of the lease.
      let stale = true
      const a = yield* Process.make(
        {
          ...storage,
          claim: (request) =>
            Effect.map(storage.claim(request), (outcome) => {
              if (!stale || outcome._tag !== "Claimed") return outcome
              stale = false
              return { ...outcome, validFor: 250_000 }
            })
        },
        options
      )
      const acquiring = yield* Effect.forkChild(a.locks.acquire("foo", "a"))
      yield* TestClock.adjust("500 millis")
      const lock = yield* Fiber.join(acquiring)
      const { record } = Option.getOrThrow(yield* storage.get("foo"))
      assert.deepStrictEqual(record.holds, [lock.holdId])
    })
  )

  it.effect("a slow storage does not lose a hold as long as one renewal gets through", () =>
    Effect.gen(function* () {
      const { a, link } = yield* contest
      const lock = yield* a.locks.acquire("foo", "a")
      let n = 0
      yield* link.set(["renew"], {
        before: Effect.suspend(() => (++n % 3 === 0 ? Effect.void : Faulty.failure("Connection", "no")))
      })
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust("500 millis")
        yield* lock.check
      }
    })
  )
})

describe("NotHeld", () => {
  it.effect("taken by another owner, it says Taken, and its release does not touch the successor", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      let skew = 0
      const timed = yield* MemoryStorage.make({
        time: Effect.map(Clock.currentTimeMillis, (now) => (now + skew) * 1000)
      })
      const a = yield* Process.make(timed, options)
      const b = yield* Process.make(timed, options)
      assert.isDefined(storage)
      const lock = yield* a.locks.acquire("foo", "a")
      // The storage's clock jumps by more than the margin: what fencing is for.
      skew = 10_000
      const next = yield* b.locks.acquire("foo", "b")
      yield* TestClock.adjust("1100 millis")
      const error = yield* Effect.flip(lock.lost)
      assert.strictEqual(error.reason, "Taken")
      assert.isAbove(next.token, lock.token)
      yield* lock.release
      yield* TestClock.adjust("1 second")
      yield* next.check
      assert.isTrue(yield* b.locks.isLocked("foo"))
    })
  )
})

describe("one refresher for all holds", () => {
  it.effect("renews holds of about one age in one statement, at most a hundred in each", () =>
    Effect.gen(function* () {
      const { a, link } = yield* contest
      for (let i = 0; i < 250; i++) yield* a.locks.acquire(`lock ${i}`, "a")
      yield* TestClock.adjust("1050 millis")
      assert.strictEqual(link.calls.renew, 3)
      yield* TestClock.adjust("1000 millis")
      assert.strictEqual(link.calls.renew, 6)
    })
  )
})
