/** `effect/Option` of Effect 3 in the names of Effect 4. */
import * as Option from "effect/Option"

export * from "effect/Option"

export const fromNullishOr = Option.fromNullable
