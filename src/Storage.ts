/**
 * The port between the lock and a storage: a handful of atomic, idempotent operations, judged by the storage's own clock.
 *
 * What each operation does is said by `LockRecord.step`; what else a storage must keep is said here, and checked by the conformance
 * kit of `effect-storage-lock/testing`.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import type * as Effect from "#effect/Effect"
import type * as Option from "#effect/Option"
import type * as Stream from "#effect/Stream"
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
 * What a storage promises of itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Guarantees {
  /** The storage's name, for messages. */
  readonly name: string
  /**
   * Whose clock ends a lease: the `storage`'s own; time `observed` by waiters on their monotonic clocks; or a `session` of the storage.
   */
  readonly clock: "storage" | "observed" | "session"
  /**
   * Whether leases end in `real` time, as in every storage outside of this process, or by the `Clock` of the program, as in memory. Under a `TestClock` locks over a `real` one go by the real clock all the same, with a
   * warning. Without it: by the program's, and if that is not the real one a warning says so.
   */
  readonly time?: "real" | "program" | undefined
  /**
   * The grain of the clock that ends leases, in microseconds: leases are rounded up to a multiple of it. Finer would be a promise that the clock does not keep. That it moves by several grains
   * at once, as some do, is for `clockMargin` to cover.
   */
  readonly leaseGranularity: number
  /** Shorter leases are refused, in microseconds. */
  readonly shortestLease: number
  /** Longest lock id, in bytes of UTF-8, that is stored as it is. */
  readonly longestId: number
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
 * What came of one renewal of many.
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
 * An operation that is interrupted has an unknown effect; a storage that would harm others by it makes itself uninterruptible.
 * An operation should end within `TimeLimit`, with reason `Timeout` if it must.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly claim: (request: Claim) => Effect.Effect<ClaimOutcome, StorageError>
  /**
   * One answer per request, in their order. One lock id may occur several times, with different hold ids. What fails for some of them only (a record that cannot be read,
   * a node of several) is the answer to those, and costs the others nothing.
   */
  readonly renew: (requests: ReadonlyArray<Renew>) => Effect.Effect<ReadonlyArray<RenewAnswer>, StorageError>
  readonly release: (request: Release) => Effect.Effect<ReleaseOutcome, StorageError>
  readonly revoke: (request: Revoke) => Effect.Effect<RevokeOutcome, StorageError>
  /** The record if somebody holds the lock now. */
  readonly get: (lockId: string) => Effect.Effect<Option.Option<Snapshot>, StorageError>
  /** All locks that are held, read in pages. */
  readonly list: Stream.Stream<Snapshot, StorageError>
  /**
   * Drops the records of locks whose last lease ended longer than this ago, and says how many. At least an hour: shorter is raised to it,
   * so that the clock has certainly passed the tokens that are forgotten. A storage without a clock drops none.
   */
  readonly purge: (olderThan: Duration.Input) => Effect.Effect<number, StorageError>
  /**
   * Hints that a waiter for this lock id (or, with `"all"`, for any) may try again. May be lost, late or repeated; never needed for correctness. Never fails: it heals
   * itself, and says `"all"` when it may have missed some. The core runs it once per layer.
   */
  readonly wakeUps: Stream.Stream<string>
  readonly guarantees: Guarantees
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Storage extends Context.Service<Storage, Service>()("effect-storage-lock/Storage") {}

/**
 * How long the caller of the present operation will wait for it. The core sets it around every call; a storage bounds its waiting for
 * connections, locks and answers by it, and by its own option, whichever is shorter.
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
