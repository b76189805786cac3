/** Errors of `pg` and of the server, as `StorageError`. */
import { StorageError } from "../../LockError.js"
import { copyOf } from "../shared/driverError.js"
import * as common from "../sql/errors.js"
import * as codes from "./codes.js"

export type Phase = codes.Phase

const fields = [
  "code",
  "severity",
  "detail",
  "hint",
  "schema",
  "table",
  "column",
  "constraint",
  "syscall",
  "address",
  "port"
] as const

export const codeOf = (error: unknown): string | undefined => {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code
  return typeof code === "string" ? code : undefined
}

/** The error of the driver, under whatever a client wrapped it in. */
export const rootOf = (error: unknown): unknown => {
  let current = error
  for (let depth = 0; depth < 5; depth++) {
    const cause = (current as { readonly cause?: unknown } | null | undefined)?.cause
    if (codeOf(current) !== undefined || cause === undefined || cause === null) return current
    current = cause
  }
  return current
}

export const keepsConnection = (error: unknown): boolean => codes.keepsConnection(codeOf(rootOf(error)))

export const isWrongServer = (error: unknown): boolean => codes.isWrongServer(codeOf(rootOf(error)))

/** `pooler`: that option of the layer, where it has one. */
export const fromDriver = (
  operation: string,
  error: unknown,
  phase: Phase,
  pooler?: boolean | undefined
): StorageError => {
  // Ours already: a URL that could not be asked for.
  if (error instanceof StorageError)
    return new StorageError({ ...error, operation: `PostgresStorage.${operation}`, message: error.message })
  const root = rootOf(error)
  const code = codeOf(root)
  const at = phase === "executing" && operation === "setup" ? "preparing" : phase
  const reason = codes.reasonOf(code, at)
  const cause = copyOf(root, fields)
  const said = cause.message === "" ? "" : `: ${cause.message}`
  const hint = codes.hintOf(code, at, pooler)
  return new StorageError({
    reason,
    operation: `PostgresStorage.${operation}`,
    isRetryable: codes.retryable(reason, code),
    applied: codes.isDefinite(code, at) ? "no" : "unknown",
    message: `PostgreSQL ${at === "connecting" ? "could not be reached" : "failed"}${code === undefined ? "" : ` (${code})`}${said}${
      hint === undefined ? "" : `. Hint: ${hint}`
    }`,
    cause
  })
}

const { plain, ...shared } = common.make("PostgresStorage", "PostgreSQL", "the statement")

export const { closed, noAnswer, noConnection, schema } = shared

/** An answer of a shape that no PostgreSQL gives. */
export const odd = (operation: string): StorageError =>
  plain(
    operation,
    "Unknown",
    false,
    "unknown",
    "the answer to the statement has no rows to read: something between this program and PostgreSQL changes statements or answers"
  )

export const permission = (operation: string, message: string): StorageError =>
  plain(operation, "Permission", false, "no", message)
