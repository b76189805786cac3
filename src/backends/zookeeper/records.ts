/** How a record stands in ZooKeeper: one node per lock below the root, named by its id in base64url, and JSON in it. One without data is the node of a record that was deleted. */
import type { LockRecord } from "../../LockRecord.js"
import type { StorageError } from "../../LockError.js"
import * as json from "../shared/observed/json.js"
import type { Seen } from "../shared/observed/store.js"
import type { Node, Stat } from "./client/protocol.js"
import * as errors from "./errors.js"

/** Which node it is, and how often it was changed. Without one there is no node. */
export interface State {
  readonly czxid: number
  readonly version: number
}

/** A request of 1 MiB ends the connection; this leaves room for what is around the data. */
export const largest = 1_000_000

export const absent: Seen<State> = { record: undefined, revision: 0 }

/** A name takes no slash, no dot alone, and not every character. */
export const nameOf = (lockId: string): string => Buffer.from(lockId, "utf8").toString("base64url")

/** Nothing, of a name that is no lock's. */
export const lockIdOf = (name: string): string | undefined => {
  const lockId = Buffer.from(name, "base64url").toString("utf8")
  return nameOf(lockId) === name ? lockId : undefined
}

export const encode = (operation: string, record: LockRecord | undefined): Buffer | StorageError => {
  if (record === undefined) return Buffer.alloc(0)
  const bytes = Buffer.from(json.encode(record), "utf8")
  return bytes.length > largest ? errors.tooLarge(operation, bytes.length) : bytes
}

export const stateOf = ({ czxid, version }: Stat): State => ({ czxid, version })

/** Of any format, if it has the fields of this one. A newer one without them is told from a foreign value by its number. */
export const read = (operation: string, lockId: string, { data, stat }: Node): Seen<State> | StorageError => {
  if (data.length === 0) return { record: undefined, revision: 0, state: stateOf(stat) }
  const record = json.decode(
    lockId,
    data.toString("utf8"),
    `the node of ${JSON.stringify(lockId)} has no record of a lock: choose another \`root\``
  )
  return typeof record === "string"
    ? errors.schema(operation, record)
    : { record, revision: stat.mzxid, state: stateOf(stat) }
}
