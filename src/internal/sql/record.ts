/** One row per lock, whatever the dialect: the columns, and what they mean. */
import * as LockRecord from "../../LockRecord.js"

export type Row = Readonly<Record<string, unknown>>

export const columnNames = [
  "lock_id",
  "kind",
  "format",
  "owner_id",
  "holds",
  "token",
  "version",
  "began",
  "expires",
  "data"
] as const

export const allColumnNames = [...columnNames, "owner_label"] as const

/** Holds are one text, each hold id behind a comma, so that plain string functions can put one in and take one out. */
export const holdsOf = (holds: string): ReadonlyArray<string> => holds === "" ? [] : holds.slice(1).split(",")
export const textOf = (holds: ReadonlyArray<string>): string => holds.map((hold) => "," + hold).join("")

/** Numbers come as strings, or as whatever the program's own type parsers make of a bigint; all are below 2^53. */
export const recordOf = (row: Row): LockRecord.LockRecord => ({
  lockId: row.lock_id as string,
  kind: row.kind as string,
  format: Number(row.format),
  ownerId: row.owner_id as string,
  ...LockRecord.labelled(row.owner_label as string | undefined),
  holds: holdsOf(row.holds as string),
  token: Number(row.token),
  version: Number(row.version),
  lockBeginTime: Number(row.began),
  leaseExpireTime: Number(row.expires),
  data: row.data as string
})

/** In the order of `columnNames`. */
export const valuesOf = (record: LockRecord.LockRecord): ReadonlyArray<string | number> => [
  record.lockId,
  record.kind,
  record.format,
  record.ownerId,
  textOf(record.holds),
  record.token,
  record.version,
  record.lockBeginTime,
  record.leaseExpireTime,
  record.data
]

/** In the order of `allColumnNames`. */
export const allValuesOf = (record: LockRecord.LockRecord): ReadonlyArray<string | number> => [...valuesOf(record), record.ownerLabel ?? ""]
