/** `effect/Exit` of Effect 3 in the names of Effect 4. */
export * from "effect/Exit"

export { isInterrupted as hasInterrupts } from "effect/Exit"
