/** Clocks, where the majors of Effect differ in kind. The twin is `effect4/clocks.ts`. */
import * as effect from "effect"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Parts } from "../types.js"

/** The one that programs have unless they put another in its place, as `TestClock` does. */
export const live: Clock.Clock = Context.get(effect.DefaultServices.liveServices, Clock.Clock)

export const { withClock } = Effect

/** Milliseconds since the Unix epoch. */
export const wallMillis = (clock: Clock.Clock): number => clock.unsafeCurrentTimeMillis()

/** By the monotonic clock. */
export const monotonicNanos = (clock: Clock.Clock): bigint => clock.unsafeCurrentTimeNanos()

export const make = ({ monotonicNanos, sleep, wallMillis }: Parts): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: wallMillis,
  currentTimeMillis: Effect.sync(wallMillis),
  unsafeCurrentTimeNanos: monotonicNanos,
  currentTimeNanos: Effect.sync(monotonicNanos),
  sleep
})
