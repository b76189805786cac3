/**
 * What a program learns about a lock.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as DateTime from "#effect/DateTime"
import * as Schema from "#effect/Schema"
import { unchecked } from "#effect/schemas"
import type { View } from "./LockRecord.js"

/**
 * One of those who hold a lock that several may hold.
 *
 * @since 0.5.0
 * @category models
 */
export class Holder extends Schema.Class<Holder>("effect-storage-lock/LockInformation/Holder")({
  /** Empty if an operator revoked this hold and its lease has not yet ended. */
  ownerId: Schema.String,
  ownerLabel: Schema.String,
  token: Schema.Number,
  /** Of a read-write lock. */
  mode: Schema.optional(Schema.Literals(["read", "upgradable", "write"])),
  /** Of a semaphore. */
  permits: Schema.optional(Schema.Number),
  lockBeginTime: Schema.DateTimeUtcFromString,
  leaseExpireTime: Schema.DateTimeUtcFromString
}) {}

/**
 * The public view of a held lock, as the storage last reported it. Its times are those of the storage's clock. For a storage without a clock
 * (`guarantees.clock === "observed"`) they are estimates of this process.
 *
 * It is also a schema, so it can be a response of an `HttpApi`. Encoded times are ISO strings in UTC.
 *
 * @since 0.1.0
 * @category models
 */
export class LockInformation extends Schema.Class<LockInformation>("effect-storage-lock/LockInformation")({
  lockId: Schema.String,
  /** Empty if an operator revoked the lock and its lease has not yet ended. */
  ownerId: Schema.String,
  /** Tells people who the holder is: the `ownerLabel` of its layer. Empty if the layer has none. */
  ownerLabel: Schema.String,
  /** Grows with every change of the lock. */
  version: Schema.Number,
  /** Fencing token. Grows with every new hold. */
  token: Schema.Number,
  /** How many times its owner holds it. */
  lockCount: Schema.Number,
  lockBeginTime: Schema.DateTimeUtcFromString,
  leaseExpireTime: Schema.DateTimeUtcFromString,
  /**
   * `"exclusive"`, `"readWrite"`, `"semaphore"`, or the kind of a program of its own. Absent if the storage does not tell it.
   *
   * @since 0.5.0
   */
  kind: Schema.optional(Schema.String),
  /**
   * Of a lock that several may hold: who they are, oldest first, the first hundred of them. The other fields are those of the oldest. Absent for an exclusive lock.
   *
   * @since 0.5.0
   */
  holders: Schema.optional(Schema.Array(Holder)),
  /**
   * How many they are in all.
   *
   * @since 0.5.0
   */
  holderCount: Schema.optional(Schema.Number)
}) {}

const mostHolders = 100

const utc = (micros: number): DateTime.Utc => DateTime.makeUnsafe(Math.floor(micros / 1000))

const holdersOf = ({ holders }: View): Partial<Pick<LockInformation, "holders" | "holderCount">> =>
  holders === undefined
    ? {}
    : {
        holders: holders
          .slice(0, mostHolders)
          .map(
            ({ leaseExpireTime, lockBeginTime, ownerLabel = "", ...holder }) =>
              new Holder(
                { ...holder, ownerLabel, lockBeginTime: utc(lockBeginTime), leaseExpireTime: utc(leaseExpireTime) },
                unchecked
              )
          ),
        holderCount: holders.length
      }

/**
 * @since 0.1.0
 * @category constructors
 */
export const fromRecord = (record: View, lockId: string = record.lockId): LockInformation =>
  new LockInformation(
    {
      lockId,
      ownerId: record.ownerId,
      ownerLabel: record.ownerLabel ?? "",
      version: record.version,
      token: record.token,
      lockCount: record.holds.length,
      lockBeginTime: utc(record.lockBeginTime),
      leaseExpireTime: utc(record.leaseExpireTime),
      // A storage of somebody else's may not tell it.
      ...((record.kind as string | undefined) === undefined ? {} : { kind: record.kind }),
      ...holdersOf(record)
    },
    // The record was looked at when the storage gave it; this is made for every line of a list.
    unchecked
  )
