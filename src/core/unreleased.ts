/** Releases that fail, and what is said of them. */
import type { StorageError } from "../LockError.js"
import type { Claimant } from "./claimant.js"
import { callLimit, type Core } from "./core.js"
import type { Subject } from "./logs.js"

/** One release that fails: told once if it is for good, or for long, and once more if it succeeds after all. Nothing is told of what keeps nobody out. */
export class Unreleased {
  private failure: StorageError | undefined
  private isAnswered = false
  private told: Subject | undefined
  private readonly since: number

  constructor(
    private readonly core: Core,
    private readonly claimant: Claimant
  ) {
    this.since = core.timeline.now()
  }

  failed(error: StorageError): void {
    this.failure = error
    this.isAnswered = false
    if (!error.isRetryable || this.core.timeline.now() - this.since >= callLimit(this.claimant.lease)) this.tell()
  }

  answered(): void {
    this.isAnswered = true
    if (this.told === undefined) return
    this.core.logs.released(this.told)
    this.told = undefined
  }

  /** Nobody tries any more. */
  ended(): void {
    if (!this.isAnswered) this.tell()
  }

  private tell(): void {
    if (this.told !== undefined) return
    const { claimant, core } = this
    const now = core.timeline.now()
    const { unsure = Number.NEGATIVE_INFINITY } = claimant
    // What was never held here, but claimed, may be held there for a lease.
    const since =
      claimant.inflight > 0 ? now : claimant.until === Number.NEGATIVE_INFINITY ? Math.max(this.since, unsure) : unsure
    const left = Math.max(claimant.until, since + claimant.lease) - now
    if (left <= 0) return
    this.told = { claimant, leaseEnd: core.logs.wallClock() + left }
    core.logs.unreleased(this.told, this.failure)
  }
}
