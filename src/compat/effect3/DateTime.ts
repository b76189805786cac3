/** `effect/DateTime` of Effect 3 in the names of Effect 4. */
export * from "effect/DateTime"

export { unsafeMake as makeUnsafe } from "effect/DateTime"
