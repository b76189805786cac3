/** What happens to locks. */
import type { LockTimeout, LostReason, StorageError } from "./errors.js"
import type { LockInformation } from "./information.js"

/** @inline */
interface Subject {
  /** By this process's clock. */
  readonly at: Date
  readonly lockId: string
  readonly ownerId: string
  readonly ownerLabel: string
}

/** @inline */
interface HoldSubject extends Subject {
  /** Fencing token. */
  readonly token: number
}

/**
 * What happens to locks. Every acquire ends in one of `Acquired`, `Refused`, `TimedOut`, `AcquireFailed` and `Interrupted`. Every hold ends in one of `Released`
 * and `Lost`. Lengths of time are in milliseconds.
 *
 * @since 0.5.0
 * @category models
 */
export type LockEvent =
  /** An acquire could not go at once. */
  | (Subject & { readonly type: "Waiting"; readonly holder: LockInformation | undefined })
  | (HoldSubject & { readonly type: "Acquired"; readonly waited: number; readonly attempts: number })
  /** A try found that somebody else has the lock. */
  | (Subject & { readonly type: "Refused"; readonly holder: LockInformation | undefined })
  | (Subject & { readonly type: "TimedOut"; readonly waited: number; readonly error: LockTimeout })
  | (Subject & { readonly type: "AcquireFailed"; readonly waited: number; readonly error: StorageError })
  /** Its `signal` was aborted. */
  | (Subject & { readonly type: "Interrupted"; readonly waited: number })
  | (HoldSubject & { readonly type: "Renewed"; readonly leaseExpireTime: Date })
  | (HoldSubject & { readonly type: "RenewalFailed"; readonly error: StorageError })
  /** The hold will be lost unless a renewal gets through. */
  | (HoldSubject & { readonly type: "Late"; readonly remaining: number })
  | (HoldSubject & {
      readonly type: "Lost"
      readonly reason: LostReason
      readonly detail: string | undefined
      readonly held: number
    })
  /** `confirmed`: whether the storage has said so. Else it is tried again in the background. */
  | (HoldSubject & { readonly type: "Released"; readonly held: number; readonly confirmed: boolean })
  | {
      readonly type: "Forced"
      readonly at: Date
      readonly lockId: string
      readonly token: number
      readonly when: "now" | "leaseEnd"
    }
  | { readonly type: "StorageFailing"; readonly at: Date; readonly error: StorageError }
  | { readonly type: "StorageBack"; readonly at: Date; readonly failedFor: number }
  /** So many of the oldest events were dropped here. */
  | { readonly type: "Dropped"; readonly at: Date; readonly count: number }

/**
 * An event that was kept in the storage.
 *
 * @since 0.5.0
 * @category models
 */
export interface AuditEntry {
  /** Unique. Entries of one process have ids in the order of what happened. */
  readonly id: string
  /** By the storage's clock. `event.at` is by the clock of the process. */
  readonly writtenAt: Date
  /** Where it happened. */
  readonly host: string
  readonly pid: number
  readonly event:
    | LockEvent
    /** Of a kind that this version does not know, or changed by hand. */
    | {
        readonly type: "Unreadable"
        readonly at: Date
        readonly lockId: string
        readonly event: string
        readonly detail: string
      }
}
