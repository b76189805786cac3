/** `effect/Fiber` of Effect 3 in the names of Effect 4: those that run. */
import type { RuntimeFiber } from "effect/Fiber"

export * from "effect/Fiber"

export type Fiber<A, E = never> = RuntimeFiber<A, E>
