import { StorageError, type StorageErrorReason } from "../../LockError.js"
import type { Phase } from "../sql/clientExecutor.js"
import { openTransaction } from "./statements.js"

/** By the server's error number. */
const byNumber: Record<number, StorageErrorReason> = {}
const all = (reason: StorageErrorReason, ...numbers: ReadonlyArray<number>) => {
  for (const number of numbers) byNumber[number] = reason
}
// The service is busy, moves, fails over, starts, stops, or ended the session; most of these are of Azure SQL.
all("Connection", 64, 233, 596, 615, 911, 921, 922, 923, 926, 4060, 4221, 6005, 10053, 10054, 10060, 10922, 10928, 10929, 10936, 17142, 18401, 40143, 40197, 40501, 40540, 40544, 40549)
all("Connection", 40550, 40551, 40552, 40553, 40613, 49918, 49919, 49920, 42108, 42109, openTransaction)
// The database is restored, taken down, changed or used by one alone just now; and no more connections are let in.
all("Connection", 924, 927, 942, 952, 954, 17809)
// The database of an availability group is not (yet) open here.
all("Connection", 976, 978, 979, 982, 983, 988, 41104, 41142)
// The last: a set-up that did not get its turn.
all("Timeout", 1222, openTransaction + 1)
// Deadlocks, update conflicts of snapshot isolation and of tables in memory, and the race to a key.
all("Conflict", 1205, 2601, 2627, 3960, 3961, 41301, 41302, 41305, 41325, 41839)
// Logins and rights, and databases that are read-only.
all("Permission", 229, 230, 262, 297, 300, 916, 1088, 2760, 3906, 3908, 4064, 15247, 18450, 18452, 18456, 18461, 18470, 18486, 18487, 18488, 40532, 40615, 40914, 47073)
all("Schema", 201, 206, 207, 208, 213, 257, 515, 2628, 2714, 8114, 8152)

const byCode: Record<string, StorageErrorReason> = {
  ESOCKET: "Connection",
  ECLOSE: "Connection",
  EINSTLOOKUP: "Connection",
  EINVALIDSTATE: "Connection",
  ECONNREFUSED: "Connection",
  ECONNRESET: "Connection",
  ECONNABORTED: "Connection",
  EPIPE: "Connection",
  ETIMEDOUT: "Connection",
  ENOTFOUND: "Connection",
  EAI_AGAIN: "Connection",
  EHOSTUNREACH: "Connection",
  ENETUNREACH: "Connection",
  ETIMEOUT: "Timeout",
  ECANCEL: "Timeout",
  ELOGIN: "Permission",
  EFEDAUTH: "Permission",
  EPARAM: "Unknown"
}

const hints: Record<string, string> = {
  ECONNREFUSED: "nothing listens there: is the server up, and are host and port right?",
  ENOTFOUND: "the host name is not known: is it right?",
  EAI_AGAIN: "the host name could not be looked up just now",
  EINSTLOOKUP: "the SQL Server Browser did not tell the port of the instance: give the port",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the server's certificate is its own: trust it by `trustServerCertificate=true`, or give the server one that is signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the server's certificate is signed by an unknown authority",
  "208": "the table does not exist (or this login must not see it): run the text of MssqlStorage.ddl, or set `setup: true`",
  "207": "the table is not one of locks: name another by `table`",
  "229": "the login needs SELECT, INSERT, UPDATE and DELETE on the table",
  "262": "the login may not create tables: run the text of MssqlStorage.ddl by one that may, and set `setup: false`",
  "2714": "an object of this name is there that is no table, or that this login must not see",
  "2760": "the schema does not exist, or this login must not use it",
  "1222": "another transaction has the row locked",
  "3906": "the database is read-only: a secondary, or set so",
  "911": "the database does not exist",
  "4060": "the database does not exist, or is not open, or this login has no user in it",
  "18456": "login or password is wrong",
  "40615": "the firewall of the server does not let this address in",
  [openTransaction]: "the program left a transaction open on this connection of its pool"
}

interface Driver {
  readonly code?: unknown
  readonly number?: unknown
  readonly class?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

const asDriver = (error: unknown): Driver => typeof error === "object" && error !== null ? error : {}

const numberOf = (error: unknown): number | undefined => {
  const { number } = asDriver(error)
  return typeof number === "number" ? number : undefined
}

const codeOf = (error: unknown): string | undefined => {
  const { code } = asDriver(error)
  return typeof code === "string" ? code : undefined
}

/** The error of the driver, under whatever a client wrapped it in; of many that the server sent for one batch, the first that tells anything. */
export const rootOf = (error: unknown): Driver => {
  let current = asDriver(error)
  for (let depth = 0; depth < 5; depth++) {
    if (Array.isArray(current.errors) && current.errors.length > 0) {
      const errors = current.errors as ReadonlyArray<unknown>
      return asDriver(errors.find((error) => byNumber[numberOf(error) ?? Number.NaN] !== undefined) ?? errors[0])
    }
    if (codeOf(current) !== undefined || numberOf(current) !== undefined || current.cause === undefined || current.cause === null) return current
    current = asDriver(current.cause)
  }
  return current
}

const reasonOf = (error: Driver, phase: Phase): StorageErrorReason => {
  const number = numberOf(error)
  const code = codeOf(error)
  const known = number === undefined ? undefined : byNumber[number]
  if (known !== undefined) return known
  if (number !== undefined && phase === "executing") return "Unknown"
  if (code !== undefined && byCode[code] !== undefined) return byCode[code]
  // The many codes of TLS; and whatever bears no code is the driver's own word on a connection.
  return phase === "connecting" || code === undefined ? "Connection" : "Unknown"
}

/** The server has ended the session with these, or cannot tell what became of the batch. */
const ended = (error: Driver): boolean => {
  const number = numberOf(error)
  return (typeof error.class === "number" && error.class >= 20) || (number !== undefined && byNumber[number] === "Connection" && number !== openTransaction)
}

/** Memory, space and log, which may come back; and a database that may be promoted. */
const passing = new Set([701, 802, 1101, 1105, 1204, 3906, 3908, 8645, 8651, 9002, 40552])

/** Whether a connection is as good as before, after this error of a batch. After any other it is not used again. */
export const keepsConnection = (error: unknown): boolean => {
  const root = rootOf(error)
  return codeOf(root) === "EPARAM" || (numberOf(root) !== undefined && !ended(root))
}

const fields = ["code", "number", "state", "class", "serverName", "procName", "lineNumber", "syscall", "address", "port"] as const

/** The driver's error, less what it may carry along: the connection with its settings, and the password wherever it might stand. */
const scrub = (error: Driver, secret: string | undefined): Error => {
  const source = error as Record<string, unknown>
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

export const fromDriver = (operation: string, error: unknown, phase: Phase, secret?: string | undefined): StorageError => {
  const root = rootOf(error)
  const number = numberOf(root)
  const code = codeOf(root)
  const reason = reasonOf(root, phase)
  const cause = scrub(root, secret)
  // What the operating system said, of one address or of many.
  const inner = root.cause === undefined ? undefined : codeOf(rootOf(root.cause))
  const hint = [number, inner, code].map((key) => key === undefined ? undefined : hints[key]).find((text) => text !== undefined)
  const shown = number ?? code
  return new StorageError({
    reason,
    operation: `MssqlStorage.${operation}`,
    isRetryable: reason === "Connection" || reason === "Timeout" || reason === "Conflict" || (number !== undefined && passing.has(number)),
    // Every batch is one transaction that an error rolls back; what was not sent was not done.
    applied: phase === "connecting" || code === "EINVALIDSTATE" || code === "EPARAM" || (number !== undefined && !ended(root)) ? "no" : "unknown",
    message: `SQL Server ${phase === "connecting" ? "could not be reached" : "failed"}${shown === undefined ? "" : ` (${shown})`}${
      cause.message === "" ? "" : `: ${cause.message}`
    }${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  })
}

const plain = (operation: string, reason: StorageErrorReason, isRetryable: boolean, applied: "no" | "unknown", message: string) =>
  new StorageError({ reason, operation: `MssqlStorage.${operation}`, isRetryable, applied, message })

export const noConnection = (operation: string, millis: number): StorageError =>
  plain(
    operation,
    "Timeout",
    true,
    "no",
    `no connection was free within ${Math.round(millis)} ms: the server does not answer, or the pool is full, or the caller's own transaction holds its connections ` +
      "(a lock never joins a transaction and needs a connection beside it)"
  )

export const noAnswer = (operation: string, millis: number): StorageError =>
  plain(operation, "Timeout", true, "unknown", `SQL Server did not answer within ${Math.round(millis)} ms; the batch may have been applied`)

export const closed = (operation: string): StorageError => plain(operation, "Closed", false, "no", "the layer of MssqlStorage is closed")

export const schema = (operation: string, message: string): StorageError => plain(operation, "Schema", false, "no", message)
