/** `effect/Exit` of Effect 3 in the names of Effect 4. */
import * as Exit from "effect/Exit"

export * from "effect/Exit"

export const hasInterrupts = Exit.isInterrupted
