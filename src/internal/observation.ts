/**
 * Observed expiry, for stores with no clock to trust: what this process has seen of each lock, and for how long it has not changed.
 *
 * An observed record holds spans: `leaseExpireTime` is the length of the lease as of the record's last write, `lockBeginTime` is 0.
 */
import type { LockRecord } from "../LockRecord.js"

interface Seen {
  readonly version: number
  /** When the reply of the first read of this version came, on this process's monotonic clock: never before the write, so time is only under-counted. */
  readonly since: number
  readonly token: number
  readonly tokenSince: number
}

/** Forgetting an observation is always safe: it starts anew. */
const capacity = 10_000

/** All in microseconds. */
export interface Observations {
  /** What is left of the lease, as far as this process can tell; zero or less once it has seen one version for all of it. */
  readonly left: (record: LockRecord, at: number) => number
  /** The record with times in place of spans, for people. */
  readonly estimate: (record: LockRecord, at: number, wall: number) => { readonly record: LockRecord; readonly left: number }
}

export const make = (): Observations => {
  const seen = new Map<string, Seen>()

  const observe = (record: LockRecord, at: number): Seen => {
    const before = seen.get(record.lockId)
    if (before !== undefined && before.version === record.version) return before
    const now: Seen = {
      version: record.version,
      since: at,
      token: record.token,
      tokenSince: before !== undefined && before.token === record.token ? before.tokenSince : at
    }
    seen.delete(record.lockId)
    if (record.holds.length === 0) return now
    if (seen.size >= capacity) seen.delete(seen.keys().next().value!)
    seen.set(record.lockId, now)
    return now
  }

  const left: Observations["left"] = (record, at) => record.leaseExpireTime - (at - observe(record, at).since)

  const estimate: Observations["estimate"] = (record, at, wall) => {
    const { tokenSince } = observe(record, at)
    const remaining = left(record, at)
    return {
      left: remaining,
      record: { ...record, lockBeginTime: wall - (at - tokenSince), leaseExpireTime: wall + remaining }
    }
  }

  return { left, estimate }
}
