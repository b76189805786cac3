/** What a program gets as an answer of two kinds: Result here, Either on Effect 3. The twin is `effect3/outcome.ts`. */
import type { Option } from "effect/Option"
import { getSuccess, type Result } from "./Result.js"

export type Outcome<A, E> = Result<A, E>

export const fromResult = <A, E>(result: Result<A, E>): Outcome<A, E> => result

export const succeeded = <A, E>(outcome: Outcome<A, E>): Option<A> => getSuccess(outcome)
