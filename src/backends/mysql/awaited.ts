/** Which locks this process waits for, as far as a storage can tell: those that were claimed here, and that somebody else had. */
import * as Effect from "#effect/Effect"
import type { ClaimOutcome } from "../../LockRecord.js"

/** In milliseconds. Who still waits has asked again by then: at the end of the lease at the latest. */
const grace = 1_000

/** More than are ever told at once. The oldest are forgotten. */
const longest = 1_024

export class Awaited {
  /** Until when, by `performance.now()`. */
  private readonly until = new Map<string, number>()
  /** Those that were looked at last. */
  private seen: ReadonlySet<string> = new Set()
  private isStale = false
  private listener: (() => void) | undefined

  /** What a claim was answered. */
  heard(lockId: string, outcome: ClaimOutcome): void {
    if (outcome._tag === "Claimed") {
      if (this.until.delete(lockId) && this.seen.has(lockId)) this.changes()
      return
    }
    this.expects(lockId, (outcome.retryAfter ?? 0) / 1_000)
  }

  /** `millis`: how long it surely is not free. */
  expects(lockId: string, millis = 0): void {
    // The last is the newest.
    this.until.delete(lockId)
    this.until.set(lockId, performance.now() + millis + grace)
    for (const oldest of this.until.keys()) {
      if (this.until.size <= longest) break
      this.until.delete(oldest)
    }
    if (!this.seen.has(lockId)) this.changes()
  }

  /** Whoever waits is told of it, and asks again. */
  forget(lockId: string): void {
    this.until.delete(lockId)
  }

  /** At most so many. What comes later makes `changed` go on. */
  look(most: number): ReadonlyArray<string> {
    const now = performance.now()
    for (const [lockId, until] of this.until) {
      if (until < now) this.until.delete(lockId)
    }
    const found = [...this.until.keys()].slice(-most)
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
