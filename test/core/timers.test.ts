import { assert, describe, it } from "#harness/vitest"
import type * as Clock from "effect/Clock"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as clocks from "#effect/clocks"
import { sleepsForEach, turns } from "#harness/settling"
import * as FastCheck from "fast-check"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Timers from "../../src/core/timers.js"
import type { Timeline } from "../../src/core/timeline.js"
import * as timelines from "../../src/core/timeline.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import { heard } from "../support/logged.js"
import * as Process from "../support/process.js"

const running = Effect.gen(function* () {
  const timeline: Timeline = timelines.make(yield* Effect.clockWith(Effect.succeed))
  const timers = Timers.make(timeline)
  yield* Effect.forkScoped(timers.run)
  yield* Effect.yieldNow
  return { timeline, timers }
})

describe("timers", () => {
  const plans = FastCheck.sample(
    FastCheck.array(FastCheck.record({ due: FastCheck.integer({ min: 0, max: 400 }), cancel: FastCheck.boolean() }), {
      maxLength: 200
    }),
    20
  )
  for (const [index, plan] of plans.entries()) {
    it.effect(`ring once each, in order of time, never early, and not when cancelled (plan ${index})`, () =>
      Effect.gen(function* () {
        const { timers, timeline } = yield* running
        const start = timeline.now()
        const rung: Array<readonly [due: number, at: number]> = []
        const set = plan.map(({ due }) => timers.set(start + due, () => rung.push([due, timeline.now() - start])))
        plan.forEach(({ cancel }, i) => {
          if (cancel) set[i]!.cancel()
        })
        yield* TestClock.adjust("400 millis")
        const expected = plan
          .filter(({ cancel }) => !cancel)
          .map(({ due }) => due)
          .sort((a, b) => a - b)
        assert.deepStrictEqual(
          rung,
          expected.map((due) => [due, due] as const),
          JSON.stringify(plan)
        )
      })
    )
  }

  it.effect("one set while the fiber sleeps for a later one rings in time; one set in a callback too", () =>
    Effect.gen(function* () {
      const { timers, timeline } = yield* running
      const start = timeline.now()
      const rung: Array<number> = []
      const note = () => rung.push(timeline.now() - start)
      timers.set(start + 900, note)
      yield* TestClock.adjust("100 millis")
      timers.set(start + 150, () => {
        note()
        timers.set(start + 170, note)
      })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(rung, [150, 170, 900])
    })
  )

  it.effect("a callback that throws stops nothing", () =>
    Effect.gen(function* () {
      const { timers, timeline } = yield* running
      let rung = false
      timers.set(timeline.now() + 10, () => {
        throw new Error("made by the test")
      })
      timers.set(timeline.now() + 20, () => {
        rung = true
      })
      yield* TestClock.adjust("30 millis")
      assert.isTrue(rung)
    })
  )

  /** What is kept, without what the next collection of garbage takes. */
  const kept = () => {
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    collect()
    return process.memoryUsage().heapUsed
  }

  it.effect("the cancelled do not pile up, beside few that live or many", () =>
    Effect.gen(function* () {
      const { timers, timeline } = yield* running
      for (const live of [1, 200]) {
        for (let i = 0; i < live; i++) timers.set(timeline.now() + 3_600_000, () => {})
        const before = kept()
        for (let i = 0; i < 200_000; i++) timers.set(timeline.now() + 3_600_000, () => {}).cancel()
        // They would be some 8 MB.
        assert.isBelow(kept() - before, 2_000_000)
      }
    })
  )

  /** Under a test clock each sleep costs milliseconds of real time. */
  const sleepsOf = (options: StorageLock.Options) =>
    Effect.gen(function* () {
      const clock = yield* Effect.clockWith(Effect.succeed)
      let sleeps = 0
      const counted: Clock.Clock = Object.create(clock, {
        sleep: {
          value: (duration: Duration.Duration) => {
            sleeps++
            return clock.sleep(duration)
          }
        }
      })
      yield* Effect.gen(function* () {
        const { locks } = yield* Process.make(yield* MemoryStorage.make(), options)
        const lock = yield* locks.acquire("lock")
        yield* TestClock.adjust("1 hour")
        yield* lock.check
        const other = yield* Process.make(yield* MemoryStorage.make(), options)
        assert.isTrue(Option.isSome(yield* other.locks.tryAcquire("lock")))
      }).pipe(Effect.scoped, (self) => clocks.withClock(self, counted))
      return sleeps
    })

  it.effect("under a test clock an hour of a hold takes a sleep for each renewal, and no others", () =>
    Effect.gen(function* () {
      assert.isAtMost(yield* sleepsOf({}), sleepsForEach * 360 + 10)
      assert.isAtMost(yield* sleepsOf({ leaseExpireAfter: "10 minutes" }), sleepsForEach * 18 + 10)
      assert.isAtMost(yield* sleepsOf({ leaseExpireAfter: "1 day" }), sleepsForEach * 5)
    })
  )

  it.live("under a real clock it never sleeps for long: a suspend must be noticed", () =>
    Effect.gen(function* () {
      const real = yield* Effect.clockWith(Effect.succeed)
      const longest: Array<number> = []
      const woken = yield* Deferred.make<void>()
      const clock: Clock.Clock = Object.create(real, {
        sleep: {
          value: (duration: Duration.Duration) => {
            longest.push(Duration.toMillis(duration))
            return longest.length < 3 ? Effect.void : Effect.andThen(Deferred.succeed(woken, void 0), Effect.never)
          }
        }
      })
      const timeline = timelines.make(clock)
      const timers = Timers.make(timeline)
      yield* Effect.forkScoped(clocks.withClock(timers.run, clock))
      timers.set(timeline.now() + 3_600_000, () => {})
      yield* Deferred.await(woken)
      assert.isAtMost(Math.max(...longest), 1000)
    }).pipe(Effect.scoped)
  )
})

const settled = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: turns }
)

/** Timers whose sleeps end when the test says so. */
const byHand = (isMovedByHand = false) =>
  Effect.gen(function* () {
    const sleeps: Array<number> = []
    const state = { now: 0, jumps: 0 }
    let wake = () => {}
    const clock = clocks.make({
      wallMillis: () => state.now,
      monotonicNanos: () => BigInt(Math.round(state.now * 1e6)),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          sleeps.push(Duration.toMillis(duration))
          wake = () => resume(Effect.void)
          return Effect.sync(() => {
            wake = () => {}
          })
        })
    })
    const timers = Timers.make({ now: () => state.now, jumps: () => state.jumps, isMovedByHand })
    yield* Effect.forkScoped(clocks.withClock(timers.run, clock))
    yield* settled
    /** Time goes on, and the sleep of before ends. */
    const awakeAt = (now: number) =>
      Effect.suspend(() => {
        state.now = now
        wake()
        return settled
      })
    return { timers, sleeps, state, awakeAt }
  })

describe("the sleep between timers", () => {
  it.live(
    "is none before the first, and none after the last, but one of a second if timers have come and gone meanwhile",
    () =>
      Effect.gen(function* () {
        const { awakeAt, sleeps, timers } = yield* byHand()
        assert.deepStrictEqual(sleeps, [])
        timers.set(10, () => {})
        yield* settled
        assert.deepStrictEqual(sleeps, [10])
        yield* awakeAt(10)
        assert.deepStrictEqual(sleeps, [10])
        timers.set(30, () => {})
        yield* settled
        assert.deepStrictEqual(sleeps, [10, 20])
        timers.set(600, () => {}).cancel()
        yield* awakeAt(30)
        assert.deepStrictEqual(sleeps, [10, 20, 1000], "the next timer is seldom nearer")
        yield* awakeAt(1030)
        assert.deepStrictEqual(sleeps, [10, 20, 1000])
      }).pipe(Effect.scoped)
  )

  it.live("is ended by a timer that is due sooner, and by no other", () =>
    Effect.gen(function* () {
      const { sleeps, timers } = yield* byHand()
      timers.set(500, () => {})
      yield* settled
      for (const due of [500, 501, 3_600_000]) timers.set(due, () => {})
      yield* settled
      assert.deepStrictEqual(sleeps, [500])
      timers.set(499.2, () => {})
      yield* settled
      assert.deepStrictEqual(sleeps, [500, 500], "of whole milliseconds: never early")
      timers.set(30, () => {})
      yield* settled
      assert.deepStrictEqual(sleeps, [500, 500, 30])
    }).pipe(Effect.scoped)
  )

  it.live("under a test clock is one for all that is set at once, since each costs milliseconds of real time", () =>
    Effect.gen(function* () {
      const { sleeps, timers } = yield* byHand(true)
      for (const due of [100, 50, 20]) {
        timers.set(due, () => {})
        for (let i = 0; i < 10; i++) yield* Effect.promise(() => Promise.resolve())
      }
      yield* settled
      assert.deepStrictEqual(sleeps, [20])
    }).pipe(Effect.scoped)
  )

  it.live("is ended by any timer after a suspend: it goes on by a clock that stood still", () =>
    Effect.gen(function* () {
      const { awakeAt, sleeps, state, timers } = yield* byHand()
      timers.set(3_600_000, () => {})
      yield* settled
      assert.deepStrictEqual(sleeps, [1000])
      state.now = 900
      state.jumps = 1
      let rung = false
      timers.set(1100, () => {
        rung = true
      })
      yield* settled
      assert.deepStrictEqual(sleeps, [1000, 200])
      yield* awakeAt(1100)
      assert.isTrue(rung)
      assert.deepStrictEqual(sleeps, [1000, 200, 1000])
      timers.set(2200, () => {})
      yield* settled
      assert.deepStrictEqual(sleeps, [1000, 200, 1000], "of one suspend, once")
    }).pipe(Effect.scoped)
  )
})

it.live("of hundreds of timers, each rings in its turn, whichever are cancelled meanwhile", () =>
  Effect.gen(function* () {
    const { awakeAt, state, timers } = yield* byHand()
    let seed = 7
    const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
    const rung: Array<readonly [due: number, at: number]> = []
    const expected: Array<number> = []
    const cancelled: Array<Timers.Timer> = []
    for (let i = 0; i < 600; i++) {
      const due = 1 + random(500)
      const timer = timers.set(due, () => rung.push([due, state.now]))
      if (i % 3 === 0) expected.push(due)
      else cancelled.push(timer)
    }
    assert.strictEqual(timers.pending(), 600)
    // Twice each: only the first counts.
    for (const timer of cancelled) {
      timer.cancel()
      timer.cancel()
    }
    assert.strictEqual(timers.pending(), 200)
    for (let now = 1; now <= 500; now++) {
      state.now = now
      if (expected.includes(now)) yield* awakeAt(now)
    }
    assert.deepStrictEqual(
      rung,
      expected.sort((a, b) => a - b).map((due) => [due, due] as const)
    )
    assert.strictEqual(timers.pending(), 0)
  }).pipe(Effect.scoped)
)

it.live("a callback that throws is told of", () =>
  heard((lines) =>
    Effect.gen(function* () {
      const { awakeAt, timers } = yield* byHand()
      timers.set(10, () => {
        throw new Error("made by the test")
      })
      yield* awakeAt(10)
      assert.lengthOf(lines, 1)
      assert.deepInclude(lines[0], { level: "Error" })
      assert.match(lines[0]!.message, /^effect-storage-lock: a timer failed .*made by the test/)
    }).pipe(Effect.scoped)
  )
)
