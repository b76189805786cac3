/** What all SQL backends say in the same words. */
import { StorageError, type StorageErrorReason } from "../../LockError.js"

/** `server` and `sent`: how the backend calls its server, and what it sends. */
export const make = (storage: string, server: string, sent: string) => {
  const plain = (
    operation: string,
    reason: StorageErrorReason,
    isRetryable: boolean,
    applied: "no" | "unknown",
    message: string
  ): StorageError => new StorageError({ reason, operation: `${storage}.${operation}`, isRetryable, applied, message })
  return {
    plain,
    noConnection: (operation: string, millis: number): StorageError =>
      plain(
        operation,
        "Timeout",
        true,
        "no",
        `no connection was free within ${Math.round(millis)} ms: the server does not answer, or the pool is full, ` +
          "or the caller's own transaction holds its connections (a lock never joins a transaction and needs a connection beside it)"
      ),
    noAnswer: (operation: string, millis: number): StorageError =>
      plain(
        operation,
        "Timeout",
        true,
        "unknown",
        `${server} did not answer within ${Math.round(millis)} ms; ${sent} may have been applied`
      ),
    closed: (operation: string): StorageError =>
      plain(operation, "Closed", false, "no", `the layer of ${storage} is closed`),
    schema: (operation: string, message: string): StorageError => plain(operation, "Schema", false, "no", message)
  }
}
