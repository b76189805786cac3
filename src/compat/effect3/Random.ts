/** `effect/Random` of Effect 3 in the names of Effect 4. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

export * from "effect/Random"

export const nextBetween = Random.nextRange

export const withSeed =
  (seed: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withRandom(self, Random.make(seed))
