/**
 * The locks that this process waits for. The file says only that something was written: by what a lock's record was when it was last looked at, and what it is now, it is known whether the lock was freed meanwhile.
 */
import { type ClaimOutcome, isLive, type LockRecord, type View } from "../../LockRecord.js"
import { AwaitedLocks } from "../shared/awaitedLocks.js"

/** More than are ever looked at once. */
const most = 256

/** So often at most one lock is told at once. */
const mostTold = 8

/** Of its record when it was last looked at, and whether somebody had it then. */
interface Seen {
  version: number | undefined
  isHeld: boolean
}

export class Waited {
  private readonly locks = new AwaitedLocks<Seen>(most)

  /** What a claim was answered. */
  heard(lockId: string, outcome: ClaimOutcome): void {
    if (outcome._tag === "Claimed") this.locks.forget(lockId)
    else this.keep(lockId, outcome.holder, (outcome.retryAfter ?? 0) / 1_000)
  }

  /** Somebody waits who has not claimed: it was given back here. */
  expects(lockId: string): void {
    this.keep(lockId)
  }

  ids(): ReadonlyArray<string> {
    return this.locks.ids()
  }

  /** Those that were freed since the last look, each as often as it was, also if somebody has taken it again: each claim and each release is one write. */
  freed(records: ReadonlyMap<string, LockRecord>, now: number): ReadonlyArray<string> {
    const freed: Array<string> = []
    for (const [lockId, record] of records) {
      const seen = this.locks.get(lockId)
      if (seen === undefined) continue
      const writes = record.version - (seen.version ?? record.version)
      const releases = seen.isHeld ? Math.ceil(writes / 2) : Math.floor(writes / 2)
      for (let i = Math.min(releases, mostTold); i > 0; i--) freed.push(lockId)
      seen.version = record.version
      seen.isHeld = isLive(record, now)
    }
    return freed
  }

  /** `holder`: who had it, if this is the first that is heard of it. */
  private keep(lockId: string, holder?: View, millis?: number): void {
    const seen = this.locks.get(lockId) ?? { isHeld: holder !== undefined, version: holder?.version }
    this.locks.keep(lockId, seen, millis)
  }
}
