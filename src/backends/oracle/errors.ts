/** Failures of Oracle as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError } from "../../LockError.js"
import { copyOf } from "../shared/driverError.js"
import * as common from "../sql/errors.js"
import type { Phase } from "../sql/poolExecutor.js"
import * as codes from "./codes.js"

interface DriverError {
  readonly code?: unknown
  readonly errorNum?: unknown
  readonly message?: unknown
}

const asDriver = (error: unknown): DriverError => (typeof error === "object" && error !== null ? error : {})

const messageOf = (error: unknown): string => {
  const { message } = asDriver(error)
  return typeof message === "string" ? message : ""
}

const codeOf = (error: unknown): string | undefined => {
  const { code } = asDriver(error)
  return typeof code === "string" ? code : undefined
}

/** The server's number that says what happened. */
export const numberOf = (error: unknown): number | undefined => {
  const { errorNum } = asDriver(error)
  return codes.numberIn(typeof errorNum === "number" && errorNum > 0 ? errorNum : undefined, messageOf(error))
}

export const keepsConnection = (error: unknown): boolean => codes.keepsConnection(numberOf(error))

/** Not done, and another connection may lead to where it can be: one from before a failover, or one with a transaction that somebody left open. */
export const isWrongServer = (error: unknown): boolean => {
  const number = numberOf(error)
  return number === codes.readOnly || number === codes.openTransaction
}

const fields = ["code", "errorNum", "offset"] as const

export const fromDriver = (operation: string, error: unknown, phase: Phase): StorageError => {
  // Ours already: what could not be asked for, or a server that is not what was asked for.
  if (error instanceof StorageError)
    return new StorageError({ ...error, operation: `OracleStorage.${operation}`, message: error.message })
  const number = numberOf(error)
  const code = codeOf(error)
  const reason = codes.reasonOf(number, code, phase)
  const cause = copyOf(error, [...fields])
  const hint = codes.hintOf(number, code)
  const said = cause.message.replace(/\s*Help: \S+/g, "").trim()
  return new StorageError({
    reason,
    operation: `OracleStorage.${operation}`,
    isRetryable: reason === "Connection" || reason === "Timeout" || reason === "Conflict" || codes.isPassing(number),
    applied: codes.isDefinite(number, code, phase) ? "no" : "unknown",
    message: `Oracle ${phase === "connecting" ? "could not be reached" : "failed"}${said === "" ? "" : `: ${said}`}${hint === undefined ? "" : `. Hint: ${hint}`}`,
    cause
  })
}

const { plain, ...shared } = common.make("OracleStorage", "Oracle", "the block")

export const { closed, noAnswer, noConnection, schema } = shared

export const odd = (operation: string, cause?: unknown): StorageError =>
  plain(
    operation,
    "Unknown",
    false,
    "unknown",
    `the server's answer cannot be read${cause instanceof Error ? ` (${cause.message})` : ""}: something between changes statements or answers`
  )

/** The server took a connection, and it is not what this storage needs. */
export const unfit = (message: string): StorageError => plain("connect", "Connection", true, "no", message)

export const tooOld = (version: string): StorageError =>
  plain(
    "connect",
    "Schema",
    false,
    "no",
    `the server is of version ${version}: Oracle Database 12.2 or later is needed`
  )

export const elsewhere = (found: string, asked: string): StorageError =>
  unfit(
    `the connection is in the database ${JSON.stringify(found)}, and the storage was opened in ${JSON.stringify(asked)}: two processes would lock in two tables`
  )
