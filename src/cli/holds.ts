/** Each hold of a lock by itself: an exclusive lock has one, and one that several may hold has many. */
import type { Holder, LockInformation } from "../promise/information.js"

/** The lock as this hold has it: its owner, token and times. */
export interface Hold extends LockInformation {
  /** Absent for an exclusive lock. */
  readonly holder?: Holder | undefined
}

export const holdsOf = (lock: LockInformation): ReadonlyArray<Hold> => {
  const { holders } = lock
  // Something that knows no kinds has taken them all away, until its lease ends.
  if (holders === undefined || holders.length === 0) return [lock]
  return holders.map((holder): Hold => {
    const { leaseExpireTime, lockBeginTime, ownerId, ownerLabel, token } = holder
    return { ...lock, ownerId, ownerLabel, token, lockBeginTime, leaseExpireTime, lockCount: 1, holder }
  })
}

/** How many there are beyond those that are told. */
export const untold = ({ holderCount = 0, holders = [] }: LockInformation): number =>
  Math.max(0, holderCount - holders.length)

/** As what it is held, in one word or two. */
export const heldAs = ({ holder, kind }: Hold): string => {
  if (holder?.mode !== undefined) return holder.mode
  if (holder?.permits !== undefined) return `${holder.permits} ${holder.permits === 1 ? "permit" : "permits"}`
  return kind
}
