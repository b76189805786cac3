import { Long } from "mongodb"
import * as LockRecord from "../../LockRecord.js"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"

/** All that a record has. `wake` is the version at which a hold last went out: change streams tell a release from a renewal by it. */
export const fields = ["kind", "format", "owner", "label", "holds", "token", "version", "began", "expires", "data", "wake"] as const

export const projection: Document = Object.fromEntries(fields.map((field) => [field, 1]))

/** As 64-bit integers, for the driver makes doubles of numbers beyond 2^31. */
const long = (value: number): Long => Long.fromNumber(value)

export const toDocument = (lockId: string, record: LockRecord.LockRecord): Document => ({
  _id: lockId,
  kind: record.kind,
  format: record.format,
  owner: record.ownerId,
  label: record.ownerLabel ?? "",
  holds: [...record.holds],
  token: long(record.token),
  version: long(record.version),
  began: long(record.lockBeginTime),
  expires: long(record.leaseExpireTime),
  data: record.data,
  // What was there before is not known here: locks of other kinds may free a place with any change.
  wake: long(record.holds.length === 0 || record.kind !== LockRecord.exclusive ? record.version : 0)
})

export const fromDocument = (document: Document): LockRecord.LockRecord => ({
  lockId: document._id as string,
  kind: document.kind as string,
  format: Number(document.format),
  ownerId: document.owner as string,
  // Documents of older versions have none.
  ...LockRecord.labelled(typeof document.label === "string" ? document.label : undefined),
  holds: (document.holds ?? []) as ReadonlyArray<string>,
  token: Number(document.token),
  version: Number(document.version),
  lockBeginTime: Number(document.began),
  leaseExpireTime: Number(document.expires),
  data: document.data as string
})

/** Why a document is not for us to judge or to change. */
export const unreadable = (operation: string, document: Document): StorageError | undefined => {
  const id = JSON.stringify(document._id)
  if (typeof document.format !== "number") return errors.schema(operation, `the document with the _id ${id} is not a lock's: use a collection for locks alone`)
  return document.format > LockRecord.format
    ? errors.schema(
      operation,
      `the record of ${id} has format ${document.format}, newer than ${LockRecord.format}: update effect-storage-lock`
    )
    : undefined
}

/** The server's clock in a document that was read with `now`, in microseconds. */
export const nowOf = (document: Document): number | undefined =>
  document.now instanceof Date ? document.now.getTime() * 1000 : undefined
