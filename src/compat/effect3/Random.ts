/** `effect/Random` of Effect 3 in the names of Effect 4. */
export * from "effect/Random"

export { nextRange as nextBetween } from "effect/Random"
