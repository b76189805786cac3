/** `effect/Layer` of Effect 3 in the names of Effect 4. */
import * as Layer from "effect/Layer"

export * from "effect/Layer"

export const effect = Layer.scoped

export const effectContext = Layer.scopedContext

export const unwrap = Layer.unwrapScoped

export const effectDiscard = Layer.scopedDiscard
