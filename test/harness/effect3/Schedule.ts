/** `effect/Schedule` of Effect 3, with the names of Effect 4 that tests use. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

export * from "#effect/Schedule"

export const addDelay =
  (more: () => Effect.Effect<Duration.DurationInput>) =>
  <A, I, R>(self: Schedule.Schedule<A, I, R>): Schedule.Schedule<A, I, R> =>
    Schedule.addDelayEffect(self, more)
