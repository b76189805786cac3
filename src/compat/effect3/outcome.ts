/** What a program gets as an answer of two kinds: Either here, Result on Effect 4. The twin is `effect4/outcome.ts`. */
import * as effect from "effect"
import type { Either } from "effect/Either"
import type { Option } from "effect/Option"
import type { Result } from "./Result.js"

/** @inline */
export type Outcome<A, E> = Either<A, E>

export const fromResult = <A, E>(result: Result<A, E>): Outcome<A, E> =>
  result._tag === "Success" ? effect.Either.right(result.success) : effect.Either.left(result.failure)

export const succeeded = <A, E>(outcome: Outcome<A, E>): Option<A> => effect.Option.getRight(outcome)
