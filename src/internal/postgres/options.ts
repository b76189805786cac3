import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Pg from "pg"
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

export interface ResolvedUrl {
  readonly config: Pg.ClientConfig
  /** The password as the driver sees it, to be kept out of errors. */
  readonly secret: string | undefined
}

const urlRule = "a Redacted PostgreSQL URL such as postgres://user:password@host:5432/database, " +
  "with the characters / ? # @ : % of user and password percent-encoded"

/** Says nothing of the value but its kind: a URL that is not understood may bear its password anywhere. */
export const url = (field: string, value: unknown): ResolvedUrl | InvalidOptions => {
  const bad = (kind: string) => new InvalidOptions({ field, kind, rule: urlRule })
  if (!Redacted.isRedacted(value)) return bad(`of type ${value === null ? "null" : typeof value}, not Redacted`)
  const text: unknown = Redacted.value(value)
  if (typeof text !== "string") return bad(`a Redacted of type ${text === null ? "null" : typeof text}`)
  if (text === "") return bad("empty")
  if (!/^(postgres|postgresql|socket):|^\//i.test(text)) return bad("not a URL of PostgreSQL")
  if (text.includes("#")) return bad("a URL with a raw #")
  try {
    const config: Pg.ClientConfig = { connectionString: text, fallback_application_name: "effect-storage-lock" }
    // Reads the URL as the driver will, and opens nothing.
    const client = new Pg.Client(config)
    // A password with a raw slash or question mark moves the rest of it, and the @, into what follows the host.
    const spilled = [client.host, client.database, String(client.port)].some((part) => part?.includes("@")) ||
      (/\?[^@=&]*@/.test(text))
    if (spilled) return bad("a URL with a raw / or ? or @ in its user or password")
    return { config, secret: typeof client.password === "string" ? client.password : undefined }
  } catch {
    return bad("a URL that cannot be read")
  }
}
