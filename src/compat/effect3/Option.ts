/** `effect/Option` of Effect 3 in the names of Effect 4. */
export * from "effect/Option"

export { fromNullable as fromNullishOr } from "effect/Option"
