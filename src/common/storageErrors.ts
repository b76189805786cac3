/** Failures that are the same on every storage. `operation` is the whole name, as in `EtcdStorage.claim`. */
import { StorageError } from "../LockError.js"

/** Others changed the record each time before this one's write came. */
export const conflict = (operation: string, lockId: string, applied: "no" | "unknown"): StorageError =>
  new StorageError({
    reason: "Conflict",
    operation,
    isRetryable: true,
    applied,
    message: `gave up on ${JSON.stringify(lockId)} after too many version misses: too many processes change it at once`
  })

/** What is stored cannot be read. */
export const schema = (operation: string, message: string): StorageError =>
  new StorageError({ reason: "Schema", operation, isRetryable: false, applied: "no", message })

/** Of what fails before anything of it was sent that could be applied. */
export const unapplied = (error: StorageError): StorageError =>
  error.applied === "no" ? error : new StorageError({ ...error, message: error.message, applied: "no" })
