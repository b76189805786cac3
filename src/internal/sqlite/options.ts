import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { InvalidOptions } from "../../LockError.js"
import type { Options } from "../../backends/SqliteStorage.js"

/** Options that make sense, with the defaults filled in. */
export interface Resolved {
  readonly filename: string
  readonly table: string
  readonly setup: boolean
  readonly synchronous: "full" | "normal"
  readonly timeoutMillis: number
}

export const defaultTable = "storage_lock"
const longestTable = 128
const loneSurrogate = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/

/** What is wrong with a text that SQLite is to take as it is, or `undefined`. */
const fault = (text: unknown): string | undefined =>
  typeof text !== "string" ? `of type ${text === null ? "null" : typeof text}`
  : text.length === 0 ? "empty"
  : text.includes("\0") ? "a string with a NUL"
  : loneSurrogate.test(text) ? "a string with a lone surrogate"
  : undefined

const tableFault = (table: unknown): string | undefined => {
  const kind = fault(table)
  if (kind !== undefined) return kind
  const name = table as string
  return name.length > longestTable ? `a string of ${name.length} UTF-16 units`
    : /^sqlite_/i.test(name) ? JSON.stringify(name)
    : undefined
}

const filenameFault = (filename: unknown): string | undefined => {
  const kind = fault(filename)
  if (kind !== undefined) return kind
  const name = filename as string
  // The driver trims names, and opens a temporary database for what is then empty; a URI can switch file locking off.
  return name.trim() !== name || /^file:/i.test(name) ? JSON.stringify(name) : undefined
}

export const resolveTable = (table: unknown): string | InvalidOptions => {
  const name = table ?? defaultTable
  const kind = tableFault(name)
  return kind === undefined ? name as string : new InvalidOptions({
    field: "table",
    kind,
    rule: `a name of 1 to ${longestTable} UTF-16 units without NUL, not beginning with "sqlite_"`
  })
}

export const resolve = (options: Options): Resolved | InvalidOptions => {
  const kind = filenameFault(options.filename)
  if (kind !== undefined) {
    return new InvalidOptions({
      field: "filename",
      kind,
      rule: "the path of a file (no URI, no NUL, no space at its ends), or \":memory:\""
    })
  }
  const table = resolveTable(options.table)
  if (typeof table !== "string") return table

  const synchronous = options.synchronous ?? "full"
  if (synchronous !== "full" && synchronous !== "normal") {
    return new InvalidOptions({ field: "synchronous", kind: JSON.stringify(synchronous) ?? "undefined", rule: "\"full\" or \"normal\"" })
  }
  const setup = options.setup ?? true
  if (typeof setup !== "boolean") {
    return new InvalidOptions({ field: "setup", kind: `of type ${typeof setup}`, rule: "true or false" })
  }
  const timeout = options.operationTimeout ?? "5 seconds"
  const timeoutMillis = Option.match(Duration.decodeUnknown(timeout), { onNone: () => NaN, onSome: Duration.toMillis })
  if (!(timeoutMillis > 0 && Number.isFinite(timeoutMillis))) {
    return new InvalidOptions({
      field: "operationTimeout",
      kind: Duration.isDuration(timeout) ? Duration.format(timeout) : `${JSON.stringify(timeout) ?? typeof timeout}`,
      rule: "a finite duration above zero"
    })
  }
  return { filename: options.filename, table, setup, synchronous, timeoutMillis }
}
