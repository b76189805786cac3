/** Which locks the listener of this process sleeps for, and whether they are still those that are waited for. */
import * as Effect from "#effect/Effect"
import type { ClaimOutcome } from "../../LockRecord.js"
import { AwaitedLocks } from "../shared/awaitedLocks.js"

/** More than are ever told at once. */
const longest = 1_024

export class Awaited {
  private readonly locks = new AwaitedLocks<undefined>(longest)
  /** Those that were looked at last. */
  private seen: ReadonlySet<string> = new Set()
  private isStale = false
  private listener: (() => void) | undefined

  /** What a claim was answered. */
  heard(lockId: string, outcome: ClaimOutcome): void {
    if (outcome._tag === "Held") return this.expects(lockId, (outcome.retryAfter ?? 0) / 1_000)
    if (this.locks.forget(lockId) && this.seen.has(lockId)) this.changes()
  }

  /** `millis`: how long it surely is not free. */
  expects(lockId: string, millis?: number): void {
    this.locks.keep(lockId, undefined, millis)
    if (!this.seen.has(lockId)) this.changes()
  }

  /** Whoever waits is told of it, and asks again. */
  forget(lockId: string): void {
    this.locks.forget(lockId)
  }

  /** At most so many. What comes later makes `changed` go on. */
  look(most: number): ReadonlyArray<string> {
    const found = this.locks.ids().slice(-most)
    this.seen = new Set(found)
    this.isStale = false
    return found
  }

  /** Goes on when what was looked at is not all any more, or too much. For one at a time. */
  readonly changed: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.isStale) return resume(Effect.void)
    this.listener = () => resume(Effect.void)
  })

  private changes(): void {
    this.isStale = true
    const listener = this.listener
    this.listener = undefined
    listener?.()
  }
}
