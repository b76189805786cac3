/** `effect/Duration` of Effect 3 in the names of Effect 4. */
import type * as Duration from "effect/Duration"

export * from "effect/Duration"

export type Input = Duration.DurationInput

export { decode as fromInputUnsafe, decodeUnknown as fromInput } from "effect/Duration"
