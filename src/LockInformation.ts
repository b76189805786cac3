/**
 * What a program is told of a lock.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import type { LockRecord } from "./LockRecord.js"

/**
 * The public view of a held lock, as the storage last told it. Times are by the storage's clock; for a storage without one
 * (`guarantees.clock === "observed"`) they are this process's estimates.
 *
 * @since 0.1.0
 * @category models
 */
export interface LockInformation {
  readonly lockId: string
  /** Empty if an operator revoked the lock and its lease has not yet ended. */
  readonly ownerId: string
  /** Who the holder is, for people: the `ownerLabel` of its layer. Empty if it gave none. */
  readonly ownerLabel: string
  /** Grows with every change of the lock. */
  readonly version: number
  /** Fencing token: grows with every new hold, for ever. */
  readonly token: number
  /** How many times its owner holds it. */
  readonly lockCount: number
  readonly lockBeginTime: DateTime.Utc
  readonly leaseExpireTime: DateTime.Utc
}

const utc = (micros: number): DateTime.Utc => DateTime.unsafeMake(Math.floor(micros / 1000))

/**
 * @since 0.1.0
 * @category constructors
 */
export const fromRecord = (record: LockRecord, lockId: string = record.lockId): LockInformation => ({
  lockId,
  ownerId: record.ownerId,
  ownerLabel: record.ownerLabel ?? "",
  version: record.version,
  token: record.token,
  lockCount: record.holds.length,
  lockBeginTime: utc(record.lockBeginTime),
  leaseExpireTime: utc(record.leaseExpireTime)
})
