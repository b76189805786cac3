/** Every way in which this module fails, as plain classes. */
import type { LockInformation } from "./information.js"

/**
 * What a `LockError` is, by its `code`.
 *
 * @since 0.5.0
 * @category errors
 */
export type LockErrorCode =
  | "LOCK_TIMEOUT"
  | "LOCK_LOST"
  | "INVALID_LOCK_ID"
  | "INVALID_OPTIONS"
  | "UNKNOWN_SCHEME"
  | "MISSING_DRIVER"
  | "AUDIT_UNAVAILABLE"
  | "UPGRADE_REFUSED"
  | "RESIGNED"
  | "STORAGE"

/**
 * Any error of this module: `error instanceof LockError`. What a body throws, and the reason of an `AbortSignal`, is passed on as it is.
 *
 * @since 0.5.0
 * @category errors
 */
export abstract class LockError extends Error {
  abstract readonly code: LockErrorCode
}

/** Fields as they are given, and nothing where none is given. */
const assign = <Fields extends object>(error: object, fields: Fields): void => {
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) Object.assign(error, { [name]: value })
}

/**
 * The lock was not acquired within `acquireTimeout`.
 *
 * @since 0.5.0
 * @category errors
 */
export class LockTimeout extends LockError {
  readonly code = "LOCK_TIMEOUT"
  declare readonly lockId: string
  /** Of the waiter. */
  declare readonly ownerId: string
  /** How long the caller waited, in milliseconds. */
  declare readonly waitedMillis: number
  /** The holder as the storage last reported it. Absent if the storage was not asked, or did not say. */
  declare readonly heldBy?: LockInformation

  constructor(
    message: string,
    fields: Pick<LockTimeout, "lockId" | "ownerId" | "waitedMillis"> & { readonly heldBy?: LockInformation | undefined }
  ) {
    super(message)
    assign(this, fields)
  }

  override get name(): string {
    return "LockTimeout"
  }
}

/**
 * Why a hold ended.
 *
 * - `Expired`: its local deadline passed before the storage confirmed a renewal
 * - `Taken`: the storage says that somebody else has the lock
 * - `Forced`: an operator took it away
 * - `Vanished`: the storage has no record of this hold any more, and nobody is known to have taken it
 * - `HeldTooLong`: it was held for as long as its option `holdAtMost` allows
 * - `Closed`: `close` was called under it
 * - `Released`: it was given back in order. Only `check` and `renew` say so
 *
 * @since 0.5.0
 * @category errors
 */
export type LostReason = "Expired" | "Taken" | "Forced" | "Vanished" | "HeldTooLong" | "Closed" | "Released"

/**
 * The hold is over: stop the work that it protected. This is final.
 *
 * If it comes from `withLock`, `cause` is what the body threw after the loss, if that is not this error itself.
 *
 * @since 0.5.0
 * @category errors
 */
export class LockLost extends LockError {
  readonly code = "LOCK_LOST"
  declare readonly lockId: string
  declare readonly ownerId: string
  declare readonly token: number
  declare readonly reason: LostReason
  /** More about the reason: the storage's last error, or what it has in place of this hold. */
  declare readonly detail?: string
  /** `true` if the body of `withLock` was fulfilled all the same. Another holder may have run at the same time. */
  declare readonly completed?: boolean
  /** The result of that body. */
  declare readonly result?: unknown

  constructor(
    message: string,
    fields: Pick<LockLost, "lockId" | "ownerId" | "token" | "reason"> & {
      readonly detail?: string | undefined
      readonly completed?: boolean | undefined
      readonly result?: unknown
      readonly cause?: unknown
    }
  ) {
    const { cause, ...own } = fields
    super(message, cause === undefined ? undefined : { cause })
    assign(this, own)
  }

  override get name(): string {
    return "LockLost"
  }
}

abstract class Invalid extends LockError {
  /** What is wrong, as in `leaseExpireAfter` or `storage.table`. */
  declare readonly field: string
  /** What it is, in words; never the value of a secret. */
  declare readonly kind: string
  /** What it has to be. */
  declare readonly rule: string

  constructor(fields: { readonly field: string; readonly kind: string; readonly rule: string }) {
    super(`${fields.field} must be ${fields.rule}, but is ${fields.kind}`)
    assign(this, fields)
  }
}

/**
 * A lock id that cannot be stored byte for byte. Before any I/O.
 *
 * @since 0.5.0
 * @category errors
 */
export class InvalidLockId extends Invalid {
  readonly code = "INVALID_LOCK_ID"

  override get name(): string {
    return "InvalidLockId"
  }
}

/**
 * An invalid option, or a part of the URL that is not honoured. Before any I/O.
 *
 * @since 0.5.0
 * @category errors
 */
export class InvalidOptions extends Invalid {
  readonly code = "INVALID_OPTIONS"

  override get name(): string {
    return "InvalidOptions"
  }
}

/**
 * The URL is of no storage that this library knows.
 *
 * @since 0.5.0
 * @category errors
 */
export class UnknownScheme extends LockError {
  readonly code = "UNKNOWN_SCHEME"
  /** The schemes that there are, each with its colon. */
  declare readonly known: ReadonlyArray<string>

  constructor(message: string, fields: Pick<UnknownScheme, "known">) {
    super(message)
    assign(this, fields)
  }

  override get name(): string {
    return "UnknownScheme"
  }
}

/**
 * The driver of the storage is not installed.
 *
 * @since 0.5.0
 * @category errors
 */
export class MissingDriver extends LockError {
  readonly code = "MISSING_DRIVER"
  /** What to install. */
  declare readonly packages: ReadonlyArray<string>

  constructor(message: string, fields: Pick<MissingDriver, "packages"> & { readonly cause?: unknown }) {
    super(message, { cause: fields.cause })
    assign(this, { packages: fields.packages })
  }

  override get name(): string {
    return "MissingDriver"
  }
}

/**
 * The storage has no place for an audit.
 *
 * @since 0.5.0
 * @category errors
 */
export class AuditUnavailable extends LockError {
  readonly code = "AUDIT_UNAVAILABLE"
  declare readonly storage: string
  /** The storages that have one. */
  declare readonly offeredBy: ReadonlyArray<string>

  constructor(message: string, fields: Pick<AuditUnavailable, "storage" | "offeredBy">) {
    super(message)
    assign(this, fields)
  }

  override get name(): string {
    return "AuditUnavailable"
  }
}

/**
 * What went wrong in the storage.
 *
 * - `Connection`: it cannot be reached, or the connection broke
 * - `Timeout`: no answer in time
 * - `Conflict`: too many others at once
 * - `Permission`: it refuses the login or the operation
 * - `Schema`: its table is missing, foreign, or of a newer format
 * - `TooLarge`: a lock that several may hold has no room for one more in its record
 * - `Closed`: `close` was called
 * - `Unknown`: anything else; see `cause`
 *
 * @since 0.5.0
 * @category errors
 */
export type StorageErrorReason =
  "Connection" | "Timeout" | "Conflict" | "Permission" | "Schema" | "TooLarge" | "Closed" | "Unknown"

/**
 * An owner that reads has asked to write, which is refused before any I/O: others that read would wait for it, and it for them. Read with `upgradable` what may have to be written, and `upgrade` it; or give
 * the read back first.
 *
 * @since 0.5.0
 * @category errors
 */
export class UpgradeRefused extends LockError {
  readonly code = "UPGRADE_REFUSED"
  declare readonly lockId: string
  declare readonly ownerId: string

  constructor(message: string, fields: Pick<UpgradeRefused, "lockId" | "ownerId">) {
    super(message)
    assign(this, fields)
  }

  override get name(): string {
    return "UpgradeRefused"
  }
}

/**
 * This process has resigned as the leader, and does not campaign again, for `afterResign` was `"never"`.
 *
 * @since 0.5.0
 * @category errors
 */
export class Resigned extends LockError {
  readonly code = "RESIGNED"
  declare readonly lockId: string

  constructor(message: string, fields: Pick<Resigned, "lockId">) {
    super(message)
    assign(this, fields)
  }

  override get name(): string {
    return "Resigned"
  }
}

/**
 * The storage failed. `applied` says whether the operation may have taken effect: `"no"` is certain, `"unknown"` is a lost reply. `cause` is the driver's
 * error, without secrets.
 *
 * @since 0.5.0
 * @category errors
 */
export class StorageError extends LockError {
  readonly code = "STORAGE"
  declare readonly reason: StorageErrorReason
  /** Where it happened, such as `"PostgresStorage.claim"`. */
  declare readonly operation: string
  declare readonly isRetryable: boolean
  declare readonly applied: "no" | "unknown"

  constructor(
    message: string,
    fields: Pick<StorageError, "reason" | "operation" | "isRetryable" | "applied"> & { readonly cause?: unknown }
  ) {
    const { cause, ...own } = fields
    super(message, cause === undefined ? undefined : { cause })
    assign(this, own)
  }

  override get name(): string {
    return "StorageError"
  }
}
