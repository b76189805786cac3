/** A record as a document of the index, and back. */
import { createHash } from "node:crypto"
import * as LockRecord from "../../LockRecord.js"
import type { StorageError } from "../../LockError.js"
import { isText, recordOf } from "../shared/documents.js"
import * as errors from "./errors.js"
import type { Json } from "../http/json.js"

/**
 * By which clock leases end in an index. Documents of one are none of the other: `storage` keeps the end of a lease in `expires`, `observed` its length in `lease`.
 */
export type Clock = "storage" | "observed"

/** The longest `_id`, less what stands in front. */
const longest = 512 - "lock-".length

/** What everybody on the way takes for what it is: some decode what is encoded, or refuse it. */
const plain = /^[A-Za-z0-9._~-]+$/

/** The `_id` of a lock's document. What cannot stand in a path is hashed; the lock's id is in the document anyway. */
export const documentId = (lockId: string): string =>
  lockId.length <= longest && plain.test(lockId)
    ? `lock-${lockId}`
    : `hash-${createHash("sha256").update(lockId, "utf8").digest("base64url")}`

/** The `_id` of the document that says by which clock leases end. */
export const clockId = "clock"

const span: Record<Clock, string> = { storage: "expires", observed: "lease" }

export const toDocument = (clock: Clock, lockId: string, record: LockRecord.LockRecord): Json => ({
  lockId,
  kind: record.kind,
  format: record.format,
  owner: record.ownerId,
  label: record.ownerLabel ?? "",
  holds: record.holds,
  token: record.token,
  version: record.version,
  began: record.lockBeginTime,
  [span[clock]]: record.leaseExpireTime,
  data: record.data
})

/** The record in a document, or why it is not one that this version can read. It costs no other lock anything. */
export const read = (
  operation: string,
  clock: Clock,
  id: string,
  source: Json,
  anyFormat: boolean
): LockRecord.LockRecord | StorageError => {
  const { data, format, holds, kind, label, lockId, owner } = source
  const shown = JSON.stringify(isText(lockId) ? lockId : id)
  if (!Number.isSafeInteger(format))
    return errors.schema(operation, `the document of ${shown} is not a lock's: use an index for locks alone`)
  if (!anyFormat && format > LockRecord.format)
    return errors.schema(
      operation,
      `the record of ${shown} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
    )
  const other: Clock = clock === "storage" ? "observed" : "storage"
  if (source[span[clock]] === undefined && source[span[other]] !== undefined)
    return errors.schema(
      operation,
      `the lease of ${shown} is ${other === "storage" ? "timed by the server" : "observed"}, and this layer's are not: all that use an index must use the same \`mode\``
    )
  const numbers = {
    format,
    token: source.token,
    version: source.version,
    lockBeginTime: source.began,
    leaseExpireTime: source[span[clock]]
  }
  return (
    recordOf({ lockId, kind, owner, label, holds, data, numbers }) ??
    errors.schema(operation, `the document of ${shown} has not the fields of a lock's: was it changed by hand?`)
  )
}
