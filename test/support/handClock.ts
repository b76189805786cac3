/** A clock that the test sets by hand, and whose timers never fire: as in a blocked event loop, or before a late timer. */
import type * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import * as clocks from "#effect/clocks"

export interface Hands {
  /** Milliseconds. */
  wall: number
  monotonic: number
}

export const make = (hands: Hands): Effect.Effect<Clock.Clock> =>
  Effect.clockWith((real) =>
    Effect.succeed({
      // Whether a test moves it is told by its other members.
      ...real,
      ...clocks.make({
        wallMillis: () => hands.wall,
        monotonicNanos: () => BigInt(hands.monotonic) * 1_000_000n,
        sleep: () => Effect.never
      })
    })
  )
