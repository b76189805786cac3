/** `effect/Effect` of Effect 3 in the names of Effect 4. */
import * as Effect from "effect/Effect"
import type * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import * as Result from "./Result.js"

export * from "effect/Effect"

export const callback = Effect.async

const catchAs = Effect.catchAll

export const catchCause = Effect.catchAllCause

export const catchDefect = Effect.catchAllDefect

export const forkChild = Effect.fork

export const forkDetach = Effect.forkDaemon

export const updateContext = Effect.mapInputContext

export const withFiber = Effect.withFiberRuntime

export const andThen = Effect.zipRight

export { catchAs as catch }

export const yieldNow: Effect.Effect<void> = Effect.yieldNow()

export const result = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Result.Result<A, E>, never, R> =>
  Effect.match(self, { onFailure: Result.fail, onSuccess: Result.succeed })

export const fromResult = <A, E>(result: Result.Result<A, E>): Effect.Effect<A, E> =>
  result._tag === "Success" ? Effect.succeed(result.success) : Effect.fail(result.failure)

export type Success<T extends Effect.Effect<any, any, any>> = Effect.Effect.Success<T>

export type Error<T extends Effect.Effect<any, any, any>> = Effect.Effect.Error<T>

interface Timeout<A, E, R> {
  readonly duration: Duration.DurationInput
  readonly orElse: () => Effect.Effect<A, E, R>
}

export const timeoutOrElse: {
  <A2, E2, R2>(
    options: Timeout<A2, E2, R2>
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, E | E2, R | R2>
  <A, E, R, A2, E2, R2>(
    self: Effect.Effect<A, E, R>,
    options: Timeout<A2, E2, R2>
  ): Effect.Effect<A | A2, E | E2, R | R2>
} = dual(2, <A, E, R, A2, E2, R2>(self: Effect.Effect<A, E, R>, { duration, orElse }: Timeout<A2, E2, R2>) =>
  Effect.flatten(
    Effect.timeoutTo(self, {
      duration,
      onSuccess: (_) => Effect.succeed(_) as Effect.Effect<A | A2, E2, R2>,
      onTimeout: orElse
    })
  )
)

interface Ignoring {
  readonly log?: boolean
}

export const ignore: <Arg extends Effect.Effect<any, any, any> | Ignoring>(
  selfOrOptions: Arg,
  options?: Ignoring
) => Arg extends Effect.Effect<infer _A, infer _E, infer R>
  ? Effect.Effect<void, never, R>
  : <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<void, never, R> = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: Ignoring) =>
    options?.log === true ? Effect.ignoreLogged(self) : Effect.ignore(self)
)
