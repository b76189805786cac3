/** A clock that the test sets by hand, and whose timers never fire: as in a blocked event loop, or before a late timer. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

export interface Hands {
  /** Milliseconds. */
  wall: number
  monotonic: number
}

export const make = (hands: Hands): Effect.Effect<Clock.Clock> =>
  Effect.map(Effect.clock, (real) => {
    const millis = () => hands.wall
    const nanos = () => BigInt(hands.monotonic) * 1_000_000n
    return {
      ...real,
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      sleep: () => Effect.never,
      unsafeCurrentTimeMillis: millis,
      unsafeCurrentTimeNanos: nanos,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(nanos)
    }
  })
