/** What a program gets as an answer of two kinds. The twin is `effect3/outcomes.ts`. */
import type * as Result from "effect/Result"

export const resultOf = <A, E>(outcome: Result.Result<A, E>): Result.Result<A, E> => outcome
