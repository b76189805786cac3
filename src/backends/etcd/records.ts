/** How a record stands in etcd: one key per lock, `prefix` + lock id, and JSON in it. */
import type { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
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

export const encode = ({ lockId: _, ...rest }: LockRecord.LockRecord): Buffer =>
  Buffer.from(JSON.stringify(rest), "utf8")

const isText = (value: unknown) => typeof value === "string"

const shape: Readonly<Record<string, (value: unknown) => boolean>> = {
  kind: isText,
  format: Number.isSafeInteger,
  ownerId: isText,
  holds: (value) => Array.isArray(value) && value.every(isText),
  token: Number.isSafeInteger,
  version: Number.isSafeInteger,
  lockBeginTime: Number.isSafeInteger,
  leaseExpireTime: Number.isSafeInteger,
  data: isText
}

const newer = (operation: string, lockId: string, format: number): StorageError =>
  errors.schema(
    operation,
    `the record of ${JSON.stringify(lockId)} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
  )

/** A record that this version of the library can judge. */
export const readable = (operation: string, record: LockRecord.LockRecord): LockRecord.LockRecord | StorageError =>
  record.format > LockRecord.format ? newer(operation, record.lockId, record.format) : record

/** Of any format, if it has the fields of this one. A newer one without them is told from a foreign value by its number. */
export const decode = (operation: string, lockId: string, kv: KeyValue): LockRecord.LockRecord | StorageError => {
  let value: Record<string, unknown> | undefined
  try {
    value = JSON.parse(kv.value.toString("utf8")) as Record<string, unknown>
  } catch {
    value = undefined
  }
  if (typeof value === "object" && value !== null) {
    if (Object.entries(shape).every(([field, isRight]) => isRight(value[field]))) {
      const { ownerLabel, ...rest } = value
      return {
        ...rest,
        ...LockRecord.labelled(isText(ownerLabel) ? ownerLabel : undefined),
        lockId
      } as unknown as LockRecord.LockRecord
    }
    if (typeof value.format === "number" && value.format > LockRecord.format)
      return newer(operation, lockId, value.format)
  }
  return errors.schema(
    operation,
    `the value of the key of ${JSON.stringify(lockId)} is no record of a lock: choose another \`prefix\``
  )
}
