/** `effect/Random` of Effect 3, with the names of Effect 4 that tests use. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

export * from "#effect/Random"

export const withSeed =
  (seed: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withRandom(self, Random.make(seed))
