/**
 * The record of a lock, and the one pure function that says how it may change.
 *
 * `step` *is* the specification. The memory storage, `VersionedStore.toStorage` and the model of the conformance kit run it. A backend's native statements
 * must agree with it, and the kit checks that.
 *
 * All times are integers, microseconds since the Unix epoch by the storage's clock; all spans are integers, microseconds.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Schema from "#effect/Schema"

/**
 * What a storage keeps for one lock id. A free lock keeps its record, without holds, because it remembers the last token and version.
 *
 * @since 0.1.0
 * @category models
 */
export interface LockRecord {
  readonly lockId: string
  /** `"exclusive"`, or the kind of a later version of this library or of another lock over the same store. One id is never of two kinds at once. */
  readonly kind: string
  /** Format of the record, for fleets of mixed versions of this library. */
  readonly format: number
  readonly ownerId: string
  /** Tells people who the holder is. Absent if the holder has no label. It decides nothing. A nested hold keeps the label of the first one. */
  readonly ownerLabel?: string | undefined
  /** The live hold ids, oldest first. Empty if the lock is free. */
  readonly holds: ReadonlyArray<string>
  /** Fencing token. Grows with every new hold. Below 2^53. */
  readonly token: number
  /** Grows with every change. */
  readonly version: number
  readonly lockBeginTime: number
  readonly leaseExpireTime: number
  /** Room for what other kinds need; empty for `exclusive`. */
  readonly data: string
}

/**
 * The codec of a record, for a backend that keeps it as one value. `fromJson` is the same from and to text.
 *
 * @since 0.1.0
 * @category codecs
 */
export const LockRecord: Schema.Codec<LockRecord> = Schema.Struct({
  lockId: Schema.String,
  kind: Schema.String,
  format: Schema.Int,
  ownerId: Schema.String,
  ownerLabel: Schema.optional(Schema.String),
  holds: Schema.Array(Schema.String),
  token: Schema.Int,
  version: Schema.Int,
  lockBeginTime: Schema.Int,
  leaseExpireTime: Schema.Int,
  data: Schema.String
})

/**
 * @example
 * ```ts
 * import { LockRecord } from "effect-storage-lock"
 * import { Schema } from "effect"
 *
 * const read = (text: string) => Schema.decode(LockRecord.fromJson)(text)
 * const write = (record: LockRecord.LockRecord) => Schema.encode(LockRecord.fromJson)(record)
 * ```
 *
 * @since 0.1.0
 * @category codecs
 */
export const fromJson: Schema.Codec<LockRecord, string> = Schema.fromJsonString(LockRecord)

/**
 * The format that this version of the library writes, and the newest that it reads.
 *
 * @since 0.1.0
 * @category constants
 */
export const format = 1

/**
 * @since 0.1.0
 * @category constants
 */
export const exclusive = "exclusive"

/**
 * Replaces the hold ids in `holds` after an operator revoked the lock with `when: "leaseEnd"`. It blocks others until the lease ends. Nobody can renew it or
 * enter it again, because no hold id has these characters and no owner has the empty id.
 *
 * @since 0.1.0
 * @category constants
 */
export const revokedHold = "*".repeat(22)

/**
 * What a hold of a read-write lock may do. `upgradable`: it reads beside other readers, and one at a time it may become a writer.
 *
 * @since 0.5.0
 * @category models
 */
export type Mode = "read" | "upgradable" | "write"

/**
 * One of those who hold a lock that is shared.
 *
 * @since 0.5.0
 * @category models
 */
export interface Holder {
  readonly ownerId: string
  readonly ownerLabel?: string | undefined
  readonly token: number
  /** Of a read-write lock. */
  readonly mode?: Mode | undefined
  /** Of a semaphore. */
  readonly permits?: number | undefined
  readonly lockBeginTime: number
  readonly leaseExpireTime: number
}

/**
 * A record as one of its holds sees it, or as those see it who wait: its owner, token, begin and end are those of that hold, or of the oldest one.
 *
 * @since 0.5.0
 * @category models
 */
export interface View extends LockRecord {
  /** All who hold a lock that is shared, oldest first. Absent for an exclusive lock, which has one owner. */
  readonly holders?: ReadonlyArray<Holder> | undefined
}

/**
 * Takes the lock if it is free or expired. Adds a hold if the owner already has it. Gives the same answer again if this hold id is already in the record.
 *
 * @since 0.1.0
 * @category requests
 */
export interface Claim {
  readonly lockId: string
  readonly ownerId: string
  /** Random, 22 characters base64url (`StorageLock.Ids`): the identity of the hold *and* the idempotency key of the request. */
  readonly holdId: string
  /** Microseconds. */
  readonly lease: number
  /** Stored beside the owner, for people. Empty means none. */
  readonly ownerLabel?: string | undefined
  /** Of a read-write lock: what it is to be. Default: `write`. */
  readonly mode?: Mode | undefined
  /** Of a semaphore: how many permits, and how many there are in all as this claim sees it. Default of both: 1. */
  readonly permits?: number | undefined
  readonly limit?: number | undefined
  /** Whether whoever claims waits if somebody is in the way. Kinds that share may keep its place then (`Held.pending`). */
  readonly waits?: boolean | undefined
}

/**
 * Extends the lease, for this hold only.
 *
 * @since 0.1.0
 * @category requests
 */
export interface Renew {
  readonly lockId: string
  readonly holdId: string
  /** Microseconds. */
  readonly lease: number
}

/**
 * Removes this hold. Removing the last one frees the lock.
 *
 * @since 0.1.0
 * @category requests
 */
export interface Release {
  readonly lockId: string
  readonly holdId: string
}

/**
 * An operator takes the lock away from the hold with this token. `"leaseEnd"` keeps others out until the lease ends, which is safe. `"now"` frees the lock at
 * once, although the former holder may not have noticed yet.
 *
 * @since 0.1.0
 * @category requests
 */
export interface Revoke {
  readonly lockId: string
  readonly token: number
  readonly when: "leaseEnd" | "now"
}

/**
 * @since 0.1.0
 * @category requests
 */
export type Request =
  | ({ readonly _tag: "Claim" } & Claim)
  | ({ readonly _tag: "Renew" } & Renew)
  | ({ readonly _tag: "Release" } & Release)
  | ({ readonly _tag: "Revoke" } & Revoke)

/**
 * `validFor` = lease end − now, both from **one** sample of the storage's clock, in microseconds. `Held` names the *present* holder;
 * its `retryAfter` is what is left of the holder's lease.
 *
 * @since 0.1.0
 * @category outcomes
 */
export type ClaimOutcome =
  | { readonly _tag: "Claimed"; readonly record: View; readonly validFor: number }
  | {
      readonly _tag: "Held"
      readonly holder?: View | undefined
      readonly retryAfter?: number | undefined
      /** The record keeps a place for this claim: whoever gives up must release it. */
      readonly pending?: boolean | undefined
    }

/**
 * `NotHeld` has the present record, whether or not it is live, or none if the storage has no record of the lock. It tells a holder *why* it lost the lock:
 * taken, forced, expired or forgotten.
 *
 * @since 0.1.0
 * @category outcomes
 */
export type RenewOutcome =
  | { readonly _tag: "Renewed"; readonly leaseExpireTime: number; readonly validFor: number }
  | {
      readonly _tag: "NotHeld"
      readonly current?: LockRecord | undefined
      /** Of a lock that is shared, where others' holds tell nothing of this one: it ran out, an operator took it, or the record does not have it and does not say why. */
      readonly because?: "expired" | "revoked" | "gone" | undefined
    }

/**
 * @since 0.1.0
 * @category outcomes
 */
export type ReleaseOutcome =
  | {
      readonly _tag: "Released"
      readonly remaining: number
      /** Another process that waits for the lock was told of it: who wants it again should let that one go first. */
      readonly awaited?: boolean | undefined
    }
  | { readonly _tag: "NotHeld" }

/**
 * @since 0.1.0
 * @category outcomes
 */
export type RevokeOutcome = { readonly _tag: "Revoked" } | { readonly _tag: "NotHeld" }

/**
 * @since 0.1.0
 * @category outcomes
 */
export type OutcomeOf<R extends Request["_tag"]> = R extends "Claim"
  ? ClaimOutcome
  : R extends "Renew"
    ? RenewOutcome
    : R extends "Release"
      ? ReleaseOutcome
      : RevokeOutcome

/**
 * The record after a request, and the answer. If nothing changed, `record` is the same reference, and nothing has to be written.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step<O> {
  readonly record: LockRecord | undefined
  readonly outcome: O
}

/**
 * Whether somebody holds the lock at `now`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLive = (record: LockRecord, now: number): boolean =>
  record.holds.length > 0 && record.leaseExpireTime > now

/**
 * The label as a part of a record: no field where there is no label.
 *
 * @since 0.1.0
 * @category constructors
 */
export const labelled = (ownerLabel: string | null | undefined): Pick<LockRecord, "ownerLabel"> =>
  ownerLabel ? { ownerLabel } : {}

/**
 * @since 0.1.0
 * @category transitions
 */
export const claim = (record: LockRecord | undefined, request: Claim, now: number): Step<ClaimOutcome> => {
  if (record === undefined || !isLive(record, now)) {
    const next: LockRecord = {
      lockId: request.lockId,
      kind: exclusive,
      format,
      ownerId: request.ownerId,
      ...labelled(request.ownerLabel),
      holds: [request.holdId],
      // The clock keeps token and version growing over a purged record; last + 1 keeps them growing over a clock that steps back.
      token: Math.max((record?.token ?? 0) + 1, now),
      version: record === undefined ? Math.max(1, now) : record.version + 1,
      lockBeginTime: now,
      leaseExpireTime: now + request.lease,
      data: ""
    }
    return { record: next, outcome: { _tag: "Claimed", record: next, validFor: request.lease } }
  }
  if (record.ownerId !== request.ownerId || record.kind !== exclusive) {
    return { record, outcome: { _tag: "Held", holder: record, retryAfter: record.leaseExpireTime - now } }
  }
  const next: LockRecord = record.holds.includes(request.holdId)
    ? record
    : {
        ...record,
        holds: [...record.holds, request.holdId],
        version: record.version + 1,
        leaseExpireTime: Math.max(record.leaseExpireTime, now + request.lease)
      }
  return { record: next, outcome: { _tag: "Claimed", record: next, validFor: next.leaseExpireTime - now } }
}

/**
 * @since 0.1.0
 * @category transitions
 */
export const renew = (record: LockRecord | undefined, request: Renew, now: number): Step<RenewOutcome> => {
  if (record === undefined) return { record, outcome: { _tag: "NotHeld" } }
  if (record.kind !== exclusive || !isLive(record, now) || !record.holds.includes(request.holdId))
    return { record, outcome: { _tag: "NotHeld", current: record } }
  const leaseExpireTime = Math.max(record.leaseExpireTime, now + request.lease)
  return {
    record: { ...record, version: record.version + 1, leaseExpireTime },
    outcome: { _tag: "Renewed", leaseExpireTime, validFor: leaseExpireTime - now }
  }
}

/**
 * @since 0.1.0
 * @category transitions
 */
export const release = (record: LockRecord | undefined, request: Release): Step<ReleaseOutcome> => {
  if (record === undefined || record.kind !== exclusive || !record.holds.includes(request.holdId)) {
    return { record, outcome: { _tag: "NotHeld" } }
  }
  const holds = record.holds.filter((hold) => hold !== request.holdId)
  return {
    record: { ...record, holds, version: record.version + 1 },
    outcome: { _tag: "Released", remaining: holds.length }
  }
}

/**
 * @since 0.1.0
 * @category transitions
 */
export const revoke = (record: LockRecord | undefined, request: Revoke, now: number): Step<RevokeOutcome> => {
  if (record === undefined || record.kind !== exclusive || !isLive(record, now) || record.token !== request.token) {
    return { record, outcome: { _tag: "NotHeld" } }
  }
  const outcome = { _tag: "Revoked" } as const
  if (request.when === "now") {
    return { record: { ...record, holds: [], version: record.version + 1 }, outcome }
  }
  if (record.holds[0] === revokedHold) return { record, outcome }
  const { ownerLabel: _, ...rest } = record
  return { record: { ...rest, ownerId: "", holds: [revokedHold], version: record.version + 1 }, outcome }
}

/**
 * What one request does to a record at the time `now`. Pure, total, and the definition of every storage of this library. A record of another kind is
 * held for a claim, and not held for everything else.
 *
 * @example
 * ```ts
 * import { LockRecord } from "effect-storage-lock"
 *
 * const free = undefined
 * const taken = LockRecord.step(free, { _tag: "Claim", lockId: "a", ownerId: "me", holdId: "h".repeat(22), lease: 30_000_000 }, 1_000)
 * if (taken.outcome._tag === "Claimed") console.log(taken.outcome.validFor) // 30000000
 * ```
 *
 * @since 0.1.0
 * @category transitions
 */
export const step = <R extends Request>(
  record: LockRecord | undefined,
  request: R,
  now: number
): Step<OutcomeOf<R["_tag"]>> => {
  const run = (request: Request): Step<ClaimOutcome | RenewOutcome | ReleaseOutcome | RevokeOutcome> => {
    switch (request._tag) {
      case "Claim":
        return claim(record, request, now)
      case "Renew":
        return renew(record, request, now)
      case "Release":
        return release(record, request)
      case "Revoke":
        return revoke(record, request, now)
    }
  }
  return run(request) as Step<OutcomeOf<R["_tag"]>>
}
