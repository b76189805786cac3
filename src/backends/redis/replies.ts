/** The server's answers, read with distrust: a proxy, a fork of the server or somebody's record may answer in any shape, which must fail that call and no more. */
import * as LockRecord from "../../LockRecord.js"

/** An answer of a shape that we do not know. */
export class OddReply extends Error {
  override readonly name = "OddReply"
}

const kindOf = (value: unknown): string =>
  Array.isArray(value) ? `a list of ${value.length}` : value === null ? "nothing" : `a ${typeof value}`

const odd = (wanted: string, value: unknown): OddReply =>
  new OddReply(`the server's answer has ${kindOf(value)} where ${wanted} should be`)

export const list = (value: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(value)) return value
  throw odd("a list", value)
}

export const text = (value: unknown): string => {
  if (typeof value === "string") return value
  throw odd("a text", value)
}

/** A number of the server, or of a script, which gives texts. */
export const integer = (value: unknown): number => {
  const number =
    typeof value === "number"
      ? value
      : typeof value === "string" && /^-?\d{1,16}$/.test(value)
        ? Number(value)
        : Number.NaN
  if (Number.isSafeInteger(number)) return number
  throw odd("an integer", value)
}

/** So many of them in one text. */
export const integers = (value: string, count: number): ReadonlyArray<number> => {
  const all = value.split(" ")
  if (all.length === count) return all.map(integer)
  throw odd(`${count} numbers`, value)
}

const holdsOf = (holds: string): ReadonlyArray<string> => (holds === "" ? [] : holds.slice(1).split(","))

export const textOf = (holds: ReadonlyArray<string>): string => holds.map((hold) => "," + hold).join("")

/** `values` has the fields from `from` on. */
export const recordOf = (lockId: string, values: ReadonlyArray<unknown>, from: number): LockRecord.LockRecord => {
  const label = values[from + 9]
  return {
    lockId,
    kind: text(values[from]),
    format: integer(values[from + 1]),
    ownerId: text(values[from + 2]),
    ...LockRecord.labelled(label === null || label === undefined ? "" : text(label)),
    holds: holdsOf(text(values[from + 3])),
    token: integer(values[from + 4]),
    version: integer(values[from + 5]),
    lockBeginTime: integer(values[from + 6]),
    leaseExpireTime: integer(values[from + 7]),
    data: text(values[from + 8])
  }
}

export const valuesOf = (record: LockRecord.LockRecord): ReadonlyArray<string> => [
  record.kind,
  String(record.format),
  record.ownerId,
  textOf(record.holds),
  String(record.token),
  String(record.version),
  String(record.lockBeginTime),
  String(record.leaseExpireTime),
  record.data,
  record.ownerLabel ?? ""
]
