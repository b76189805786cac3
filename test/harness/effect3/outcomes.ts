/** What a program gets as an answer of two kinds. The twin is `effect4/outcomes.ts`. */
import * as Either from "effect/Either"
import * as Result from "#effect/Result"

export const resultOf = <A, E>(outcome: Either.Either<A, E>): Result.Result<A, E> =>
  Either.isRight(outcome) ? Result.succeed(outcome.right) : Result.fail(outcome.left)
