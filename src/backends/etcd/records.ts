/** How a record stands in etcd: one key per lock, `prefix` + lock id, and JSON in it. */
import type { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import * as json from "../shared/observed/json.js"
import * as errors from "./errors.js"
import type { KeyValue } from "./protocol.js"

export interface Keys {
  readonly key: (lockId: string) => Buffer
  readonly lockId: (key: Buffer) => string
  readonly first: Buffer
  /** The first key beyond the prefix. */
  readonly end: Buffer
}

/** The smallest key greater than all that begin with this one. UTF-8 has no byte 0xff, so the last one can be counted up. */
const after = (prefix: Buffer): Buffer => {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return end
}

export const keys = (prefix: string): Keys => {
  const first = Buffer.from(prefix, "utf8")
  return {
    key: (lockId) => Buffer.concat([first, Buffer.from(lockId, "utf8")]),
    lockId: (key) => key.toString("utf8", first.length),
    first,
    end: after(first)
  }
}

export const encode = (record: LockRecord): Buffer => Buffer.from(json.encode(record), "utf8")

/** Of any format, if it has the fields of this one. A newer one without them is told from a foreign value by its number. */
export const decode = (operation: string, lockId: string, kv: KeyValue): LockRecord | StorageError => {
  const found = json.decode(
    lockId,
    kv.value.toString("utf8"),
    `the value of the key of ${JSON.stringify(lockId)} is no record of a lock: choose another \`prefix\``
  )
  return typeof found === "string" ? errors.schema(operation, found) : found
}
