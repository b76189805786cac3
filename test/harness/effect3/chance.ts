/** Chance that a test decides. The twin is `effect4/chance.ts`. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Each number that is drawn stands at this part of its range. */
export const always =
  (part: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withRandom(self, Random.fixed([part]))
