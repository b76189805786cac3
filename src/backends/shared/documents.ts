/** Records in document stores, field by field. */
import * as LockRecord from "../../LockRecord.js"

/** Fields of a document, as they stand there; the numbers are read already. */
export interface Fields {
  readonly lockId: unknown
  readonly kind: unknown
  readonly owner: unknown
  /** Documents of older versions have none. */
  readonly label: unknown
  readonly holds: unknown
  readonly data: unknown
  readonly numbers: Pick<LockRecord.LockRecord, "format" | "token" | "version" | "lockBeginTime" | "leaseExpireTime">
}

export const isText = (value: unknown): value is string => typeof value === "string"

/** The record in a document, of any format; nothing if it has not the fields of a lock's. */
export const recordOf = ({
  data,
  holds,
  kind,
  label,
  lockId,
  numbers,
  owner
}: Fields): LockRecord.LockRecord | undefined =>
  isText(lockId) &&
  isText(kind) &&
  isText(owner) &&
  isText(data) &&
  Array.isArray(holds) &&
  holds.every(isText) &&
  Object.values(numbers).every(Number.isSafeInteger)
    ? {
        lockId,
        kind,
        ownerId: owner,
        ...LockRecord.labelled(isText(label) ? label : undefined),
        holds,
        ...numbers,
        data
      }
    : undefined
