import { StorageError, type StorageErrorReason } from "../../LockError.js"

/** Where an operation was when it failed: the whole difference between "not applied" and "perhaps applied". */
export type Phase = "connecting" | "executing"

const byCode: Record<string, StorageErrorReason> = {
  ECONNREFUSED: "Connection",
  ECONNRESET: "Connection",
  ECONNABORTED: "Connection",
  ETIMEDOUT: "Connection",
  EPIPE: "Connection",
  ENOTFOUND: "Connection",
  EAI_AGAIN: "Connection",
  EHOSTUNREACH: "Connection",
  ENETUNREACH: "Connection",
  ENOENT: "Connection",
  "57P01": "Connection",
  "57P02": "Connection",
  "57P03": "Connection",
  "57P05": "Connection",
  "53300": "Connection",
  // A prepared statement that is gone or there twice: a pooler hands our statements to different servers.
  "26000": "Connection",
  "42P05": "Connection",
  "57014": "Timeout",
  "55P03": "Timeout",
  "40001": "Conflict",
  "40P01": "Conflict",
  "23505": "Conflict",
  "42501": "Permission",
  "25006": "Permission",
  "42P01": "Schema",
  "42703": "Schema",
  "42704": "Schema",
  "42804": "Schema",
  "42P10": "Schema",
  "3F000": "Schema",
  "3D000": "Schema",
  "0A000": "Schema"
}

const byClass: Record<string, StorageErrorReason> = { "08": "Connection", "28": "Permission" }

const hints: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  EAI_AGAIN: "the host name could not be looked up just now",
  ENOENT: "the server's socket is not there: is the server up, and is the path right?",
  "08P01": "a pooler may refuse the connection's settings: then set `pooler: true`",
  "26000": "a pooler may stand between: then set `pooler: true`",
  "42P05": "a pooler may stand between: then set `pooler: true`",
  "53300": "the server has no connection left: raise max_connections, or lower poolSize",
  "57P01": "an administrator, or a shutdown, ended the connection",
  "57P03": "the server is starting up or shutting down",
  "57014": "the server ended the statement for its time",
  "55P03": "another transaction has the row locked",
  "25006": "the server is read-only: a replica, or default_transaction_read_only",
  "28P01": "user or password is wrong",
  "28000": "the server does not let this user in from here (pg_hba.conf)",
  "3D000": "the database does not exist",
  "3F000": "the schema does not exist: create it, or name another by `schema`",
  "42P01": "the table does not exist: run the text of PostgresStorage.ddl, or set `setup: true`",
  "42501": "the role needs SELECT, INSERT, UPDATE and DELETE on the table (and CREATE on its schema to set it up)"
}

/** SQLSTATEs after which the connection is as good as before. After any other error it is not used again. */
const harmless = /^(2[1-4]|40|42|55)|^57014$/

const sqlState = /^[0-9A-Z]{5}$/

/** After these the server may have committed all the same: the session ended, or it says itself that it does not know. */
const indefinite = /^(08|57P|XX|F0|58)|^40003$/

export const codeOf = (error: unknown): string | undefined => {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

/** Node's codes of five letters (EPIPE) have no digit; every SQLSTATE of an error has one. */
const isSqlState = (code: string | undefined): code is string => code !== undefined && sqlState.test(code) && /\d/.test(code)

export const keepsConnection = (error: unknown): boolean => {
  const code = codeOf(error)
  return isSqlState(code) && code !== "42P05" && harmless.test(code)
}

const reasonOf = (code: string | undefined, phase: Phase): StorageErrorReason => {
  if (code !== undefined) {
    const known = byCode[code] ?? (isSqlState(code) ? byClass[code.slice(0, 2)] : undefined)
    if (known !== undefined) return known
    if (isSqlState(code)) return "Unknown"
  }
  // The driver's own errors bear no code; whatever they say, the connection is at fault. So are the many codes of TLS.
  return phase === "connecting" || code === undefined ? "Connection" : "Unknown"
}

const retryable = (reason: StorageErrorReason, code: string | undefined): boolean =>
  reason === "Connection" || reason === "Timeout" || reason === "Conflict" ||
  // Resources that may come back, and a server that may be promoted.
  (isSqlState(code) && (code.startsWith("53") || code === "25006"))

const fields = ["code", "severity", "detail", "hint", "schema", "table", "column", "constraint", "syscall", "address", "port"] as const

/** The driver's error, less what it may carry along: the client with its settings, and the password wherever it might stand. */
const scrub = (error: unknown, secret: string | undefined): Error => {
  const source = (typeof error === "object" && error !== null ? error : { message: String(error) }) as Record<string, unknown>
  const clean = (text: string) => secret === undefined || secret === "" ? text : text.split(secret).join("<redacted>")
  const copy = new Error(clean(typeof source.message === "string" ? source.message : ""))
  copy.name = typeof source.name === "string" ? source.name : "Error"
  if (typeof source.stack === "string") copy.stack = clean(source.stack)
  for (const field of fields) {
    const value = source[field]
    if (value !== undefined) Object.assign(copy, { [field]: typeof value === "string" ? clean(value) : value })
  }
  return copy
}

/** The error of the driver, under whatever a client wrapped it in. */
const rootOf = (error: unknown): unknown => {
  let current = error
  for (let depth = 0; depth < 5; depth++) {
    const cause = (current as { readonly cause?: unknown } | null | undefined)?.cause
    if (codeOf(current) !== undefined || cause === undefined || cause === null) return current
    current = cause
  }
  return current
}

export const fromDriver = (
  operation: string,
  error: unknown,
  phase: Phase,
  secret?: string | undefined
): StorageError => {
  const root = rootOf(error)
  const code = codeOf(root)
  const reason = reasonOf(code, phase)
  const cause = scrub(root, secret)
  const said = cause.message === "" ? "" : `: ${cause.message}`
  const hint = code === undefined ? undefined : hints[code]
  return new StorageError({
    reason,
    operation: `PostgresStorage.${operation}`,
    isRetryable: retryable(reason, code),
    applied: phase === "connecting" || (isSqlState(code) && !indefinite.test(code)) ? "no" : "unknown",
    message: `PostgreSQL ${phase === "connecting" ? "could not be reached" : "failed"}${code === undefined ? "" : ` (${code})`}${said}${
      hint === undefined ? "" : `. Hint: ${hint}`
    }`,
    cause
  })
}

export const noConnection = (operation: string, millis: number): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `PostgresStorage.${operation}`,
    isRetryable: true,
    applied: "no",
    message: `no connection was free within ${Math.round(millis)} ms: the server does not answer, or the pool is full, ` +
      "or the caller's own transaction holds its connections (a lock never joins a transaction and needs a connection beside it)"
  })

export const noAnswer = (operation: string, millis: number): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `PostgresStorage.${operation}`,
    isRetryable: true,
    applied: "unknown",
    message: `PostgreSQL did not answer within ${Math.round(millis)} ms; the statement may have been applied`
  })

export const closed = (operation: string): StorageError =>
  new StorageError({
    reason: "Closed",
    operation: `PostgresStorage.${operation}`,
    isRetryable: false,
    applied: "no",
    message: "the layer of PostgresStorage is closed"
  })

export const schema = (operation: string, message: string): StorageError =>
  new StorageError({ reason: "Schema", operation: `PostgresStorage.${operation}`, isRetryable: false, applied: "no", message })
