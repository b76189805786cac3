/**
 * Observed expiry, for stores with no clock to trust: what this process has seen of each lock, and for how long it has not changed.
 *
 * An observed record holds spans: `leaseExpireTime` is the length of the lease as of the record's last write, `lockBeginTime` is 0.
 */
import type { LockRecord } from "../LockRecord.js"

interface Seen {
  readonly version: number
  /** A record that was deleted by hand and recreated may have the same version, but is another's. */
  readonly hold: string | undefined
  /** When the reply of the first read of this version came, on this process's monotonic clock: never before the write, so time is only under-counted. */
  readonly since: number
  readonly token: number
  readonly tokenSince: number
  /** When this lock was last asked for. */
  asked: number
}

/**
 * So many observations are kept in any case, and whatever was asked for within these microseconds, however many: to forget one is always safe, for it starts over, but a lock whose waiters come back must not
 * start over each time, or nobody would ever take over from a dead holder.
 */
const capacity = 10_000
const recently = 600_000_000

/** Drops what was asked for the longest ago, if there are many. The last asked for comes last. */
export const forgetOldest = (observations: Map<string, { readonly asked: number }>, at: number): void => {
  if (observations.size <= capacity) return
  const [oldest, { asked }] = observations.entries().next().value!
  if (asked + recently < at) observations.delete(oldest)
}

/** All in microseconds. */
export interface Observations {
  /** What is left of the lease, as far as this process can tell; zero or less once it has seen one version for all of it. */
  readonly left: (record: LockRecord, at: number) => number
  /** The record with times in place of spans, for people. */
  readonly estimate: (
    record: LockRecord,
    at: number,
    wall: number
  ) => { readonly record: LockRecord; readonly left: number }
  readonly size: () => number
}

export const make = (): Observations => {
  const seen = new Map<string, Seen>()

  /** In the order in which they were last asked for. */
  const keep = (lockId: string, observation: Seen, at: number): Seen => {
    observation.asked = at
    seen.delete(lockId)
    seen.set(lockId, observation)
    forgetOldest(seen, at)
    return observation
  }

  /** A report adds none when there are many: it may be of all locks that there are, and nobody may want them. */
  const observe = (record: LockRecord, at: number, isReport: boolean): Seen => {
    const before = seen.get(record.lockId)
    const hold = record.holds[0]
    if (before !== undefined && before.version === record.version && before.hold === hold)
      return isReport ? before : keep(record.lockId, before, at)
    const now: Seen = {
      version: record.version,
      hold,
      since: at,
      token: record.token,
      tokenSince: before !== undefined && before.token === record.token ? before.tokenSince : at,
      asked: at
    }
    if (record.holds.length === 0 || (isReport && before === undefined && seen.size >= capacity)) {
      seen.delete(record.lockId)
      return now
    }
    return keep(record.lockId, now, at)
  }

  const left: Observations["left"] = (record, at) => record.leaseExpireTime - (at - observe(record, at, false).since)

  const estimate: Observations["estimate"] = (record, at, wall) => {
    const { since, tokenSince } = observe(record, at, true)
    const remaining = record.leaseExpireTime - (at - since)
    return {
      left: remaining,
      record: { ...record, lockBeginTime: wall - (at - tokenSince), leaseExpireTime: wall + remaining }
    }
  }

  return { left, estimate, size: () => seen.size }
}
