/** The options of SQLite's layers: their types, their checks and their defaults. */
import type * as Duration from "#effect/Duration"
import { resolve as absolute } from "node:path"
import type { InvalidOptions } from "../../LockError.js"
import { faulty, flagFault, invalid, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { operationTimeout } from "../shared/options.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Path of the file; made if it is not there, its directory is not. `":memory:"` is private to each build of the layer. URIs are refused. */
  readonly filename: string
  /** Name of the table, 1 to 128 UTF-16 units. It is quoted: a dot in it is a dot. Default: `"storage_lock"`. */
  readonly table?: string | undefined
  /** Whether to make the file and the table if they are missing. Default: `true`. If `false`, see `ddl`. */
  readonly setup?: boolean | undefined
  /**
   * `"full"` (default): every acknowledged change is on disk. `"normal"`: faster, but a loss of power may take the last changes back, so a lock may be
   * given to two owners around it.
   */
  readonly synchronous?: "full" | "normal" | undefined
  /**
   * How long to wait for another writer of the file before the operation fails with reason `Timeout`. The event loop is free meanwhile. Default: 5 seconds,
   * and never longer than the caller's own limit.
   */
  readonly operationTimeout?: Duration.Input | undefined
}

/** Options that make sense, with the defaults filled in. */
export interface Resolved {
  readonly filename: string
  readonly table: string
  readonly setup: boolean
  readonly synchronous: "full" | "normal"
  readonly timeoutMillis: number
}

const longestTable = 128
const tableFault = (table: unknown): string | undefined => {
  const kind = textFault(table)
  if (kind !== undefined) return kind
  const name = table as string
  return name.length > longestTable
    ? `a string of ${name.length} UTF-16 units`
    : /^sqlite_/i.test(name)
      ? JSON.stringify(name)
      : undefined
}

const filenameFault = (filename: unknown): string | undefined => {
  const kind = textFault(filename)
  if (kind !== undefined) return kind
  const name = filename as string
  // The driver trims names, and opens a temporary database for what is then empty; a URI can switch file locking off.
  return name.trim() !== name || /^file:/i.test(name) ? JSON.stringify(name) : undefined
}

export const tableOf = (table: unknown, field = "table"): string | InvalidOptions => {
  const name = table ?? "storage_lock"
  return (
    faulty(
      field,
      tableFault(name),
      `a name of 1 to ${longestTable} UTF-16 units without NUL, not beginning with "sqlite_"`
    ) ?? (name as string)
  )
}

/** Throws what is wrong with it. */
export const tableOrThrow = (options: Pick<Options, "table">, otherwise?: string): string => {
  const table = unknownName<Pick<Options, "table">>(options, { table: true }) ?? tableOf(options.table ?? otherwise)
  if (typeof table !== "string") throw table
  return table
}

export const resolve = (options: Options): Resolved | InvalidOptions => {
  const fault =
    unknownName<Options>(options, {
      filename: true,
      table: true,
      setup: true,
      synchronous: true,
      operationTimeout: true
    }) ??
    faulty(
      "filename",
      filenameFault(options.filename),
      'the path of a file (no URI, no NUL, no space at its ends), or ":memory:"'
    )
  if (fault !== undefined) return fault
  const table = tableOf(options.table)
  if (typeof table !== "string") return table
  const synchronous = options.synchronous ?? "full"
  if (synchronous !== "full" && synchronous !== "normal") {
    return invalid("synchronous", synchronous, '"full" or "normal"')
  }
  const unset = flagFault("setup", options.setup)
  if (unset !== undefined) return unset
  const timeoutMillis = operationTimeout(options.operationTimeout)
  if (typeof timeoutMillis !== "number") return timeoutMillis
  // A program that changes its directory keeps its locks.
  const filename = options.filename === ":memory:" ? options.filename : absolute(options.filename)
  return { filename, table, setup: options.setup ?? true, synchronous, timeoutMillis }
}
