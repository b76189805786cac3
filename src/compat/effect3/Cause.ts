/** `effect/Cause` of Effect 3 in the names of Effect 4. */
import * as Cause from "effect/Cause"

export * from "effect/Cause"

export const findErrorOption = Cause.failureOption

export const hasDies = Cause.isDie

export const hasFails = Cause.isFailure

export const hasInterrupts = Cause.isInterrupted

export const hasInterruptsOnly = Cause.isInterruptedOnly

export const combine = Cause.sequential
