/** `effect/Semaphore` of Effect 4. */
import * as Effect from "effect/Effect"

export type Semaphore = Effect.Semaphore

export const makeUnsafe = Effect.unsafeMakeSemaphore
