/** `effect/Result` of Effect 4, as far as it is used here. What programs get is Either, by `outcome.ts`. */
import * as Option from "effect/Option"

export interface Success<out A, out E = never> {
  readonly _tag: "Success"
  readonly success: A
  readonly "~failure"?: E
}

export interface Failure<out A, out E> {
  readonly _tag: "Failure"
  readonly failure: E
  readonly "~success"?: A
}

export type Result<A, E = never> = Success<A, E> | Failure<A, E>

export const succeed = <A>(success: A): Result<A> => ({ _tag: "Success", success })

export const fail = <E>(failure: E): Result<never, E> => ({ _tag: "Failure", failure })

export const isSuccess = <A, E>(self: Result<A, E>): self is Success<A, E> => self._tag === "Success"

export const isFailure = <A, E>(self: Result<A, E>): self is Failure<A, E> => self._tag === "Failure"

export const getSuccess = <A, E>(self: Result<A, E>): Option.Option<A> =>
  isSuccess(self) ? Option.some(self.success) : Option.none()
