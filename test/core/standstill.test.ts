/** A process that stood still could not hear the answer of the storage: who only tries gives it a moment more, once. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as clocks from "#effect/clocks"
import * as fibers from "#effect/fibers"
import * as logs from "#harness/logs"
import { turns } from "#harness/settling"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const settled = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: turns * 4 }
)

/** Tries while the storage is silent, 500 ms long if nothing else is said. All sleeps that are over end when the test looks at the clock, however late that is. */
const trying = (
  body: (parts: {
    readonly runsAgainAt: (millis: number) => Effect.Effect<void>
    readonly isDone: () => boolean
    readonly fails: Effect.Effect<string>
  }) => Effect.Effect<unknown, unknown>,
  options?: StorageLock.AcquireOptions
) =>
  Effect.suspend(() => {
    let now = 0
    const sleepers = new Set<{ readonly due: number; readonly wake: () => void }>()
    const clock = clocks.make({
      wallMillis: () => now,
      monotonicNanos: () => BigInt(now) * 1_000_000n,
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          // On Effect 4 what is repeated at once sleeps for no time.
          if (Duration.toMillis(duration) <= 0) return resume(Effect.void)
          const sleeper = { due: now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
          sleepers.add(sleeper)
          return Effect.sync(() => void sleepers.delete(sleeper))
        })
    })
    const runsAgainAt = (millis: number) =>
      Effect.suspend(() => {
        now = millis
        for (const sleeper of [...sleepers].filter(({ due }) => due <= now)) {
          sleepers.delete(sleeper)
          sleeper.wake()
        }
        return settled
      })
    return Effect.scoped(
      Effect.gen(function* () {
        const link = Faulty.make(yield* MemoryStorage.make())
        const { locks } = yield* Process.make(link.storage)
        yield* Effect.scoped(locks.tryAcquire("bar"))
        yield* link.set(["claim"], Faulty.hang)
        const fiber = yield* Effect.forkChild(Effect.flip(Effect.scoped(locks.tryAcquire("foo", options))))
        yield* settled
        yield* body({
          runsAgainAt,
          isDone: () => fibers.exitOf(fiber) !== undefined,
          fails: Effect.map(Effect.orDie(Fiber.join(fiber)), ({ message }) => message)
        })
        // The claim is given up, too: closing waits for it otherwise.
        yield* runsAgainAt(20_000)
      })
    ).pipe((self) => clocks.withClock(self, clock), logs.atLeast("None"))
  })

describe("a try", () => {
  it.live("is over when its time is, in a process that runs", () =>
    trying(({ fails, isDone, runsAgainAt }) =>
      Effect.gen(function* () {
        yield* runsAgainAt(499)
        assert.isFalse(isDone())
        yield* runsAgainAt(600)
        assert.isTrue(isDone())
        assert.strictEqual(yield* fails, "no answer from MemoryStorage within 600 ms")
      })
    )
  )

  it.live("has a quarter of a second more in one that stood still for more than 100 ms, once", () =>
    trying(({ fails, isDone, runsAgainAt }) =>
      Effect.gen(function* () {
        yield* runsAgainAt(601)
        assert.isFalse(isDone())
        yield* runsAgainAt(850)
        assert.isFalse(isDone())
        yield* runsAgainAt(1_200)
        assert.isTrue(isDone())
        assert.strictEqual(yield* fails, "no answer from MemoryStorage within 1200 ms")
      })
    )
  )

  it.live("has no more than its acquireTimeout, if it has one", () =>
    trying(
      ({ isDone, runsAgainAt }) =>
        Effect.gen(function* () {
          yield* runsAgainAt(900)
          assert.isTrue(isDone())
        }),
      { acquireTimeout: "500 millis" }
    )
  )
})
