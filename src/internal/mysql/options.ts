import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Mysql from "mysql2"
import { InvalidOptions } from "../../LockError.js"
import { invalid, operationTimeout, textFault } from "../input.js"
import * as ownPool from "./pool.js"

export interface Table {
  readonly table?: string | undefined
  readonly database?: string | undefined
}

export interface Common extends Table {
  readonly setup?: boolean | undefined
  readonly operationTimeout?: Duration.DurationInput | undefined
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
  textFault(name) ?? (
    (name as string).length > longestName ? `a string of ${(name as string).length} characters`
    : /[\uD800-\uDFFF]/.test(name as string) ? "a string with a character beyond the basic plane"
    : (name as string).endsWith(" ") ? "a string that ends with a space"
    : undefined
  )

const checkName = (field: string, name: unknown): InvalidOptions | undefined => {
  const kind = nameFault(name)
  return kind === undefined ? undefined : new InvalidOptions({
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
  const fault = checkName("table", table) ?? (options.database === undefined ? undefined : checkName("database", options.database))
  if (fault !== undefined) return fault
  if (options.setup !== undefined && typeof options.setup !== "boolean") return invalid("setup", options.setup, "true or false")
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  return { table, database: options.database, setup: options.setup ?? true, operationTimeout: timeout }
}

export interface ResolvedUrl {
  readonly uri: string
  /** The password as the driver sees it, to be kept out of errors. */
  readonly secret: string | undefined
}

const urlRule = "a Redacted URL such as mysql://user:password@host:3306/database, " +
  "with the characters / ? # @ : % of user and password percent-encoded"

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (field: string, value: unknown): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field, kind, rule: urlRule })
  if (!Redacted.isRedacted(value)) return bad(`of type ${value === null ? "null" : typeof value}, not Redacted`)
  const text: unknown = Redacted.value(value)
  if (typeof text !== "string") return bad(`a Redacted of type ${text === null ? "null" : typeof text}`)
  if (text === "") return bad("empty")
  if (!/^(mysql|mariadb|tidb):\/\//i.test(text)) return bad("not a URL of MySQL")
  if (text.includes("#")) return bad("a URL with a raw #")
  try {
    const parsed = new URL(text)
    // A password with a raw slash, question mark or at sign moves the rest of it, and the @, to another part.
    if (parsed.pathname.includes("@") || /[?&][^=&]*@/.test(parsed.search) || (/\/\/([^/?]*)/.exec(text)?.[1] ?? "").split("@").length > 2) {
      return bad("a URL with a raw / or ? or @ in its user or password")
    }
    if (parsed.hostname === "") return bad("a URL without a host")
    const secret = decodeURIComponent(parsed.password)
    // Reads the URL as the driver will, and opens nothing.
    Mysql.createPool(ownPool.config(text)).end(() => {})
    return { uri: text, secret: secret === "" ? undefined : secret }
  } catch {
    return bad("a URL that cannot be read")
  }
}
