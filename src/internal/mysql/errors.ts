import { StorageError, type StorageErrorReason } from "../../LockError.js"
import type { Phase } from "../sql/clientExecutor.js"

const numbered = (reason: StorageErrorReason, numbers: ReadonlyArray<number>) =>
  numbers.map((number) => [number, reason] as const)

/** Of servers of the MySQL family; from 8000 on TiDB's own. */
const byNumber = new Map<number, StorageErrorReason>([
  ...numbered("Connection", [1040, 1041, 1047, 1053, 1077, 1078, 1079, 1080, 1129, 1135, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1927, 3032, 3168, 3169, 4031]),
  ...numbered("Connection", [9001, 9002, 9003, 9005]),
  ...numbered("Timeout", [1205, 1317, 1969, 3024]),
  ...numbered("Conflict", [1020, 1062, 1213, 3101, 8002, 8005, 8022, 8028, 9007]),
  ...numbered("Permission", [1044, 1045, 1130, 1142, 1143, 1227, 1251, 1410, 1698, 1820, 1862, 3118, 3878]),
  ...numbered("Permission", [1290, 1792, 1836, 1874]),
  ...numbered("Schema", [1046, 1049, 1054, 1060, 1064, 1101, 1136, 1146, 1264, 1292, 1305, 1364, 1366, 1406])
])

const byCode: Record<string, StorageErrorReason> = Object.fromEntries(
  [
    "ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "ETIMEDOUT", "EPIPE", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ENOENT",
    "PROTOCOL_CONNECTION_LOST", "PROTOCOL_SEQUENCE_TIMEOUT", "PROTOCOL_PACKETS_OUT_OF_ORDER", "HANDSHAKE_NO_SSL_SUPPORT", "HANDSHAKE_SSL_ERROR"
  ].map((code) => [code, "Connection"])
)

const hints: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  EAI_AGAIN: "the host name could not be looked up just now",
  ENOENT: "the server's socket is not there: is the server up, and is the path right?",
  1040: "the server has no connection left: raise max_connections, or lower poolSize",
  1203: "the user has no connection left: raise max_user_connections, or lower poolSize",
  1044: "the user may not use this database",
  1045: "user or password is wrong",
  1046: "name the database in the URL, or by `database`",
  1049: "the database does not exist: create it",
  1064: "a proxy or a pool may refuse several statements in one packet: the pool needs `multipleStatements: true`",
  1142: "the user needs SELECT, INSERT, UPDATE and DELETE on the table (and CREATE to set it up)",
  1146: "the table does not exist: run the text of MysqlStorage.ddl, or set `setup: true`",
  1205: "another transaction has the row locked",
  1290: "the server is read-only: a replica, or read_only",
  1836: "the server is read-only",
  1792: "the session is read-only (transaction_read_only)"
}

/** A server that may be promoted, and resources that may come back. */
const passing = new Set([1114, 1290, 1792, 1836, 1874])

/** After these the transaction is over or can be rolled back, and the connection is as good as before. After any other error it is not used again. */
const harmless = new Set([1020, 1062, 1142, 1146, 1205, 1213, 1290, 1317, 1969, 3024, 8002, 8022, 9007])

/** The session ended, or the server says itself that it does not know: it may have committed all the same. */
const indefinite = new Set([1053, 1077, 1078, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1180, 1184, 1927, 3168, 3169, 4031])

/** Not one transaction each: what went before the failure stays. */
const piecemeal = new Set(["renew", "purge"])

interface DriverError {
  readonly code?: unknown
  readonly errno?: unknown
  readonly cause?: unknown
}

/** The server's number, not one of the operating system, which is negative. */
export const numberOf = (error: unknown): number | undefined => {
  const errno = (error as DriverError | null | undefined)?.errno
  return typeof errno === "number" && errno >= 1000 ? errno : undefined
}

const codeOf = (error: unknown): string | undefined => {
  const code = (error as DriverError | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

/** The error of the driver, under whatever a client wrapped it in. */
export const rootOf = (error: unknown): unknown => {
  let current = error
  for (let depth = 0; depth < 5; depth++) {
    const cause = (current as DriverError | null | undefined)?.cause
    if (numberOf(current) !== undefined || codeOf(current) !== undefined || cause === undefined || cause === null) return current
    current = cause
  }
  return current
}

export const keepsConnection = (error: unknown): boolean => harmless.has(numberOf(error) ?? 0)

const fields = ["code", "errno", "sqlState", "syscall", "address", "port"] as const

/** The driver's error, less what it may carry along: the statement with its values, and the password wherever it might stand. */
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

const reasonOf = (number: number | undefined, code: string | undefined, phase: Phase): StorageErrorReason => {
  if (number !== undefined) return byNumber.get(number) ?? "Unknown"
  // The driver's own errors may bear no code; whatever they say, the connection is at fault. So are the many codes of TLS.
  return code === undefined || phase === "connecting" ? "Connection" : byCode[code] ?? "Unknown"
}

const definite = (operation: string, number: number | undefined): boolean =>
  number !== undefined && !piecemeal.has(operation) && !indefinite.has(number) &&
  // TiDB's own: some of them say that the fate of a commit is not known.
  (number < 8000 || byNumber.get(number) === "Conflict")

export const fromDriver = (operation: string, error: unknown, phase: Phase, secret?: string | undefined): StorageError => {
  const root = rootOf(error)
  const number = numberOf(root)
  const code = codeOf(root)
  const reason = reasonOf(number, code, phase)
  const cause = scrub(root, secret)
  const named = number ?? code
  const said = cause.message === "" ? "" : `: ${cause.message}`
  const hint = named === undefined ? undefined : hints[named]
  return new StorageError({
    reason,
    operation: `MysqlStorage.${operation}`,
    isRetryable: reason === "Connection" || reason === "Timeout" || reason === "Conflict" || passing.has(number ?? 0),
    applied: phase === "connecting" || definite(operation, number) ? "no" : "unknown",
    message: `the server ${phase === "connecting" ? "could not be reached" : "failed"}${named === undefined ? "" : ` (${named})`}${said}${
      hint === undefined ? "" : `. Hint: ${hint}`
    }`,
    cause
  })
}

export const noConnection = (operation: string, millis: number): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `MysqlStorage.${operation}`,
    isRetryable: true,
    applied: "no",
    message: `no connection was free within ${Math.round(millis)} ms: the server does not answer, or the pool is full, ` +
      "or the caller's own transaction holds its connections (a lock never joins a transaction and needs a connection beside it)"
  })

export const noAnswer = (operation: string, millis: number): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `MysqlStorage.${operation}`,
    isRetryable: true,
    applied: "unknown",
    message: `the server did not answer within ${Math.round(millis)} ms; the statements may have been applied`
  })

export const closed = (operation: string): StorageError =>
  new StorageError({
    reason: "Closed",
    operation: `MysqlStorage.${operation}`,
    isRetryable: false,
    applied: "no",
    message: "the layer of MysqlStorage is closed"
  })

export const schema = (operation: string, message: string): StorageError =>
  new StorageError({ reason: "Schema", operation: `MysqlStorage.${operation}`, isRetryable: false, applied: "no", message })
