/** Failures of SQLite as typed errors: the reason, whether the call may have been applied, and what a person can do. */
import { StorageError } from "../../LockError.js"

const codeOf = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return typeof code === "string" ? code : ""
}

/** By SQLite's primary code; an extended one begins with it (`SQLITE_BUSY_SNAPSHOT`, `SQLITE_IOERR_FSYNC`). */
const is = (code: string, ...primary: ReadonlyArray<string>): boolean =>
  primary.some((one) => code === `SQLITE_${one}` || code.startsWith(`SQLITE_${one}_`))

/** Another connection has the file: nothing was done, and it passes. PROTOCOL is a lost race to open the write-ahead log. */
export const busy = (cause: unknown): boolean => is(codeOf(cause), "BUSY", "LOCKED", "PROTOCOL")

/** No room for a change: nothing was done. */
export const full = (cause: unknown): boolean => is(codeOf(cause), "FULL")

const judge = (
  cause: unknown
): Pick<StorageError, "reason" | "isRetryable" | "applied"> & { readonly message: string } => {
  const code = codeOf(cause)
  const said = cause instanceof Error ? cause.message : String(cause)
  const no = { isRetryable: false, applied: "no" } as const
  if (busy(cause)) {
    return {
      reason: "Timeout",
      isRetryable: true,
      applied: "no",
      message:
        "another connection holds the write lock of the file for too long, maybe a write transaction of this very program: " +
        `SQLite has one writer per file, so a file of its own for locks is better (${code})`
    }
  }
  if (is(code, "READONLY", "PERM", "AUTH")) {
    return { reason: "Permission", ...no, message: `the file may not be written: ${said} (${code})` }
  }
  if (is(code, "CANTOPEN"))
    return {
      reason: "Connection",
      isRetryable: true,
      applied: "no",
      message: `the file cannot be opened: ${said} (${code})`
    }
  // A commit whose sync failed may be there after all.
  if (is(code, "IOERR"))
    return {
      reason: "Connection",
      isRetryable: true,
      applied: "unknown",
      message: `input or output failed: ${said} (${code})`
    }
  if (is(code, "NOTADB", "CORRUPT", "FORMAT"))
    return { reason: "Schema", ...no, message: `this is no intact SQLite database: ${said} (${code})` }
  // Our texts are fixed, so a plain error is a table that is missing, or is not ours.
  if (is(code, "ERROR", "SCHEMA", "CONSTRAINT", "MISMATCH")) {
    return {
      reason: "Schema",
      ...no,
      message: `the table is missing or is not as this library makes it: ${said} (${code})`
    }
  }
  if (full(cause)) {
    return {
      reason: "Unknown",
      isRetryable: true,
      applied: "no",
      message: `the disk of the file is full: make room; locks that are held are kept and freed where pages that exist may be overwritten (${code})`
    }
  }
  if (is(code, "NOMEM", "INTERRUPT", "ABORT"))
    return { reason: "Unknown", isRetryable: true, applied: "no", message: `${said} (${code})` }
  // The driver throws a TypeError without a code for a directory that is not there, and for a closed handle.
  if (code === "" && cause instanceof TypeError)
    return { reason: "Connection", ...no, message: `the file cannot be used: ${said}` }
  return {
    reason: "Unknown",
    isRetryable: false,
    applied: "unknown",
    message: code === "" ? said : `${said} (${code})`
  }
}

/** A driver's error as a value, judged by its code alone. */
export const classify = (operation: string, cause: unknown): StorageError =>
  new StorageError({ operation, cause, ...judge(cause) })
