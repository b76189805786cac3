/** What is told of how an acquire ends. */
import * as Cause from "#effect/Cause"
import type * as Duration from "#effect/Duration"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import { StorageError } from "../LockError.js"
import type { Acquired, Failure } from "./acquireStates.js"
import type { Core } from "./core.js"
import { holderOf, type Outcome } from "./events.js"
import type { Resolved } from "./options.js"

/**
 * Of this acquire, not of the call that failed: the last one may not have been applied though one before it may, or be another's, for whose answer this one waited. What may have been applied
 * is being undone; the lock may look held until then.
 */
export const withApplied = <E extends Failure>(error: E, applied: StorageError["applied"]): E | StorageError => {
  if (error._tag !== "StorageError" || error.applied === applied) return error
  const { cause, isRetryable, message, operation, reason } = error
  return new StorageError({ reason, operation, isRetryable, applied, message, cause })
}

export const tooSlow = (core: Core, options: Resolved): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `${core.storage.guarantees.name}.claim`,
    isRetryable: true,
    applied: "unknown",
    message: `${core.storage.guarantees.name} answered when nothing was left of a lease of ${options.lease} ms: it is too slow for so short a lease`
  })

/** As an event. */
export const outcomeOf = (
  exit: Exit.Exit<Acquired, Failure>,
  { lockId, wait }: { readonly lockId: string; readonly wait: boolean },
  waited: Duration.Duration,
  attempts: number
): Outcome => {
  if (Exit.isSuccess(exit)) {
    return Result.isSuccess(exit.value)
      ? { _tag: "Acquired", token: exit.value.success.token, waited, attempts }
      : { _tag: "Refused", holder: holderOf(exit.value.failure, lockId) }
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return { _tag: "Interrupted", waited }
  if (error._tag === "StorageError") return { _tag: "AcquireFailed", waited, error }
  // Who does not wait has found somebody here who has it.
  return wait ? { _tag: "TimedOut", waited, error } : { _tag: "Refused", holder: Option.fromNullishOr(error.heldBy) }
}
