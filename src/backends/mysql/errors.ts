/** Failures of the MySQL family as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError } from "../../LockError.js"
import { copyOf } from "../shared/driverError.js"
import * as common from "../sql/errors.js"
import * as codes from "./codes.js"

export type Phase = codes.Phase

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
    if (numberOf(current) !== undefined || codeOf(current) !== undefined || cause === undefined || cause === null)
      return current
    current = cause
  }
  return current
}

export const keepsConnection = (error: unknown): boolean => codes.keepsConnection(numberOf(rootOf(error)))

export const isWrongServer = (error: unknown): boolean => codes.isWrongServer(numberOf(rootOf(error)))

/** Not `sqlMessage` and `sql`, which may bear ids. */
const fields = ["code", "errno", "sqlState", "syscall", "address", "port"] as const

/** `isAsked`: user and password are asked for again at each connection. */
export const fromDriver = (operation: string, error: unknown, phase: Phase, isAsked = false): StorageError => {
  // Ours already: a URL that could not be asked for.
  if (error instanceof StorageError)
    return new StorageError({ ...error, operation: `MysqlStorage.${operation}`, message: error.message })
  const root = rootOf(error)
  const number = numberOf(root)
  const code = codeOf(root)
  const at = phase === "executing" && operation === "setup" ? "preparing" : phase
  const reason = codes.reasonOf(number, code, at)
  const cause = copyOf(root, fields)
  const named = number ?? code
  const said = cause.message === "" ? "" : `: ${cause.message}`
  const hint = codes.hintOf(named, at, cause.message)
  return new StorageError({
    reason,
    operation: `MysqlStorage.${operation}`,
    isRetryable: codes.retryable(reason, number, at, isAsked),
    applied: codes.isDefinite(operation, number, at) ? "no" : "unknown",
    message: `the server ${at === "connecting" ? "could not be reached" : "failed"}${named === undefined ? "" : ` (${named})`}${said}${
      hint === undefined ? "" : `. Hint: ${hint}`
    }`,
    cause
  })
}

/** The server took a connection, and it is not what this storage needs. */
export const unfit = (message: string): StorageError =>
  new StorageError({
    reason: "Connection",
    operation: "MysqlStorage.connect",
    isRetryable: true,
    applied: "no",
    message
  })

/** An answer of a shape that no server of the family gives. */
export const odd = (operation: string, cause: unknown): StorageError =>
  new StorageError({
    reason: "Unknown",
    operation: `MysqlStorage.${operation}`,
    isRetryable: false,
    applied: "unknown",
    message:
      "the server's answer has another shape than the packet asks for: a setting of the session, or something between, changes statements or answers",
    cause
  })

export const { closed, noAnswer, noConnection, schema } = common.make("MysqlStorage", "the server", "the statements")
