/** `effect/Layer` of Effect 3 in the names of Effect 4. */
export * from "effect/Layer"

export { scoped as effect, scopedDiscard as effectDiscard, unwrapScoped as unwrap } from "effect/Layer"
