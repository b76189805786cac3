/** `effect/Random` of Effect 3 in the names of Effect 4. */
import * as Random from "effect/Random"

export * from "effect/Random"

export const nextBetween = Random.nextRange
