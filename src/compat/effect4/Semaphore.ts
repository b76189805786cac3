/** `effect/Semaphore`, by way of the index: a module that Effect 3 has not could not say that this is the wrong major. */
import * as effect from "effect"

export type { Semaphore } from "effect/Semaphore"

export const { make, makeUnsafe } = effect.Semaphore
