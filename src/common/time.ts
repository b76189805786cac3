/** Readings of the two clocks, in microseconds. */
import type * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import { monotonicNanos, wallMillis } from "#effect/clocks"

/**
 * The clocks of the context, in whole microseconds. By their unsafe methods: a test clock that was moved by a fraction of a millisecond, as jittered schedules move it,
 * throws from `currentTimeNanos`.
 */
export const monotonicMicros: Effect.Effect<number> = Effect.clockWith((clock) =>
  Effect.sync(() => Number(monotonicNanos(clock) / 1000n))
)

export const wallMicrosOf = (clock: Clock.Clock): number => Math.floor(wallMillis(clock) * 1000)

export const wallMicros: Effect.Effect<number> = Effect.clockWith((clock) => Effect.sync(() => wallMicrosOf(clock)))
