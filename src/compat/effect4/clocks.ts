/** Clocks, where the majors of Effect differ in kind. The twin is `effect3/clocks.ts`. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Parts } from "../types.js"

/** The one that programs have unless they put another in its place, as `TestClock` does. */
export const live: Clock.Clock = Context.get(Context.empty(), Clock.Clock)

export const withClock = <A, E, R>(self: Effect.Effect<A, E, R>, clock: Clock.Clock): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Clock.Clock, clock)

/** Milliseconds since the Unix epoch. */
export const wallMillis = (clock: Clock.Clock): number => clock.currentTimeMillisUnsafe()

/** By the monotonic clock. */
export const monotonicNanos = (clock: Clock.Clock): bigint => clock.monotonicTimeNanosUnsafe()

export const make = ({ monotonicNanos, sleep, wallMillis }: Parts): Clock.Clock => {
  const wallNanos = () => BigInt(Math.floor(wallMillis() * 1000)) * 1000n
  return {
    currentTimeMillisUnsafe: wallMillis,
    currentTimeMillis: Effect.sync(wallMillis),
    currentTimeNanosUnsafe: wallNanos,
    currentTimeNanos: Effect.sync(wallNanos),
    monotonicTimeNanosUnsafe: monotonicNanos,
    monotonicTimeNanos: Effect.sync(monotonicNanos),
    sleep
  }
}
