/** How a record stands in Consul: one key per lock, `prefix` + lock id, and JSON in it. */
import type { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import { encoded } from "../http/exchange.js"
import * as json from "../shared/observed/json.js"
import * as errors from "./errors.js"

export interface Keys {
  readonly prefix: string
  readonly key: (lockId: string) => string
  /** Nothing of what is not written like this. */
  readonly lockId: (key: string) => string | undefined
}

/**
 * An id is percent-encoded in its key. So it has no slash, which the user interface takes for a folder, and which is redirected where two follow each other; nor is it a dot or two alone, which
 * would lead out of the folder.
 */
const encode = (lockId: string): string => encoded(lockId).replace(/^\.+$/, (dots) => dots.replaceAll(".", "%2E"))

const decode = (text: string): string | undefined => {
  try {
    const lockId = decodeURIComponent(text)
    return lockId !== "" && encode(lockId) === text ? lockId : undefined
  } catch {
    return undefined
  }
}

export const keys = (prefix: string): Keys => ({
  prefix,
  key: (lockId) => prefix + encode(lockId),
  lockId: (key) => decode(key.slice(prefix.length))
})

export const value = (record: LockRecord): string => Buffer.from(json.encode(record), "utf8").toString("base64")

/** Of any format, if it has the fields of this one. A newer one without them is told from a foreign value by its number. */
export const record = (operation: string, lockId: string, value: unknown): LockRecord | StorageError => {
  const found = json.decode(
    lockId,
    typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "",
    `the value of the key of ${JSON.stringify(lockId)} is no record of a lock: choose another \`prefix\``
  )
  return typeof found === "string" ? errors.schema(operation, found) : found
}
