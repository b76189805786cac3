/** Failures of SQL Server as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError } from "../../LockError.js"
import { copyOf } from "../shared/driverError.js"
import type { Phase } from "../sql/clientExecutor.js"
import * as common from "../sql/errors.js"
import * as codes from "./codes.js"
import { openTransaction } from "./statements.js"

interface Driver {
  readonly code?: unknown
  readonly number?: unknown
  readonly class?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

const asDriver = (error: unknown): Driver => (typeof error === "object" && error !== null ? error : {})

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
      return asDriver(errors.find((error) => codes.isKnown(numberOf(error))) ?? errors[0])
    }
    if (
      codeOf(current) !== undefined ||
      numberOf(current) !== undefined ||
      current.cause === undefined ||
      current.cause === null
    )
      return current
    current = asDriver(current.cause)
  }
  return current
}

/** The server has ended the session with these, or cannot tell what became of the batch. */
const ended = (error: Driver): boolean => {
  const number = numberOf(error)
  return (
    (typeof error.class === "number" && error.class >= 20) ||
    (number !== undefined &&
      !codes.isElsewhere(number) &&
      codes.reasonOf(number, undefined, "executing") === "Connection")
  )
}

/** Not done here, and certainly not: another connection may lead to where it is. */
export const isElsewhere = (error: unknown): boolean => {
  const root = rootOf(error)
  return codes.isElsewhere(numberOf(root)) && !ended(root)
}

/** Whether a connection is as good as before, after this error of a batch. After any other it is not used again. */
export const keepsConnection = (error: unknown): boolean => {
  const root = rootOf(error)
  const number = numberOf(root)
  return (
    codeOf(root) === "EPARAM" ||
    (number !== undefined && !ended(root) && (!codes.isElsewhere(number) || number === openTransaction))
  )
}

/** All else stays behind: the driver's connection with its settings. */
const fields = [
  "code",
  "number",
  "state",
  "class",
  "serverName",
  "procName",
  "lineNumber",
  "syscall",
  "address",
  "port"
]

export const fromDriver = (operation: string, error: unknown, phase: Phase): StorageError => {
  const root = rootOf(error)
  const number = numberOf(root)
  const code = codeOf(root)
  const reason = codes.reasonOf(number, code, phase)
  const cause = copyOf(root, fields)
  // What the operating system said, of one address or of many.
  const inner = root.cause === undefined ? undefined : codeOf(rootOf(root.cause))
  const hint = codes.hintOf(number, inner, code)
  const shown = number ?? code
  return new StorageError({
    reason,
    operation: `MssqlStorage.${operation}`,
    isRetryable: reason === "Connection" || reason === "Timeout" || reason === "Conflict" || codes.isPassing(number),
    // Every batch is one transaction that an error rolls back; what was not sent was not done.
    applied:
      phase === "connecting" || code === "EINVALIDSTATE" || code === "EPARAM" || (number !== undefined && !ended(root))
        ? "no"
        : "unknown",
    message: `SQL Server ${phase === "connecting" ? "could not be reached" : "failed"}${shown === undefined ? "" : ` (${shown})`}${
      cause.message === "" ? "" : `: ${cause.message}`
    }${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  })
}

const { plain, ...shared } = common.make("MssqlStorage", "SQL Server", "the batch")

export const { closed, noAnswer, noConnection, schema } = shared

export const odd = (operation: string): StorageError =>
  plain(
    operation,
    "Unknown",
    false,
    "unknown",
    "the server's answer cannot be read: it is no SQL Server, or something between changes statements or answers"
  )

export const elsewhere = (operation: string, found: string, asked: string): StorageError =>
  plain(
    operation,
    "Connection",
    true,
    "no",
    `the connection is in the database ${JSON.stringify(found)}, not in ${JSON.stringify(asked)}: has something said USE on it?`
  )
