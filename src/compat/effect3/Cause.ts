/** `effect/Cause` of Effect 3 in the names of Effect 4. */
export * from "effect/Cause"

export {
  failureOption as findErrorOption,
  isDie as hasDies,
  isFailure as hasFails,
  isInterrupted as hasInterrupts,
  isInterruptedOnly as hasInterruptsOnly,
  sequential as combine
} from "effect/Cause"
