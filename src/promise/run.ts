/** Effects as promises, which can be aborted. */
import * as Cause from "#effect/Cause"
import type * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { Run } from "#effect/fibers"
import * as Option from "#effect/Option"
import { StorageError } from "./errors.js"
import * as plain from "./plain.js"

const closed = () =>
  new StorageError("the locks are closed", {
    reason: "Closed",
    operation: "close",
    isRetryable: false,
    applied: "unknown"
  })

/** What a promise is rejected with. */
export const rejection = (cause: Cause.Cause<unknown>): unknown => {
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (failure !== undefined) return plain.error(failure)
  // Nobody interrupts but the end of the layer, or the caller's signal, whose reason counts then.
  return Cause.hasInterruptsOnly(cause) ? closed() : plain.error(Cause.squash(cause))
}

export interface Abort {
  readonly signal: AbortSignal | undefined
  /** Whether it still may be ended from outside. */
  readonly isOpen?: () => boolean
  /** Undoes what was done when the signal was aborted too late for it to be left. */
  readonly undo?: () => void
}

/** If the signal aborts while it may, the promise is rejected with the reason, and what runs is interrupted. */
export const promise = <A, E>(run: Run, self: Effect.Effect<A, E>, { isOpen, signal, undo }: Abort): Promise<A> =>
  new Promise<A>((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    let cancel = () => {}
    let isAborted = false
    const abort = () => {
      if (isOpen?.() === false) return
      isAborted = true
      cancel()
    }
    signal?.addEventListener("abort", abort, { once: true })
    cancel = run.callback(self, (exit) => {
      signal?.removeEventListener("abort", abort)
      if (isAborted) {
        undo?.()
        reject(signal?.reason)
      } else if (Exit.isSuccess(exit)) resolve(exit.value)
      else {
        undo?.()
        reject(rejection(exit.cause))
      }
    })
    // Aborted within what ran at once.
    if (isAborted) cancel()
  })
