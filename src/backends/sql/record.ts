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
  "data",
  "owner_label"
] as const

/** What is wrong with a table that has all columns but the newest. */
export const withoutLabels = (table: string, alter: string): string =>
  `the table ${table} is of a version before owner labels: run ${alter}, or set \`setup: true\``

/** Holds are one text, each hold id behind a comma, so that plain string functions can put one in and take one out. */
export const holdsOf = (holds: string): ReadonlyArray<string> => (holds === "" ? [] : holds.slice(1).split(","))
export const textOf = (holds: ReadonlyArray<string>): string => holds.map((hold) => "," + hold).join("")

/** Throws where a column is of another kind than we asked for: nothing may be concluded from it. */
export const text = (value: unknown): string => {
  if (typeof value !== "string") throw new Error(`a text is ${value === null ? "null" : `of type ${typeof value}`}`)
  return value
}

/** Numbers come as strings, or as whatever the program's own type parsers make of a bigint; all are below 2^53. Throws as `text`. */
export const integer = (value: unknown): number => {
  const number =
    typeof value === "number" || typeof value === "bigint" || (typeof value === "string" && value !== "")
      ? Number(value)
      : Number.NaN
  if (!Number.isSafeInteger(number))
    throw new Error(`a number is ${value === null ? "null" : `of type ${typeof value}`}`)
  return number
}

export const recordOf = (row: Row): LockRecord.LockRecord => ({
  lockId: text(row.lock_id),
  kind: text(row.kind),
  format: integer(row.format),
  ownerId: text(row.owner_id),
  ...LockRecord.labelled(row.owner_label as string | undefined),
  holds: holdsOf(text(row.holds)),
  token: integer(row.token),
  version: integer(row.version),
  lockBeginTime: integer(row.began),
  leaseExpireTime: integer(row.expires),
  data: text(row.data)
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
  record.data,
  record.ownerLabel ?? ""
]
