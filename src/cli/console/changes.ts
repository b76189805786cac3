/** What two looks at the same locks say of what happened in between. */
import type { LockInformation } from "../../promise/information.js"
import type * as model from "./model.js"

/** A lock as it was seen. */
export interface Seen {
  readonly lock: LockInformation
  /** What was left of its lease, in milliseconds. */
  readonly left: number
  /** The most that was left of this hold's lease. */
  readonly length: number
  readonly handOvers: number
}

export interface Looked {
  readonly locks: ReadonlyMap<string, Seen>
  readonly isCut: boolean
}

export interface Difference extends Looked {
  readonly set: ReadonlyArray<string>
  readonly gone: ReadonlyArray<string>
  readonly changes: ReadonlyArray<model.Change>
}

type Kind = model.Change["kind"]

export const isRevoked = ({ ownerId }: LockInformation): boolean => ownerId === ""

/** How a hold has ended whose lock is free, or another's. `now`: by the storage's clock. */
const endOf = ({ left, length, lock }: Seen, now: number): Kind =>
  // What was revoked is over as it was to be.
  isRevoked(lock) || lock.leaseExpireTime.getTime() > now
    ? "released"
    : // A holder that is well renews long before: so this one was not well already when it was last seen.
      left < length / 2
      ? "expired"
      : "unseen"

export interface Now {
  /** By this machine's clock. */
  readonly here: number
  /** By the storage's. */
  readonly there: number
}

const change = (kind: Kind, { here }: Now, lock: LockInformation, next?: LockInformation): model.Change => ({
  at: new Date(here).toISOString(),
  kind,
  lockId: lock.lockId,
  ownerId: lock.ownerId,
  ownerLabel: lock.ownerLabel,
  token: lock.token,
  lockBeginTime: lock.lockBeginTime.toISOString(),
  leaseExpireTime: lock.leaseExpireTime.toISOString(),
  ...(next === undefined ? {} : { nextToken: next.token })
})

/** `isForced`: whether the console itself has taken the hold away, of which a storage tells nothing once the lock is free. */
export const difference = (
  before: Looked | undefined,
  found: ReadonlyArray<LockInformation>,
  isCut: boolean,
  now: Now,
  isForced: (lock: LockInformation) => boolean
): Difference => {
  const locks = new Map<string, Seen>()
  const set: Array<string> = []
  const changes: Array<model.Change> = []
  const ended = (was: Seen, at: number, next?: LockInformation) =>
    changes.push(change(isForced(was.lock) && !isRevoked(was.lock) ? "revoked" : endOf(was, at), now, was.lock, next))
  for (const lock of found) {
    const was = before?.locks.get(lock.lockId)
    const left = Math.max(0, lock.leaseExpireTime.getTime() - now.there)
    const isSame = was !== undefined && was.lock.token === lock.token
    locks.set(lock.lockId, {
      lock,
      left,
      length: isSame ? Math.max(was.length, left) : left,
      handOvers: was === undefined ? 0 : was.handOvers + (isSame ? 0 : 1)
    })
    if (isSame && was.lock.version === lock.version && was.lock.ownerId === lock.ownerId) continue
    set.push(lock.lockId)
    if (before === undefined) continue
    if (isSame && isRevoked(lock) && !isRevoked(was.lock)) changes.push(change("revoked", now, was.lock))
    // The next hold has begun when the lease of this one had run out, or before.
    if (was !== undefined && !isSame) ended(was, lock.lockBeginTime.getTime(), lock)
    if (!isSame) changes.push(change("held", now, lock))
  }
  const gone: Array<string> = []
  for (const was of before?.locks.values() ?? []) {
    if (locks.has(was.lock.lockId)) continue
    gone.push(was.lock.lockId)
    // Where a list is cut, one that is no longer in it may only have been pushed out.
    if (!isCut) ended(was, now.there)
  }
  return { locks, isCut, set, gone, changes }
}
