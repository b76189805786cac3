/** A clock that is given to a store: what it is worth, and that nobody who lies by it lets a second owner in. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as fibers from "#effect/fibers"
import { monotonicNanos } from "#effect/clocks"
import * as TestClock from "#harness/testing/TestClock"
import * as logs from "#harness/logs"
import { InvalidOptions, StorageError } from "../../src/LockError.js"
import { readWrite } from "../../src/kinds/readWrite.js"
import { MemoryStorage, Storage, type TimeProvider, VersionedStore } from "../../src/index.js"
import * as Process from "../support/process.js"

const id = (name: string) => name.padEnd(22, "x")
const lease = 10_000_000
const claim = (ownerId: string, holdId = id(ownerId)) => ({ lockId: "foo", ownerId, holdId, lease })

/** In milliseconds. */
const base = 1_700_000_000_000

/** A provider that goes with the clock of the test, but for what is done to it. */
const makeProvider = () => {
  const hands = { offset: 0, asked: 0, grain: 0, instead: undefined as Effect.Effect<any, unknown> | undefined }
  const provider: TimeProvider.TimeProvider = {
    name: "the test's clock",
    now: Effect.suspend(() => {
      hands.asked++
      return (
        hands.instead ??
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            const now = base + Number(monotonicNanos(clock)) / 1e6 + hands.offset
            return hands.grain === 0 ? now : Math.floor(now / hands.grain) * hands.grain
          })
        )
      )
    })
  }
  return { hands, provider }
}

/** Asked each time, so that what is done to it counts at once. */
const always: TimeProvider.Options = { maxAge: 0 }

const setup = (options: TimeProvider.Options = always, more: Partial<TimeProvider.TimeProvider> = {}, offset = 0) =>
  Effect.gen(function* () {
    const inner = yield* MemoryStorage.makeVersioned({ time: "none" })
    const { hands, provider } = makeProvider()
    hands.offset = offset
    const connect = Effect.map(
      VersionedStore.withTime(inner, { ...provider, ...more }, options),
      (store): Storage.Service => VersionedStore.toStorage(store)
    )
    return { inner, hands, provider, connect, a: yield* connect, b: yield* connect }
  })

const shape = ({ applied, isRetryable, reason }: StorageError) => ({ applied, isRetryable, reason })

const failure = (self: Effect.Effect<unknown, StorageError | InvalidOptions>) =>
  Effect.map(Effect.flip(self), (error) => {
    assert.instanceOf(error, StorageError)
    return error
  })

const isHeldBy = (inner: VersionedStore.Service, ownerId: string) =>
  Effect.map(inner.get("foo"), (found) => assert.strictEqual(Option.getOrThrow(found).ownerId, ownerId))

describe("a lease by a clock that is given", () => {
  it.effect("ends by it: who comes late takes over at once, but not before tolerance and grain are over, too", () =>
    Effect.gen(function* () {
      const { a, connect } = yield* setup()
      const claimed = yield* a.claim(claim("dead"))
      // Its holder is told of the lease that it asked for.
      assert(claimed._tag === "Claimed" && claimed.validFor === lease)
      yield* TestClock.adjust("10250 millis")
      const late = yield* connect
      const held = yield* late.claim(claim("b"))
      // What is left is the grain.
      assert(held._tag === "Held" && held.retryAfter === 1_000, JSON.stringify(held))
      yield* TestClock.adjust("1 millis")
      const taken = yield* late.claim(claim("b"))
      assert(taken._tag === "Claimed")
      assert.isAbove(taken.record.token, claimed.record.token)
      assert.strictEqual(late.guarantees.clock, "provided")
      assert.isAbove(late.guarantees.leaseSlack ?? 0, 251_000)
    })
  )

  it.effect("is renewed, repeated and entered for as long as was asked, and shown", () =>
    Effect.gen(function* () {
      const { a } = yield* setup()
      yield* a.claim(claim("a"))
      yield* TestClock.adjust("4 seconds")
      const repeated = yield* a.claim(claim("a"))
      assert(repeated._tag === "Claimed" && repeated.validFor === lease - 4_000_000)
      const deeper = yield* a.claim(claim("a", id("deeper")))
      assert(deeper._tag === "Claimed" && deeper.validFor === lease)
      yield* TestClock.adjust("4 seconds")
      const [renewed] = yield* a.renew([claim("a")])
      assert(renewed!._tag === "Renewed" && renewed!.validFor === lease)
      assert.strictEqual(Option.getOrThrow(yield* a.get("foo")).record.holds.length, 2)
      yield* a.release(claim("a"))
      assert.deepStrictEqual(yield* a.release(claim("a", id("deeper"))), { _tag: "Released", remaining: 0 })
    })
  )

  it.effect("records that are old are dropped", () =>
    Effect.gen(function* () {
      const { a, inner } = yield* setup()
      yield* a.claim(claim("a"))
      yield* a.release(claim("a"))
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* a.purge("1 hour"), 1)
      assert.isTrue(Option.isNone(yield* inner.get("foo")))
    })
  )

  it.effect("locks over it: a dead holder's is taken over by a process that has only just come", () =>
    Effect.gen(function* () {
      const { a, connect } = yield* setup()
      yield* a.claim(claim("dead"))
      yield* TestClock.adjust("11 seconds")
      const process = yield* Process.make(yield* connect, { leaseExpireAfter: "10 seconds" })
      const fiber = yield* Effect.forkChild(Effect.scoped(process.locks.acquire("foo", "b")))
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
    })
  )

  it.effect("cut to whole seconds: at whatever part of the second, nobody comes before a whole lease", () =>
    Effect.gen(function* () {
      for (const part of [0, 1, 400, 999]) {
        const { a, b, hands } = yield* setup(always, { grain: "1 second" })
        hands.grain = 1_000
        yield* TestClock.adjust("1 second")
        hands.offset = part
        yield* a.claim(claim("dead"))
        let waited = 0
        while ((yield* b.claim(claim("b")))._tag === "Held") {
          yield* TestClock.adjust("250 millis")
          waited += 250
        }
        assert.isAtLeast(waited, 10_000, `${part}`)
        // And what that costs is the second, twice: once for what was not known when it was written, once for what is not known when it is judged.
        assert.isAtMost(waited, 12_500, `${part}`)
      }
    })
  )

  it.effect("cut to whole seconds, which nobody said, looks like a clock that jumps, and is refused", () =>
    Effect.gen(function* () {
      const { b, hands } = yield* setup()
      hands.grain = 1_000
      let refused = false
      for (let n = 0; n < 20 && !refused; n++) {
        yield* TestClock.adjust("90 millis")
        refused = Exit.isFailure(yield* Effect.exit(b.claim(claim("b"))))
      }
      assert.isTrue(refused)
    })
  )
})

describe("a clock that jumps", () => {
  for (const [said, seconds] of [
    ["ahead", 30],
    ["ahead", 3_600],
    ["back", -30],
    ["back", -3_600]
  ] as const)
    it.effect(`${said} by ${Math.abs(seconds)} s: a typed error, and no second owner`, () =>
      Effect.gen(function* () {
        const { a, b, hands, inner } = yield* setup()
        yield* a.claim(claim("a"))
        assert.strictEqual((yield* b.claim(claim("b")))._tag, "Held")
        hands.offset = seconds * 1_000
        const error = yield* failure(b.claim(claim("b")))
        assert.deepStrictEqual(shape(error), { reason: "Unknown", isRetryable: true, applied: "no" })
        assert.match(error.message, new RegExp(`gone ${said} by .* more than \`tolerance\``))
        yield* failure(a.renew([claim("a")]))
        yield* failure(b.get("foo"))
        yield* failure(b.purge("1 hour"))
        yield* isHeldBy(inner, "a")
        // For as long as leases last, and longer.
        for (let n = 0; n < 11; n++) {
          yield* TestClock.adjust("5 seconds")
          yield* failure(b.claim(claim("b")))
        }
        yield* isHeldBy(inner, "a")
        // Then it is believed. If it went back, the old lease ends in its time to come; if it went ahead, the old lease is over by any clock.
        yield* TestClock.adjust("10 seconds")
        const outcome = yield* b.claim(claim("b"))
        assert.strictEqual(outcome._tag, seconds > 0 ? "Claimed" : seconds < -60 ? "Held" : "Claimed")
      })
    )

  it.effect("and comes back: all goes on at once", () =>
    Effect.gen(function* () {
      const { a, b, hands } = yield* setup()
      yield* a.claim(claim("a"))
      hands.offset = 60_000
      yield* failure(a.renew([claim("a")]))
      hands.offset = 0
      assert.strictEqual((yield* a.renew([claim("a")]))[0]!._tag, "Renewed")
      assert.strictEqual((yield* b.claim(claim("b")))._tag, "Held")
    })
  )

  it.effect("is warned of once, each time", () =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const { b, hands } = yield* setup()
      const refused = Effect.provide(
        failure(b.claim(claim("b"))),
        logs.to(({ message }) => void lines.push(message))
      )
      hands.offset = 60_000
      yield* refused
      yield* refused
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0]!, "the test's clock has gone ahead by 59s 999ms")
      hands.offset = 0
      yield* b.claim(claim("b"))
      hands.offset = -60_000
      yield* refused
      assert.strictEqual(lines.length, 2)
    })
  )

  it.effect("within the tolerance: is believed, and ends no lease early", () =>
    Effect.gen(function* () {
      const { a, b, hands } = yield* setup()
      yield* a.claim(claim("a"))
      yield* b.claim(claim("b"))
      hands.offset = 240
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* b.claim(claim("b")))._tag, "Held")
      yield* TestClock.adjust("300 millis")
      assert.strictEqual((yield* b.claim(claim("b")))._tag, "Claimed")
    })
  )

  it.effect("before a process has begun: it cannot know, and comes early by as much", () =>
    Effect.gen(function* () {
      const { a, connect, hands, inner } = yield* setup()
      yield* a.claim(claim("a"))
      hands.offset = 30_000
      const fresh = yield* connect
      assert.strictEqual((yield* fresh.claim(claim("early")))._tag, "Claimed")
      // The holder hears of it when it renews, though it does not believe that clock.
      const [renewal] = yield* a.renew([claim("a")])
      assert(renewal!._tag === "NotHeld" && renewal!.current?.ownerId === "early")
      yield* isHeldBy(inner, "early")
    })
  )

  it.effect("before a process has begun that asks its machine's clock: it is refused", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(base)
      const { a, connect, hands, inner } = yield* setup({ ...always, wallWithin: "2 seconds" }, {}, -base)
      yield* a.claim(claim("a"))
      hands.offset += 30_000
      const error = yield* failure(connect)
      assert.match(
        error.message,
        /differs by 30s from this machine's own clock, which is more than `wallWithin` \(2s\)/
      )
      yield* isHeldBy(inner, "a")
      // Nor is a new course believed, however steady.
      for (let n = 0; n < 3; n++) {
        yield* failure(a.claim(claim("a")))
        yield* TestClock.adjust("2 minutes")
      }
    })
  )

  it.effect("after a suspend it is asked again, however young its answer is", () =>
    Effect.gen(function* () {
      const { b, hands } = yield* setup({ maxAge: "1 hour" })
      const before = hands.asked
      yield* b.claim(claim("b"))
      yield* b.renew([claim("b")])
      assert.strictEqual(hands.asked, before)
      yield* TestClock.adjust("61 minutes")
      yield* b.claim(claim("b"))
      assert.strictEqual(hands.asked, before + 1)
    })
  )
})

const rubbish: ReadonlyArray<readonly [string, unknown, RegExp?]> = [
  ["NaN", Number.NaN],
  ["infinity", Number.POSITIVE_INFINITY],
  ["nothing", undefined],
  ["null", null],
  ["a text", "1700000000000"],
  ["a date", new Date(base)],
  ["a big integer", 1_700_000_000_000n],
  ["zero", 0],
  ["less than zero", -base],
  ["seconds", base / 1000, /Hint: it looks like seconds/],
  ["microseconds", base * 1000, /Hint: it looks like microseconds/],
  ["nanoseconds", base * 1e6, /Hint: it looks like nanoseconds/],
  ["1969", Date.UTC(1969, 0)],
  ["the year 3000", Date.UTC(3000, 0)]
]

const broken: ReadonlyArray<readonly [string, () => Effect.Effect<any, unknown>, Partial<StorageError>]> = [
  ["fails", () => Effect.fail("no clock today"), { reason: "Connection", isRetryable: true }],
  [
    "fails as a storage does",
    () =>
      Effect.fail(
        new StorageError({
          reason: "Permission",
          operation: "Other.time",
          isRetryable: false,
          applied: "unknown",
          message: "who are you"
        })
      ),
    { reason: "Permission", isRetryable: false }
  ],
  [
    "throws",
    () =>
      Effect.sync(() => {
        throw new Error("boom at postgres://user:sesame@host/db")
      }),
    { reason: "Connection", isRetryable: true }
  ],
  ["dies", () => Effect.die("boom"), { reason: "Connection", isRetryable: true }],
  ["hangs", () => Effect.never, { reason: "Timeout", isRetryable: true }],
  [
    "hangs, and cannot be stopped",
    () => Effect.uninterruptible(Effect.never),
    { reason: "Timeout", isRetryable: true }
  ],
  ...rubbish.map(
    ([what, value]) =>
      [`tells ${what}`, () => Effect.succeed(value), { reason: "Unknown", isRetryable: false }] as const
  )
]

/** Time goes on meanwhile. */
const inTime = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    while (fibers.exitOf(fiber) === undefined) yield* TestClock.adjust("100 millis")
    return yield* Fiber.join(fiber)
  })

describe("a provider that", () => {
  for (const [what, instead, expected] of broken)
    it.effect(`${what}: a typed error, at startup and after, and no second owner`, () =>
      Effect.gen(function* () {
        const { a, b, connect, hands, inner } = yield* setup()
        yield* a.claim(claim("a"))
        yield* b.claim(claim("b"))
        hands.instead = instead()
        for (const asks of [connect, b.claim(claim("b")), a.renew([claim("a")]), b.get("foo")]) {
          const error = yield* inTime(failure(asks as Effect.Effect<unknown, StorageError>))
          assert.deepStrictEqual(shape(error), { applied: "no", ...expected } as never, what)
          assert.include(error.message, "the test's clock")
          assert.notInclude(error.message, "sesame")
          const hint = rubbish.find(([name]) => what === `tells ${name}`)?.[2]
          if (hint !== undefined) assert.match(error.message, hint)
        }
        yield* isHeldBy(inner, "a")
        // What is the same at any time needs no clock: a loss is told, and a hold is given back.
        assert.strictEqual((yield* b.renew([claim("b")]))[0]!._tag, "NotHeld")
        assert.deepStrictEqual(yield* a.release(claim("a")), { _tag: "Released", remaining: 0 })
        hands.instead = undefined
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* inTime(b.claim(claim("b"))))._tag, "Claimed")
      })
    )

  it.effect("fails while a lock is held: the hold is lost in time, and not before", () =>
    Effect.gen(function* () {
      const { a, hands } = yield* setup()
      const process = yield* Process.make(a, { leaseExpireAfter: "10 seconds", clockMargin: "1 second" })
      const lock = yield* process.locks.acquire("foo", "a")
      yield* TestClock.adjust("20 seconds")
      hands.offset = 3_600_000
      yield* TestClock.adjust("2 seconds")
      assert.isAbove(Duration.toMillis(yield* lock.check), 0)
      yield* TestClock.adjust("10 seconds")
      const lost = yield* Effect.flip(lock.check)
      assert.strictEqual(lost.reason, "Expired")
    })
  )

  for (const kind of [undefined, readWrite])
    it.effect(
      `fails: a lock that is ${kind?.name ?? "exclusive"} is given back all the same, and its loss is told`,
      () =>
        Effect.gen(function* () {
          const { hands, inner, provider } = yield* setup()
          const store = yield* VersionedStore.withTime(inner, provider, always)
          const storage = VersionedStore.toStorage(store, { kind })
          const held = yield* storage.claim(claim("a"))
          assert.strictEqual(held._tag, "Claimed")
          hands.instead = Effect.fail("no clock today")
          yield* failure(storage.renew([claim("a")]))
          assert.deepStrictEqual(yield* storage.release(claim("a")), { _tag: "Released", remaining: 0 })
          assert.deepStrictEqual(yield* storage.release(claim("a")), { _tag: "NotHeld" })
          assert.strictEqual((yield* storage.renew([claim("a")]))[0]!._tag, "NotHeld")
          yield* failure(storage.claim(claim("b")))
        })
    )

  it.effect("is asked by a function, or one that promises, as well", () =>
    Effect.gen(function* () {
      for (const now of [() => base, () => Promise.resolve(base)]) {
        const store = yield* MemoryStorage.makeVersioned({ time: "none" })
        const made = yield* VersionedStore.withTime(store, { name: "a function", now })
        assert.isAtLeast(yield* made.time!, base * 1000 - 1_000_000)
      }
      const store = yield* MemoryStorage.makeVersioned({ time: "none" })
      const thrown = VersionedStore.withTime(store, {
        name: "a function",
        now: () => {
          throw new Error("no")
        }
      })
      assert.strictEqual((yield* failure(thrown)).reason, "Connection")
    })
  )

  it.effect("hangs is waited for no longer than the caller waits", () =>
    Effect.gen(function* () {
      const { b, hands } = yield* setup({ ...always, timeout: "1 hour" })
      hands.instead = Effect.never
      const fiber = yield* Effect.forkChild(
        Effect.provideService(failure(b.claim(claim("b"))), Storage.TimeLimit, Duration.seconds(2))
      )
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "Timeout")
    })
  )

  it.effect("is asked by one for all who ask at once", () =>
    Effect.gen(function* () {
      const { b, hands } = yield* setup({})
      yield* TestClock.adjust("2 seconds")
      const before = hands.asked
      yield* Effect.forEach(
        Array.from({ length: 30 }, (_, i) => `lock ${i}`),
        (lockId) => b.claim({ ...claim("b"), lockId }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(hands.asked, before + 1)
    })
  )
})

describe("records", () => {
  it.effect("of observed leases are refused by who has a clock, and the other way round; and none is dropped", () =>
    Effect.gen(function* () {
      const { a, inner } = yield* setup()
      const observed = VersionedStore.toStorage(inner)
      yield* observed.claim(claim("observed"))
      for (const asks of [a.claim(claim("a")), a.release(claim("observed")), a.get("foo")])
        assert.strictEqual((yield* failure(asks as Effect.Effect<unknown, StorageError>)).reason, "Schema")
      assert.strictEqual(yield* a.purge("1 hour"), 0)
      yield* isHeldBy(inner, "observed")
      // One that is free is nobody's.
      yield* observed.release(claim("observed"))
      yield* a.claim(claim("a"))
      for (const asks of [observed.claim(claim("observed")), observed.get("foo")])
        assert.strictEqual((yield* failure(asks as Effect.Effect<unknown, StorageError>)).reason, "Schema")
      yield* isHeldBy(inner, "a")
    })
  )
})

describe("options", () => {
  const refused = (
    field: string,
    options: unknown,
    provider: unknown = makeProvider().provider,
    store?: VersionedStore.Service
  ) =>
    Effect.gen(function* () {
      const inner = store ?? (yield* MemoryStorage.makeVersioned({ time: "none" }))
      const error = yield* Effect.flip(VersionedStore.withTime(inner, provider as never, options as never))
      assert.instanceOf(error, InvalidOptions)
      assert.strictEqual(error.field, field)
    })

  it.effect("that are none are refused before anybody is asked", () =>
    Effect.gen(function* () {
      for (const name of ["tolerance", "steadyFor", "timeout", "wallWithin"])
        for (const value of [0, -1, Number.NaN, "soon"]) yield* refused(name, { [name]: value })
      yield* refused("maxAge", { maxAge: "2 hours" })
      yield* refused("maxage", { maxage: 1 })
      yield* refused("options", 5)
      const { provider } = makeProvider()
      yield* refused("provider", {}, null)
      yield* refused("provider.now", {}, { name: "x" })
      yield* refused("provider.name", {}, { now: provider.now })
      yield* refused("provider.grain", {}, { ...provider, grain: -1 })
      yield* refused("provider.accuracy", {}, { ...provider, accuracy: "soon" })
      yield* refused("provider.acuracy", {}, { ...provider, acuracy: 1 })
    })
  )

  it.effect("a store that has a clock needs none", () =>
    Effect.gen(function* () {
      yield* refused("store", {}, undefined, yield* MemoryStorage.makeVersioned())
      const { inner } = yield* setup()
      const once = yield* VersionedStore.withTime(inner, makeProvider().provider)
      yield* refused("store", {}, makeProvider().provider, once)
    })
  )
})
