/** Observed expiry of each lease of a record: what this process has seen of it, and for how long it has not been written. */
import { forgetOldest } from "../common/observation.js"
import type { Lease } from "../LockKind.js"

interface Seen {
  readonly id: string
  readonly beat: number
  /** When the reply of the first read of this beat came, on this process's monotonic clock. */
  readonly since: number
  /** The same of this id: about since when it is there. */
  readonly first: number
}

interface Lock {
  readonly leases: ReadonlyArray<Seen>
  /** When this lock was last asked for. */
  readonly asked: number
}

export interface Observations {
  /** All leases of one lock, as a read whose reply came at `at` told them. Microseconds. */
  readonly look: (leases: ReadonlyArray<Lease>, at: number, lockId: string | undefined) => (lease: Lease) => number
  /** Since when a lease of this id has been seen there. */
  readonly first: (lockId: string | undefined, id: string) => number | undefined
  readonly size: () => number
}

export const make = (): Observations => {
  const locks = new Map<string, Lock>()

  const look: Observations["look"] = (leases, at, lockId = "") => {
    const before = locks.get(lockId)?.leases ?? []
    const known = new Map(before.map((seen) => [seen.id, seen]))
    const now = leases.map(({ beat, id }): Seen => {
      const seen = known.get(id)
      return seen?.beat === beat ? seen : { id, beat, since: at, first: seen?.first ?? at }
    })
    // The last asked for comes last.
    locks.delete(lockId)
    if (now.length > 0) locks.set(lockId, { leases: now, asked: at })
    forgetOldest(locks, at)
    const current = new Map(now.map((seen) => [seen.id, seen]))
    return ({ beat, end, id }) => {
      const seen = current.get(id)
      // Written in this very request: nobody has watched it yet.
      return seen?.beat === beat ? end - (at - seen.since) : end
    }
  }

  return {
    look,
    first: (lockId = "", id) => locks.get(lockId)?.leases.find((seen) => seen.id === id)?.first,
    size: () => locks.size
  }
}
