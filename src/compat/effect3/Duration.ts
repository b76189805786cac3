/** `effect/Duration` of Effect 3 in the names of Effect 4. */
import * as Duration from "effect/Duration"

export * from "effect/Duration"

/** @inline */
export type Input = Duration.DurationInput

export const fromInputUnsafe = Duration.decode

export const fromInput = Duration.decodeUnknown
