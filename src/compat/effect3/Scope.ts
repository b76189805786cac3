/** `effect/Scope` of Effect 3 in the names of Effect 4. */
import * as Scope from "effect/Scope"

export * from "effect/Scope"

export type { CloseableScope as Closeable } from "effect/Scope"

export const provide = Scope.extend
