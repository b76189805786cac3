import type * as Duration from "#effect/Duration"
import { InvalidOptions } from "../../LockError.js"
import { invalid, operationTimeout, textFault } from "../../common/input.js"

export interface Table {
  readonly table?: string | undefined
  readonly database?: string | undefined
}

export interface Common extends Table {
  readonly setup?: boolean | undefined
  readonly operationTimeout?: Duration.Input | undefined
}

export interface ResolvedCommon {
  readonly table: string
  readonly database: string | undefined
  readonly setup: boolean
  /** Milliseconds. */
  readonly operationTimeout: number
}

const longestName = 64

const nameFault = (name: unknown): string | undefined =>
  textFault(name) ??
  ((name as string).length > longestName
    ? `a string of ${(name as string).length} characters`
    : /[\uD800-\uDFFF]/.test(name as string)
      ? "a string with a character beyond the basic plane"
      : (name as string).endsWith(" ")
        ? "a string that ends with a space"
        : undefined)

const checkName = (field: string, name: unknown): InvalidOptions | undefined => {
  const kind = nameFault(name)
  return kind === undefined
    ? undefined
    : new InvalidOptions({
        field,
        kind,
        rule: `a name of 1 to ${longestName} characters of the basic plane, without NUL or a space at its end (it is quoted: any other character may occur)`
      })
}

const quoted = (name: string): string => `\`${name.replaceAll("`", "``")}\``

/** The table as it stands in statements: every part quoted, so that a dot or a quote is a character like any other. */
export const qualified = (table: string, database: string | undefined): string =>
  database === undefined ? quoted(table) : `${quoted(database)}.${quoted(table)}`

export const common = (options: Common): ResolvedCommon | InvalidOptions => {
  const table = options.table ?? "storage_lock"
  const fault =
    checkName("table", table) ?? (options.database === undefined ? undefined : checkName("database", options.database))
  if (fault !== undefined) return fault
  if (options.setup !== undefined && typeof options.setup !== "boolean")
    return invalid("setup", options.setup, "true or false")
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  return { table, database: options.database, setup: options.setup ?? true, operationTimeout: timeout }
}
