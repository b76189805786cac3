/** A record as a document of MongoDB, and back. */
import { Long } from "mongodb"
import * as LockRecord from "../../LockRecord.js"
import type { StorageError } from "../../LockError.js"
import { recordOf } from "../shared/documents.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"

/** All that a record has. `wake` is the version at which a hold last went out: change streams tell a release from a renewal by it. */
export const fields = [
  "kind",
  "format",
  "owner",
  "label",
  "holds",
  "token",
  "version",
  "began",
  "expires",
  "data",
  "wake"
] as const

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

/** As the driver makes numbers of 64-bit integers, or as a client that is set otherwise leaves them. */
const integer = (value: unknown): number =>
  typeof value === "object" && value !== null
    ? Number(value)
    : typeof value === "number" || typeof value === "bigint"
      ? Number(value)
      : Number.NaN

/** The record in a document, or why it is not one that this version can read. It costs no other lock anything. */
export const read = (operation: string, document: Document): LockRecord.LockRecord | StorageError => {
  const { _id, data, holds = [], kind, label, owner } = document
  const numbers = {
    format: integer(document.format),
    token: integer(document.token),
    version: integer(document.version),
    lockBeginTime: integer(document.began),
    leaseExpireTime: integer(document.expires)
  }
  return (
    recordOf({ lockId: _id, kind, owner, label, holds, data, numbers }) ??
    errors.schema(
      operation,
      `the document with the _id ${JSON.stringify(_id)} has not the fields of a lock's: was it changed by hand?`
    )
  )
}

/** Why a document is not for us to judge or to change. */
export const unreadable = (operation: string, document: Document): StorageError | undefined => {
  const id = JSON.stringify(document._id)
  const format = integer(document.format)
  if (Number.isNaN(format))
    return errors.schema(operation, `the document with the _id ${id} is not a lock's: use a collection for locks alone`)
  return format > LockRecord.format
    ? errors.schema(
        operation,
        `the record of ${id} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
      )
    : undefined
}

/** The server's clock in a document that was read with `now`, in microseconds. */
export const nowOf = (document: Document): number | undefined =>
  document.now instanceof Date ? document.now.getTime() * 1000 : undefined
