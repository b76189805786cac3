/**
 * What the storage's clock says, as far as this machine can tell. A list has no such time in it. But a hold that is listed has begun and has not ended, and one
 * that was not there before has begun since, or not long before: between these bounds the clocks are taken to agree.
 */
import type { LockInformation } from "../../promise/information.js"

export interface Span {
  readonly start: number
  readonly end: number
}

/** A hold begins by its claim's clock, and is seen when that is committed: so much later at most, in milliseconds, on a storage that is slow. */
const slowest = 5_000

export class StorageClock {
  private least = Number.NEGATIVE_INFINITY
  private most = Number.POSITIVE_INFINITY

  /** `isNew`: a look that began at `before` had not found it. */
  see(lock: LockInformation, { end, start }: Span, before: number | undefined): void {
    const begin = lock.lockBeginTime.getTime()
    const least = begin - end
    // Ends of leases are rounded down.
    const most = Math.min(
      lock.leaseExpireTime.getTime() + 1 - start,
      before === undefined ? Infinity : begin + 1 + slowest - before
    )
    this.least = Math.max(this.least, least)
    this.most = Math.min(this.most, most)
    // One of the clocks was set: what was known is over.
    if (this.least > this.most) [this.least, this.most] = [Math.min(least, most), most]
  }

  /** In milliseconds, by how much it is surely ahead of this machine's; negative if it is behind. */
  get ahead(): number {
    return Math.min(Math.max(0, this.least), this.most)
  }

  now(here: number): number {
    return here + this.ahead
  }
}
