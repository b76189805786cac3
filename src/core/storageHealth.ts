/** Whether the storage answers those of this process who ask it for one lock. */
import type { StorageError } from "../LockError.js"

/** After so long without an answer, nothing is known of the lock any more: half of what one has waited, within these bounds. In milliseconds. */
const shortestSilence = 50
const longestSilence = 1000

export class StorageHealth {
  private silentSince: number | undefined
  private answeredAt = Number.NEGATIVE_INFINITY
  /** How it last failed, if it has not answered since. */
  private failure: StorageError | undefined

  asked(now: number): void {
    this.silentSince ??= now
  }

  /** It has answered, or failed. */
  heard(now: number, failure: StorageError | undefined): void {
    this.silentSince = undefined
    this.failure = failure
    if (failure === undefined) this.answeredAt = now
  }

  /** Why nobody who waits since `began` can be told who has the lock. `isHeld`: the storage has named a holder, and nothing has changed that since. */
  outage(began: number, now: number, isHeld: boolean): StorageError | number | undefined {
    if (this.failure !== undefined) return this.failure
    if (this.silentSince === undefined) return undefined
    const silent = now - this.silentSince
    const isKnown = this.answeredAt >= began || isHeld
    return isKnown && silent < Math.min(longestSilence, Math.max(shortestSilence, (now - began) / 2))
      ? undefined
      : silent
  }
}
