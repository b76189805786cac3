/** What users see of a lock: options, the lock, the service. Published by `StorageLock`. */
import type * as Duration from "#effect/Duration"
import type * as Effect from "#effect/Effect"
import type { Outcome } from "#effect/outcome"
import type * as Option from "#effect/Option"
import type { Pipeable } from "effect/Pipeable"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type { InvalidLockId, InvalidOptions, LockLost, LockTimeout, StorageError } from "../LockError.js"
import type { LockInformation } from "../LockInformation.js"

/**
 * All optional; given to the layer, and overridable per acquire. What makes no sense is refused with `InvalidOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The lease: how long after its last renewal a dead holder's lock becomes free. Default 30 seconds. */
  readonly leaseExpireAfter?: Duration.Input | undefined
  /** How often a hold is renewed. Default a third of the lease. */
  readonly leaseRefreshInterval?: Duration.Input | undefined
  /**
   * How long `acquire` and `withLock` wait, in all, before they fail: with `LockTimeout` if somebody has the lock, with a `StorageError` if the storage does not answer. Default: for ever.
   *
   * It bounds `tryAcquire` and `withLockIfAvailable` as well, which wait for one answer of the storage. Their default: half a second; five seconds where the storage has not answered this
   * layer yet, since it may have to be connected to first; and a quarter of a second more if this process itself stood still.
   */
  readonly acquireTimeout?: Duration.Input | undefined
  /**
   * When to ask again for a lock that somebody else has, if nothing tells sooner. When it ends, `acquire` fails with `LockTimeout`.
   * Default: jittered, growing from 20 ms to half a second.
   */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /**
   * A hold counts as lost this long before its lease ends, by this process's clock. It must cover what the storage's clock may step in a lease, what clocks
   * differ by between a storage and its replica after a failover, and 0.1 % of the lease. Default the larger of 100 ms and a twentieth of the lease.
   */
  readonly clockMargin?: Duration.Input | undefined
  /**
   * How long a hold may last, from its claim on: then it is lost with reason `HeldTooLong`, though it could be renewed, so that a body that hangs does not keep the lock for ever. `withLock` and
   * `lock.guard` interrupt their body; a scope of `acquire` is not stopped, as with every loss. Each hold has its own bound, a nested one of the same owner too. Above zero. Default, and
   * `"infinity"`: for ever.
   */
  readonly holdAtMost?: Duration.Input | "infinity" | undefined
  /**
   * What `withLock`, `withLockIfAvailable` and `lock.guard` end in if their body ran to its end, but its hold was over by then, because nothing could stop it in time (a blocked event loop): with `"fail"`, the default, in `LockLost`, with `completed: true` and what the body gave as `result`; with `"succeed"` in what it gave. A loss is logged in any case. A body that failed by
   * itself fails with its own error.
   */
  readonly lostAtEnd?: "fail" | "succeed" | undefined
  /**
   * Who a holder is, for people: stored beside the owner id, and shown in `LockTimeout`, `get` and `list`. Decides nothing, so any number of owners may share it. Default the
   * host's name and the process id; empty for none. At most 255 UTF-16 units.
   */
  readonly ownerLabel?: string | undefined
  /**
   * Drops the records of locks that have been free for longer than this: at least an hour; `"infinity"` or `false` for never. Of the layer only. Default a day: fencing tokens go on from the storage's
   * clock, so they need a record only where that was set back, and a day outlasts a wrong time zone. It is done in the background, about every twenty-fourth of this time (from ten minutes to a day),
   * by one of the processes that share the storage, for all namespaces: the shortest time that any of them gives counts. Without effect where the storage has no clock of its own (`guarantees.clock`
   * is not `"storage"`, as for etcd).
   */
  readonly purgeAfter?: Duration.Input | "infinity" | false | undefined
  /** Keeps the locks of several applications in one table apart. Of the layer only. At most 64 UTF-16 units. */
  readonly namespace?: string | undefined
}

/**
 * Options of one acquire, with the owner id among them.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcquireOptions extends Omit<Options, "namespace" | "purgeAfter"> {
  /**
   * The reentrancy key: two acquires with the same owner id do *not* exclude each other, wherever they run. Default a random one for each acquire, which excludes everybody
   * else. Give one only to enter a lock again that the same piece of work holds already. To tell people who has a lock, use `ownerLabel`.
   */
  readonly ownerId?: string | undefined
}

/**
 * What says which lock, and how: `(lockId, { ownerId, … })`, or `(lockId, ownerId, options)`.
 *
 * @since 0.1.0
 * @category models
 */
export type AcquireArgs = [lockId: string, ...AcquireSettings]

/**
 * What follows the lock id. The owner id is given once.
 *
 * @since 0.3.0
 * @category models
 */
export type AcquireSettings = [
  ownerIdOrOptions?: string | AcquireOptions | undefined,
  options?: Omit<AcquireOptions, "ownerId"> | undefined
]

/**
 * @since 0.1.0
 * @category type ids
 */
export const LockTypeId = "~effect-storage-lock/Lock"

/**
 * @since 0.1.0
 * @category type ids
 */
export type LockTypeId = typeof LockTypeId

/**
 * A hold of a lock, and all that can be done with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lock extends Pipeable {
  readonly [LockTypeId]: LockTypeId
  readonly lockId: string
  /** The reentrancy key of this hold: `withLock(lockId, { ownerId: lock.ownerId })` enters again, whoever does it. */
  readonly ownerId: string
  readonly holdId: string
  /** Fencing token: grows with every new hold of this lock, for ever, below 2^53. Send it with every write to what the lock protects. */
  readonly token: number
  /** As last told by the storage. No I/O. */
  readonly info: Effect.Effect<LockInformation>
  /** Waits; fails once the hold is lost, before anybody else can have the lock. Never for a hold that was released in order. */
  readonly lost: Effect.Effect<never, LockLost>
  /** The time for which the lock is surely held. No I/O. */
  readonly check: Effect.Effect<Duration.Duration, LockLost>
  /** The same in milliseconds, for synchronous loops. Zero or less: lost. */
  readonly unsafeRemainingMillis: () => number
  /** Renews the lease now, and tells the time for which the lock is then surely held. Renewal goes on by itself: this is for those who want certainty. */
  readonly renew: Effect.Effect<Duration.Duration, LockLost | StorageError>
  /** Runs an effect that is interrupted when the lock is lost. */
  readonly guard: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LockLost, R>
  /** Gives the lock back early. Idempotent; closing the scope does it anyway. */
  readonly release: Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category errors
 */
export type TryError = InvalidLockId | InvalidOptions | StorageError

/**
 * @since 0.1.0
 * @category errors
 */
export type AcquireError = TryError | LockTimeout

/**
 * What runs under a lock: an effect, or a function of the lock.
 *
 * @since 0.1.0
 * @category models
 */
export type Body<A, E, R> = Effect.Effect<A, E, R> | ((lock: Lock) => Effect.Effect<A, E, R>)

/**
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly acquire: (...args: AcquireArgs) => Effect.Effect<Lock, AcquireError, Scope.Scope>
  readonly tryAcquire: (...args: AcquireArgs) => Effect.Effect<Option.Option<Lock>, TryError, Scope.Scope>
  readonly tryAcquireOrHolder: (
    ...args: AcquireArgs
  ) => Effect.Effect<Outcome<Lock, Option.Option<LockInformation>>, TryError, Scope.Scope>
  readonly withLock: <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ) => Effect.Effect<A, E | AcquireError | LockLost, R>
  readonly withLockIfAvailable: <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ) => Effect.Effect<Option.Option<A>, E | TryError | LockLost, R>
  readonly get: (lockId: string) => Effect.Effect<Option.Option<LockInformation>, TryError>
  readonly isLocked: (lockId: string) => Effect.Effect<boolean, TryError>
  readonly list: Stream.Stream<LockInformation, StorageError>
  readonly forceRelease: (
    lockId: string,
    options: { readonly token: number; readonly when: "now" | "leaseEnd" }
  ) => Effect.Effect<boolean, TryError>
}
