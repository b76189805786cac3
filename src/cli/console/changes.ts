/** What two looks at the same locks say of what happened in between. */
import type { LockInformation } from "../../promise/information.js"
import { type Hold, holdsOf, untold } from "../holds.js"
import type * as model from "./model.js"

/** A hold as it was seen. */
export interface SeenHold {
  readonly lock: Hold
  /** What was left of its lease, in milliseconds. */
  readonly left: number
  /** The most that was left of this hold's lease. */
  readonly length: number
}

/** A lock as it was seen; its hold is the oldest one. */
export interface Seen extends SeenHold {
  /** By `keyOf`. */
  readonly holds: ReadonlyMap<string, SeenHold>
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

/** Of one hold. */
export const isRevoked = ({ ownerId }: Pick<LockInformation, "ownerId">): boolean => ownerId === ""

/** An exclusive lock goes from hold to hold; where several may hold it, each comes and goes by itself. All that an owner has of a read-write lock has one token. */
const keyOf = ({ holder, token }: Hold): string => (holder === undefined ? "" : String(token))

/** `there`: the storage's clock. */
export const seenAs = (lock: LockInformation, was: Seen | undefined, there: number): Seen => {
  const holds = new Map<string, SeenHold>()
  for (const hold of holdsOf(lock)) {
    const key = keyOf(hold)
    const before = was?.holds.get(key)
    const left = Math.max(0, hold.leaseExpireTime.getTime() - there)
    const length = before?.lock.token === hold.token ? Math.max(before.length, left) : left
    const same = holds.get(key)
    if (same === undefined || same.left < left) holds.set(key, { lock: hold, left, length })
  }
  const [oldest] = holds.values()
  return { ...oldest!, holds, handOvers: was?.handOvers ?? 0 }
}

/** How a hold has ended whose lock is free, or another's. `now`: by the storage's clock. */
const endOf = ({ left, length, lock }: SeenHold, now: number): Kind =>
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

const change = (kind: Kind, { here }: Now, lock: Hold, next?: Hold): model.Change => ({
  at: new Date(here).toISOString(),
  kind,
  lockId: lock.lockId,
  ownerId: lock.ownerId,
  ownerLabel: lock.ownerLabel,
  token: lock.token,
  lockBeginTime: lock.lockBeginTime.toISOString(),
  leaseExpireTime: lock.leaseExpireTime.toISOString(),
  ...asHeld(lock),
  ...(next === undefined ? {} : { nextToken: next.token })
})

export const asHeld = ({ holder }: Hold): Pick<model.Holder, "mode" | "permits"> => ({
  ...(holder?.mode === undefined ? {} : { mode: holder.mode }),
  ...(holder?.permits === undefined ? {} : { permits: holder.permits })
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
  const ended = (was: SeenHold, at: number, next?: Hold) =>
    changes.push(change(isForced(was.lock) && !isRevoked(was.lock) ? "revoked" : endOf(was, at), now, was.lock, next))
  for (const lock of found) {
    const was = before?.locks.get(lock.lockId)
    const seen = seenAs(lock, was, now.there)
    let handedOver = false
    const told = before !== undefined
    for (const [key, { lock: hold }] of seen.holds) {
      const one = was?.holds.get(key)
      const isSame = one !== undefined && one.lock.token === hold.token
      if (one !== undefined && !isSame) handedOver = true
      if (!told) continue
      if (isSame && isRevoked(hold) && !isRevoked(one.lock)) changes.push(change("revoked", now, one.lock))
      // The next hold has begun when the lease of this one had run out, or before.
      if (one !== undefined && !isSame) ended(one, hold.lockBeginTime.getTime(), hold)
      if (!isSame) changes.push(change("held", now, hold))
    }
    // Those whose place nobody took.
    for (const [key, one] of was?.holds ?? []) if (!seen.holds.has(key) && untold(lock) === 0) ended(one, now.there)
    locks.set(lock.lockId, { ...seen, handOvers: seen.handOvers + (handedOver ? 1 : 0) })
    if (was === undefined || was.lock.version !== lock.version || was.lock.ownerId !== lock.ownerId)
      set.push(lock.lockId)
  }
  const gone: Array<string> = []
  for (const was of before?.locks.values() ?? []) {
    if (locks.has(was.lock.lockId)) continue
    gone.push(was.lock.lockId)
    // Where a list is cut, one that is no longer in it may only have been pushed out.
    if (!isCut) for (const one of was.holds.values()) ended(one, now.there)
  }
  return { locks, isCut, set, gone, changes }
}
