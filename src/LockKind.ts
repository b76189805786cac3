/**
 * Kinds of lock. A kind is one pure transition of the record; everything else, from the port to the life of a hold, is shared by all kinds.
 *
 * `StorageReadWriteLock` and `StorageSemaphore` are kinds; `LockRecord.step` is the exclusive lock, which needs no more than that. One id is of one kind at a time: a lock that somebody holds is held for every other kind, and a free one may become one of any
 * kind. Tokens and versions grow on from kind to kind.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type * as LockRecord from "./LockRecord.js"

/**
 * Something in a record that runs out: a hold, or a claim that waits.
 *
 * @since 0.5.0
 * @category models
 */
export interface Lease {
  readonly id: string
  /** The version of the record at which it was last written. A version never comes twice, so a lease whose beat has changed was written since. */
  readonly beat: number
  /** When it ends, in microseconds since the Unix epoch; for a store without a clock, how long it lasts. */
  readonly end: number
}

/**
 * The moment at which a transition is judged.
 *
 * @since 0.5.0
 * @category models
 */
export interface Moment {
  /** The storage's clock, in microseconds since the Unix epoch; 0 for a store without one, where leases are lengths. */
  readonly now: number
  /** What is left of a lease, in microseconds. Zero or less: it is over. */
  readonly left: (lease: Lease) => number
  /** Whether leases are lengths, watched by those who wait: then what promises a lease again must be written again. */
  readonly isObserved: boolean
  /** When a lease began and ends, for people: microseconds since the Unix epoch, estimated for a store without a clock. `begin` is what the record has. */
  readonly times: (lease: Lease, begin: number) => Times
}

/**
 * @since 0.5.0
 * @category models
 */
export type Times = Pick<LockRecord.LockRecord, "lockBeginTime" | "leaseExpireTime">

/**
 * A kind of lock. Each function is pure and total. If nothing changes, `record` is the same reference as was given, and nothing is written.
 *
 * Rules that the conformance kit checks: a live record of another kind is answered with `Held`, and never changed; an outcome has the record as that hold sees it (its own token, owner, begin and end);
 * every change makes the version greater, and every new hold of another owner the token.
 *
 * @since 0.5.0
 * @category models
 */
export interface LockKind {
  /** What `LockRecord.kind` says. */
  readonly name: string
  readonly claim: (
    record: LockRecord.LockRecord | undefined,
    request: LockRecord.Claim,
    moment: Moment
  ) => LockRecord.Step<LockRecord.ClaimOutcome>
  readonly renew: (
    record: LockRecord.LockRecord | undefined,
    request: LockRecord.Renew,
    moment: Moment
  ) => LockRecord.Step<LockRecord.RenewOutcome>
  readonly release: (
    record: LockRecord.LockRecord | undefined,
    request: LockRecord.Release
  ) => LockRecord.Step<LockRecord.ReleaseOutcome>
  readonly revoke: (
    record: LockRecord.LockRecord | undefined,
    request: LockRecord.Revoke,
    moment: Moment
  ) => LockRecord.Step<LockRecord.RevokeOutcome>
  /** All that may run out. A record of another kind is one lease, whatever its `data` says. */
  readonly leases: (record: LockRecord.LockRecord) => ReadonlyArray<Lease>
  /** What people are told of a record of this kind that somebody holds: as the oldest hold sees it. Nothing, if nobody does. */
  readonly view: (record: LockRecord.LockRecord, moment: Moment) => LockRecord.View | undefined
}

/**
 * By a clock: leases have an end.
 *
 * @since 0.5.0
 * @category constructors
 */
export const at = (now: number): Moment => ({
  now,
  left: ({ end }) => end - now,
  isObserved: false,
  times: ({ end }, begin) => ({ lockBeginTime: begin, leaseExpireTime: end })
})

/**
 * A whole record as one lease: of another kind, or of a kind that has one lease alone.
 *
 * @since 0.5.0
 * @category constructors
 */
export const whole = (record: LockRecord.LockRecord): ReadonlyArray<Lease> =>
  record.holds.length === 0 ? [] : [{ id: record.holds[0]!, beat: record.version, end: record.leaseExpireTime }]
