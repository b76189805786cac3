/** `effect/Scope` of Effect 3 in the names of Effect 4. */
export * from "effect/Scope"

export type { CloseableScope as Closeable } from "effect/Scope"

export { extend as provide } from "effect/Scope"
