import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Tedious from "tedious"
import { InvalidOptions } from "../../LockError.js"
import { invalid, operationTimeout } from "../input.js"
import { invalidName } from "./names.js"

export interface Common {
  readonly table?: string | undefined
  readonly schema?: string | undefined
  readonly setup?: boolean | undefined
  readonly operationTimeout?: Duration.DurationInput | undefined
}

export interface ResolvedCommon {
  readonly table: string
  readonly schema: string | undefined
  readonly setup: boolean
  /** Milliseconds. */
  readonly operationTimeout: number
}

export const defaultTable = "storage_lock"

export const common = (options: Common): ResolvedCommon | InvalidOptions => {
  const table = options.table ?? defaultTable
  const fault = invalidName("table", table) ?? (options.schema === undefined ? undefined : invalidName("schema", options.schema))
  if (fault !== undefined) return fault
  if (options.setup !== undefined && typeof options.setup !== "boolean") return invalid("setup", options.setup, "true or false")
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  return { table, schema: options.schema, setup: options.setup ?? true, operationTimeout: timeout }
}

export interface Resolved {
  readonly connection: Tedious.ConnectionConfiguration
  /** What is to be kept out of errors. */
  readonly secret: string | undefined
}

const urlRule = "a Redacted URL such as mssql://user:password@host:1433/database?encrypt=true&trustServerCertificate=false (and no other parameters than these, " +
  "instanceName, multiSubnetFailover and appName), with the characters / ? # @ : % of user and password percent-encoded"

const flags: Record<string, boolean> = { true: true, false: false }

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (value: unknown): Resolved | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field: "url", kind, rule: urlRule })
  if (!Redacted.isRedacted(value)) return bad(`of type ${value === null ? "null" : typeof value}, not Redacted`)
  const text: unknown = Redacted.value(value)
  if (typeof text !== "string") return bad(`a Redacted of type ${text === null ? "null" : typeof text}`)
  if (text === "") return bad("empty")
  if (!/^(mssql|sqlserver):\/\//i.test(text)) return bad("not a URL of SQL Server")
  try {
    const parsed = new URL(text)
    if (text.includes("#")) return bad("a URL with a raw #")
    // A password with a raw slash, question mark or at moves the rest of it into what follows.
    if (parsed.pathname.includes("@") || parsed.search.includes("@") || parsed.pathname.indexOf("/", 1) > 0) return bad("a URL with a raw / or ? or @ in its user or password")
    if (parsed.hostname === "") return bad("a URL without a host")
    const given = new Map(parsed.searchParams)
    const take = (name: string) => {
      const found = given.get(name)
      given.delete(name)
      return found
    }
    const flag = (name: string): boolean | undefined => {
      const found = take(name)
      if (found !== undefined && flags[found] === undefined) throw new Error(name)
      return found === undefined ? undefined : flags[found]
    }
    const encrypt = given.get("encrypt") === "strict" ? take("encrypt") : flag("encrypt")
    const database = decodeURIComponent(parsed.pathname.slice(1))
    const instanceName = take("instanceName")
    if (instanceName !== undefined && parsed.port !== "") return bad("a URL with both a port and an instanceName")
    const options: Tedious.ConnectionConfiguration["options"] = {
      encrypt: encrypt ?? true,
      trustServerCertificate: flag("trustServerCertificate") ?? false,
      multiSubnetFailover: flag("multiSubnetFailover") ?? false,
      appName: take("appName") ?? "effect-storage-lock",
      ...(database === "" ? {} : { database }),
      ...(instanceName === undefined ? { port: parsed.port === "" ? 1433 : Number(parsed.port) } : { instanceName })
    }
    if (given.size > 0) return bad("a URL with an unknown parameter")
    const password = decodeURIComponent(parsed.password)
    return connection({
      server: decodeURIComponent(parsed.hostname).replace(/^\[(.*)\]$/, "$1"),
      authentication: { type: "default", options: { userName: decodeURIComponent(parsed.username), password } },
      options
    }, bad)
  } catch {
    return bad("a URL that cannot be read")
  }
}

/** What the driver takes, with what our batches need of a connection, and nothing opened. */
export const connection = (value: unknown, bad = (kind: string) => new InvalidOptions({ field: "connection", kind, rule: "what tedious takes for a Connection" })): Resolved | InvalidOptions => {
  if (typeof value !== "object" || value === null) return bad(`of type ${value === null ? "null" : typeof value}`)
  const given = value as Tedious.ConnectionConfiguration
  // It would give our columns other names.
  const { columnNameReplacer: _, ...options } = given.options ?? {}
  const config: Tedious.ConnectionConfiguration = {
    ...given,
    options: {
      ...options,
      rowCollectionOnRequestCompletion: true,
      rowCollectionOnDone: false,
      useColumnNames: false,
      camelCaseColumns: false,
      // A longer text would be cut.
      textsize: 2147483647,
      // Operations have a timer of their own.
      requestTimeout: 0,
      // Each failure is told at once: the lock above knows how long to try.
      maxRetriesOnTransientErrors: 0,
      // A text that is too long is an error, and triggers and indexed views want all of these.
      enableAnsiWarnings: true,
      enableAnsiNull: true,
      enableAnsiPadding: true,
      enableArithAbort: true,
      enableConcatNullYieldsNull: true,
      enableQuotedIdentifier: true,
      enableNumericRoundabort: false,
      enableImplicitTransactions: false
    }
  }
  try {
    new Tedious.Connection(config)
  } catch (error) {
    // Its message names the property, never the value.
    return bad(error instanceof Error ? `refused by tedious: ${error.message}` : "refused by tedious")
  }
  const auth = given.authentication?.options as { readonly password?: unknown; readonly clientSecret?: unknown; readonly token?: unknown } | undefined
  const secret = [auth?.password, auth?.clientSecret, auth?.token].find((part) => typeof part === "string" && part !== "")
  return { connection: config, secret: secret as string | undefined }
}
