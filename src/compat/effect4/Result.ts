/** `effect/Result`, by way of the index: a module that Effect 3 has not could not say that this is the wrong major. */
import * as effect from "effect"

export type { Failure, Result, Success } from "effect/Result"

export const { fail, getSuccess, isFailure, isSuccess, succeed } = effect.Result
