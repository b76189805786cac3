/**
 * The port between the lock and a storage: a few atomic, idempotent operations, timed by the storage's own clock.
 *
 * `LockRecord.step` specifies what each operation does. This module specifies what else a storage must guarantee. The conformance kit,
 * `effect-storage-lock/testing`, checks both.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import type * as Effect from "#effect/Effect"
import type * as Option from "#effect/Option"
import type * as Stream from "#effect/Stream"
import type { Place as AuditPlace } from "./AuditStore.js"
import type { StorageError } from "./LockError.js"
import type {
  Claim,
  ClaimOutcome,
  LockRecord,
  Release,
  ReleaseOutcome,
  Renew,
  RenewOutcome,
  Revoke,
  RevokeOutcome
} from "./LockRecord.js"

/**
 * Facts about a storage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Guarantees {
  /** The storage's name, for messages. */
  readonly name: string
  /**
   * What ends a lease: the `storage`'s own clock, another one that is `provided` for all processes (`VersionedStore.withTime`), time `observed` by waiters on their monotonic clocks, or a `session` of
   * the storage.
   */
  readonly clock: "storage" | "provided" | "observed" | "session"
  /**
   * Whether leases end in `real` time, as in every storage outside of this process, or by the `Clock` of the program, as in memory. Locks over a `real`
   * storage use the real clock even under a `TestClock`, and log a warning. If absent, the program's `Clock` counts, and a warning is logged if that is not
   * the real one.
   */
  readonly time?: "real" | "program" | undefined
  /**
   * The smallest step of the clock that ends leases, in microseconds. Leases are rounded up to a multiple of it. If the clock sometimes moves by several
   * steps at once, `clockMargin` must cover that.
   */
  readonly leaseGranularity: number
  /**
   * By how much longer than it was asked for a lease may be kept from others, in microseconds. What its holder is told is less by that. Absent where the clock is the storage's own: there it is nothing.
   */
  readonly leaseSlack?: number | undefined
  /** The shortest lease that is accepted, in microseconds. */
  readonly shortestLease: number
  /** The longest lock id that is stored unchanged, in bytes of UTF-8. */
  readonly longestId: number
  /**
   * The largest record that is stored, in bytes of its JSON (`LockRecord.fromJson`). Absent where nobody comes near the limit. A claim of a lock that several may hold fails with reason `TooLarge` where the
   * record would pass nine tenths of it, before anything is written: so renewals, releases and revocations always fit.
   *
   * @since 0.5.0
   */
  readonly largestRecord?: number | undefined
}

/**
 * A live record, with what was left of its lease when it was read (microseconds, by the same sample of the clock).
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly record: LockRecord
  readonly validFor: number
}

/**
 * The outcome of one renewal of many.
 *
 * @since 0.1.0
 * @category models
 */
export type RenewAnswer = RenewOutcome | StorageError

/**
 * The port. Rules, each a case of the conformance kit:
 *
 * 1. claim, renew of many and release are one round trip on native storages; a contended claim only reads
 * 2. the storage's clock decides, sampled once per statement; no client time enters a stored value
 * 3. tokens and versions only grow per lock id, over release, takeover, purge and restarts
 * 4. a claim, renew or release that is repeated, in any interleaving with sibling holds, has the effect of one
 * 5. renew and release act on that hold id only
 * 6. leases only grow
 * 7. `Held` names the present holder, and there is always an answer
 * 8. ids are compared byte for byte
 * 9. never inside the program's own transaction
 * 10. every failure is a `StorageError`, judged by codes
 *
 * An operation that is interrupted has an unknown effect. If the interruption could harm others, the storage makes the operation uninterruptible. An
 * operation should end within `TimeLimit`, and fail with reason `Timeout` if it cannot.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly claim: (request: Claim) => Effect.Effect<ClaimOutcome, StorageError>
  /**
   * One answer per request, in the order of the requests. One lock id may occur several times, with different hold ids. If only some of them fail (an
   * unreadable record, one node of several), the error is the answer to those alone.
   */
  readonly renew: (requests: ReadonlyArray<Renew>) => Effect.Effect<ReadonlyArray<RenewAnswer>, StorageError>
  readonly release: (request: Release) => Effect.Effect<ReleaseOutcome, StorageError>
  readonly revoke: (request: Revoke) => Effect.Effect<RevokeOutcome, StorageError>
  /** The record if somebody holds the lock now. */
  readonly get: (lockId: string) => Effect.Effect<Option.Option<Snapshot>, StorageError>
  /** All locks that are held, read in pages. */
  readonly list: Stream.Stream<Snapshot, StorageError>
  /**
   * Deletes the records of locks whose last lease ended longer ago than this, and returns their number. Less than an hour is raised to an hour, so that the
   * clock has certainly passed the forgotten tokens. A storage without a clock deletes none.
   */
  readonly purge: (olderThan: Duration.Input) => Effect.Effect<number, StorageError>
  /**
   * Hints that a waiter for this lock id (or, with `"all"`, for any) may try again. They may be lost, late or repeated: correctness never depends on them.
   * The stream never fails. It recovers by itself, and emits `"all"` when it may have missed some. The core runs it once per layer. It need tell only of locks
   * whose claim was answered with `Held` by this storage: whoever waits has asked.
   */
  readonly wakeUps: Stream.Stream<string>
  readonly guarantees: Guarantees
  /**
   * Where events of locks can be kept, if there is a place for them. `LockAudit` writes and reads there; locks have nothing to do with it.
   *
   * @since 0.5.0
   */
  readonly audit?: AuditPlace | undefined
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Storage extends Context.Service<Storage, Service>()("effect-storage-lock/Storage") {}

/**
 * How long the caller of the current operation will wait for it. The core sets it around every call. A storage must limit its waiting for connections, locks
 * and answers to this or to its own option, whichever is shorter.
 *
 * @since 0.1.0
 * @category references
 */
export const TimeLimit: Context.Reference<Duration.Duration> = Context.Reference(
  "effect-storage-lock/Storage/TimeLimit",
  {
    defaultValue: () => Duration.infinity
  }
)

/**
 * The shortest time for which `purge` keeps a free record.
 *
 * @since 0.1.0
 * @category constants
 */
export const shortestMemory: Duration.Duration = Duration.hours(1)
