import { assert, describe, it } from "#harness/vitest"
import type * as Clock from "effect/Clock"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import { withClock } from "#effect/clocks"
import { sleepsForEach } from "#harness/settling"
import * as FastCheck from "fast-check"
import * as Timers from "../../src/core/timers.js"
import type { Timeline } from "../../src/core/timeline.js"
import * as timelines from "../../src/core/timeline.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as StorageLock from "../../src/StorageLock.js"
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

  it.effect("the cancelled do not pile up", () =>
    Effect.gen(function* () {
      const { timers, timeline } = yield* running
      const before = process.memoryUsage().heapUsed
      for (let i = 0; i < 500_000; i++) timers.set(timeline.now() + 3_600_000, () => {}).cancel()
      // Half a million entries would be some 40 MB.
      assert.isBelow(process.memoryUsage().heapUsed - before, 30_000_000)
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
      }).pipe(Effect.scoped, (self) => withClock(self, counted))
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
      yield* Effect.forkScoped(withClock(timers.run, clock))
      timers.set(timeline.now() + 3_600_000, () => {})
      yield* Deferred.await(woken)
      assert.isAtMost(Math.max(...longest), 1000)
    }).pipe(Effect.scoped)
  )
})
