/** `effect/DateTime` of Effect 3 in the names of Effect 4. */
import * as DateTime from "effect/DateTime"

export * from "effect/DateTime"

export const makeUnsafe = DateTime.unsafeMake
