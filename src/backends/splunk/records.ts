/**
 * How a lock stands in the collection: one document for each of its versions. A version is the document's key, so that of several who want to write the next one a single one can. The newest one counts. One without
 * a record says that there is none any more.
 */
import { createHash } from "node:crypto"
import type { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import { isObject } from "../http/json.js"
import * as json from "../shared/observed/json.js"
import * as errors from "./errors.js"

/** A document, as far as it is one of ours. */
export interface Version {
  readonly lock: string
  /** 1 for the first one, and one more for each. */
  readonly seq: number
  readonly id: string
  readonly record: string
  /** Of just this write. */
  readonly by: string
}

/** Milliseconds by the wall clock of whoever wrote it: for what may be dropped, and nothing else. */
export type Dated = Version & { readonly at: number }

/** What fits in a key of an index, whatever stands behind it. */
const longest = 200

/** What everybody on the way takes for what it is. */
const plain = /^[A-Za-z0-9._~-]+$/

/** The name of a lock in its documents. What is long, or has other characters, is hashed; the lock's id is in the document anyway. */
export const nameOf = (lockId: string): string =>
  lockId.length <= longest && plain.test(lockId)
    ? `lock-${lockId}`
    : `hash-${createHash("sha256").update(lockId, "utf8").digest("base64url")}`

/** Of one version. The last dot is ours. */
export const keyOf = (lock: string, seq: number): string => `${lock}.${seq}`

/** The key of the document that says which collection this is. */
export const identityKey = "collection"

export const version = (
  lockId: string,
  seq: number,
  record: LockRecord | undefined,
  by: string,
  at: number
): Dated => ({
  lock: nameOf(lockId),
  seq,
  id: lockId,
  record: record === undefined ? "" : json.encode(record),
  by,
  at
})

export const read = (value: unknown): Version | undefined => {
  if (!isObject(value)) return undefined
  const { by, id, lock, record, seq } = value
  return typeof lock === "string" &&
    typeof id === "string" &&
    typeof record === "string" &&
    typeof by === "string" &&
    Number.isSafeInteger(seq) &&
    seq > 0
    ? { lock, seq, id, record, by }
    : undefined
}

/** Of any format, if it has the fields of this one. A newer one without them is told from a foreign value by its number. */
export const recordOf = (operation: string, { id, record }: Version): LockRecord | StorageError | undefined => {
  if (record === "") return undefined
  const found = json.decode(
    id,
    record,
    `the newest document of ${JSON.stringify(id)} is no record of a lock: use a \`collection\` for locks alone`
  )
  return typeof found === "string" ? errors.schema(operation, found) : found
}
