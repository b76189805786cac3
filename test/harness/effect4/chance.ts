/** Chance that a test decides. The twin is `effect3/chance.ts`. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Each number that is drawn stands at this part of its range. */
export const always =
  (part: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Random.Random, {
      nextDoubleUnsafe: () => part,
      nextIntUnsafe: () => Math.floor(part * Number.MAX_SAFE_INTEGER)
    })
