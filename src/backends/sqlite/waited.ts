/**
 * The locks that this process waits for. The file says only that something was written: by what a lock's record was when it was last looked at, and what it is now, it is known whether the lock was freed meanwhile.
 */
import { type ClaimOutcome, isLive, type LockRecord, type View } from "../../LockRecord.js"

/** In milliseconds. Who still waits has asked again by then: at the end of the lease at the latest. */
const grace = 1_000

/** More than are ever looked at once. The oldest are forgotten. */
const most = 256

/** So often at most one lock is told at once. */
const mostTold = 8

interface Lock {
  /** Of its record when it was last looked at, and whether somebody had it then. */
  version: number | undefined
  isHeld: boolean
  /** By `performance.now()`. */
  until: number
}

export class Waited {
  private readonly locks = new Map<string, Lock>()

  /** What a claim was answered. */
  heard(lockId: string, outcome: ClaimOutcome): void {
    if (outcome._tag === "Claimed") this.locks.delete(lockId)
    else this.keep(lockId, outcome.holder, (outcome.retryAfter ?? 0) / 1_000)
  }

  /** Somebody waits who has not claimed: it was given back here. */
  expects(lockId: string): void {
    const lock = this.locks.get(lockId)
    this.keep(lockId, undefined, lock === undefined ? 0 : Math.max(0, lock.until - performance.now() - grace))
  }

  ids(): ReadonlyArray<string> {
    const now = performance.now()
    for (const [lockId, { until }] of this.locks) {
      if (until < now) this.locks.delete(lockId)
    }
    return [...this.locks.keys()]
  }

  /** Those that were freed since the last look, each as often as it was, also if somebody has taken it again: each claim and each release is one write. */
  freed(records: ReadonlyMap<string, LockRecord>, now: number): ReadonlyArray<string> {
    const freed: Array<string> = []
    for (const [lockId, lock] of this.locks) {
      const record = records.get(lockId)
      if (record === undefined) continue
      const writes = record.version - (lock.version ?? record.version)
      const releases = lock.isHeld ? Math.ceil(writes / 2) : Math.floor(writes / 2)
      for (let i = Math.min(releases, mostTold); i > 0; i--) freed.push(lockId)
      lock.version = record.version
      lock.isHeld = isLive(record, now)
    }
    return freed
  }

  /** `holder`: who had it, if this is the first that is heard of it. */
  private keep(lockId: string, holder: View | undefined, millis: number): void {
    const { isHeld, version } = this.locks.get(lockId) ?? {
      isHeld: holder !== undefined,
      version: holder?.version
    }
    // The last is the newest.
    this.locks.delete(lockId)
    this.locks.set(lockId, { version, isHeld, until: performance.now() + millis + grace })
    for (const oldest of this.locks.keys()) {
      if (this.locks.size <= most) break
      this.locks.delete(oldest)
    }
  }
}
