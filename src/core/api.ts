/** What users see of a lock: options, the lock, the service. Published by `StorageLock`. */
import type * as Duration from "#effect/Duration"
import type * as Effect from "#effect/Effect"
import type { Outcome } from "#effect/outcome"
import type * as Option from "#effect/Option"
import type { Pipeable } from "effect/Pipeable"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type { InvalidLockId, InvalidOptions, LockLost, LockTimeout, NotLocked, StorageError } from "../LockError.js"
import type { LockEvent } from "../LockEvent.js"
import type { LockInformation } from "../LockInformation.js"

/**
 * All are optional. They are given to the layer, and can be overridden per acquire. Invalid values are rejected with `InvalidOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The lease: how long after its last renewal the lock of a dead holder becomes free. Default 30 seconds. */
  readonly leaseExpireAfter?: Duration.Input | undefined
  /** How often a hold is renewed. Default a third of the lease. */
  readonly leaseRefreshInterval?: Duration.Input | undefined
  /**
   * How long `acquire` and `withLock` wait in total. Then they fail with `LockTimeout` if somebody has the lock, or with `StorageError` if the storage does
   * not answer. Default: forever.
   *
   * It also limits `tryAcquire` and `withLockIfAvailable`, which wait for one answer of the storage. Their default is half a second, or five seconds if the
   * storage has not yet answered this layer, because it may have to connect first. They wait a quarter of a second longer if this process itself stood still.
   */
  readonly acquireTimeout?: Duration.Input | undefined
  /**
   * When to ask again for a lock that somebody else has, if no wake-up comes sooner. When it ends, `acquire` fails with `LockTimeout`.
   * Default: jittered, growing from 20 ms to half a second.
   */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /**
   * A hold counts as lost this long before its lease ends, by this process's clock. It must exceed the sum of: the largest step of the storage's clock during
   * a lease, the clock difference after a failover, and 0.1 % of the lease. Default: the larger of 100 ms and a twentieth of the lease.
   */
  readonly clockMargin?: Duration.Input | undefined
  /**
   * How long a hold may last, counted from its claim. Then it is lost with reason `HeldTooLong`, so a body that hangs does not keep the lock forever. As with
   * every loss, `withLock` and `lock.guard` interrupt their body, and the scope of `acquire` is not stopped. Each hold has its own limit, nested holds of one
   * owner too. Must be above zero. Default: `"infinity"`.
   */
  readonly holdAtMost?: Duration.Input | "infinity" | undefined
  /**
   * How `withLock`, `withLockIfAvailable` and `lock.guard` end if their body succeeded, but its hold was already over, because a blocked event loop kept it
   * from being interrupted. `"fail"`, the default: in `LockLost`, with `completed: true` and the value of the body as `result`. `"succeed"`: in that value.
   * The loss is logged in any case. A body that fails ends in its own error.
   */
  readonly lostAtEnd?: "fail" | "succeed" | undefined
  /**
   * Tells people who a holder is. It is stored beside the owner id, and shown in `LockTimeout`, `get` and `list`. It decides nothing, so any number of owners
   * may share it. Default: host name and process id. Empty for none. At most 255 UTF-16 units.
   */
  readonly ownerLabel?: string | undefined
  /**
   * Records of locks that have been free for longer than this are deleted. At least an hour; `"infinity"` or `false` for never. Of the layer only. Default: a
   * day. Tokens continue from the storage's clock, so they need the record only if that clock was set back, and a day outlasts a wrong time zone.
   *
   * It runs in the background, about every twenty-fourth of this time (from ten minutes to a day), in one of the processes that share the storage. It covers
   * all namespaces, so the shortest value of these processes counts. It has no effect if the storage has no clock
   * (`guarantees.clock` is `"observed"`), as on etcd, unless one was given to it (`VersionedStore.withTime`).
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
   * The reentrancy key: two acquires with the same owner id do *not* exclude each other, wherever they run. Default: a random one for each acquire, which
   * excludes all others. Pass one only to enter a lock again that the same piece of work already holds. To tell people who has a lock, use `ownerLabel`.
   */
  readonly ownerId?: string | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface OnceOptions extends Omit<AcquireOptions, "ownerId" | "retry"> {
  /**
   * The lock is held for at least so long from its claim, though the task ends sooner. It must exceed what the clocks and the starts of the processes differ by, and be below the time from one run to the next.
   */
  readonly holdAtLeast: Duration.Input
}

/**
 * The arguments of an acquire: `(lockId, { ownerId, … })`, or `(lockId, ownerId, options)`.
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
 * A hold of a lock, and what you can do with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lock extends Pipeable {
  readonly [LockTypeId]: LockTypeId
  readonly lockId: string
  /** The reentrancy key of this hold: `withLock(lockId, { ownerId: lock.ownerId })` enters the lock again. */
  readonly ownerId: string
  readonly holdId: string
  /** Fencing token: grows with every new hold of this lock. Below 2^53. Send it with every write to the resource that the lock protects. */
  readonly token: number
  /** As last reported by the storage. No I/O. */
  readonly info: Effect.Effect<LockInformation>
  /** Waits, and fails when the hold is lost, before anybody else can have the lock. It never fails for a hold that was released in order. */
  readonly lost: Effect.Effect<never, LockLost>
  /** The time for which the lock is still surely held. No I/O. */
  readonly check: Effect.Effect<Duration.Duration, LockLost>
  /** The same in milliseconds, for synchronous loops. Zero or less means lost. */
  readonly unsafeRemainingMillis: () => number
  /**
   * Renews the lease now, and returns the time for which the lock is then surely held. Leases are renewed in the background anyway: use this for certainty
   * before a long step.
   */
  readonly renew: Effect.Effect<Duration.Duration, LockLost | StorageError>
  /** Runs an effect that is interrupted when the lock is lost. */
  readonly guard: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LockLost, R>
  /** Releases the lock early. Idempotent. Closing the scope does it anyway. */
  readonly release: Effect.Effect<void>
}

/**
 * @since 0.5.0
 * @category type ids
 */
export const LockSetTypeId = "~effect-storage-lock/LockSet"

/**
 * @since 0.5.0
 * @category type ids
 */
export type LockSetTypeId = typeof LockSetTypeId

/**
 * One lock for each id of a list, in its order.
 *
 * @since 0.5.0
 * @category models
 */
export type LocksOf<Ids extends ReadonlyArray<unknown>> = { readonly [Index in keyof Ids]: Lock }

/**
 * Several holds as one: it is lost as soon as one of them is.
 *
 * @since 0.5.0
 * @category models
 */
export interface LockSet<Locks extends ReadonlyArray<Lock> = ReadonlyArray<Lock>> {
  readonly [LockSetTypeId]: LockSetTypeId
  /** In the order in which their ids were given, each with its fencing token. */
  readonly locks: Locks
  /** The lock with this id. If a set of `LockManager` has an id in several services, the first of them. */
  readonly get: (lockId: string) => Option.Option<Lock>
  /** Waits, and fails with the first loss of any of them, before anybody else can have that lock. Never for locks that were released in order. */
  readonly lost: Effect.Effect<never, LockLost>
  /** The time for which all of them are still surely held. No I/O. */
  readonly check: Effect.Effect<Duration.Duration, LockLost>
  /** The same in milliseconds, for synchronous loops. Zero or less means that one is lost. */
  readonly unsafeRemainingMillis: () => number
  /** Renews all leases now, and returns the time for which all are then surely held. */
  readonly renew: Effect.Effect<Duration.Duration, LockLost | StorageError>
  /** Runs an effect that is interrupted when one of the locks is lost. */
  readonly guard: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LockLost, R>
  /** Releases all of them early, side by side. Idempotent. Closing the scope does it anyway. */
  readonly release: Effect.Effect<void>
}

/**
 * A lock that `tryAcquireAll` did not get, and who has it, if the storage says so.
 *
 * @since 0.5.0
 * @category models
 */
export interface Refusal {
  readonly lockId: string
  readonly holder: Option.Option<LockInformation>
}

/**
 * What runs under several locks: an effect, or a function of them.
 *
 * @since 0.5.0
 * @category models
 */
export type BodyOfAll<Locks extends ReadonlyArray<Lock>, A, E, R> =
  Effect.Effect<A, E, R> | ((locks: LockSet<Locks>) => Effect.Effect<A, E, R>)

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
 * @since 0.5.0
 * @category errors
 */
export type UnlockError = InvalidLockId | InvalidOptions | NotLocked | LockLost

/**
 * What runs under a lock: an effect, or a function of the lock.
 *
 * @since 0.1.0
 * @category models
 */
export type Body<A, E, R> = Effect.Effect<A, E, R> | ((lock: Lock) => Effect.Effect<A, E, R>)

/**
 * Which hold is taken away, and when.
 *
 * @since 0.5.0
 * @category models
 */
export interface ForceReleaseOptions {
  /** The fencing token of the hold. */
  readonly token: number
  /** `"leaseEnd"`: safe, for by then the holder has noticed. `"now"`: the former holder may go on until it notices. */
  readonly when: "now" | "leaseEnd"
}

/**
 * What changes for holds that `lock` has begun.
 *
 * @since 0.5.0
 * @category models
 */
export interface ExtendOptions {
  /** How much longer they may last, counted from now. It replaces what was given before. Default: no change. */
  readonly holdAtMost?: Duration.Input | "infinity" | undefined
}

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
  readonly once: <A, E, R>(
    body: Body<A, E, R>,
    lockId: string,
    options: OnceOptions
  ) => Effect.Effect<Option.Option<A>, E | TryError | LockLost, R>
  readonly acquireAll: <const Ids extends ReadonlyArray<string>>(
    lockIds: Ids,
    ...settings: AcquireSettings
  ) => Effect.Effect<LockSet<LocksOf<Ids>>, AcquireError, Scope.Scope>
  readonly tryAcquireAll: <const Ids extends ReadonlyArray<string>>(
    lockIds: Ids,
    ...settings: AcquireSettings
  ) => Effect.Effect<Outcome<LockSet<LocksOf<Ids>>, ReadonlyArray<Refusal>>, TryError, Scope.Scope>
  readonly withLocks: <const Ids extends ReadonlyArray<string>, A, E, R>(
    body: BodyOfAll<LocksOf<Ids>, A, E, R>,
    lockIds: Ids,
    ...settings: AcquireSettings
  ) => Effect.Effect<A, E | AcquireError | LockLost, R>
  readonly lock: (...args: AcquireArgs) => Effect.Effect<Lock, AcquireError>
  readonly tryLock: (...args: AcquireArgs) => Effect.Effect<Option.Option<Lock>, TryError>
  readonly unlock: (lockId: string, ownerId: string) => Effect.Effect<void, UnlockError>
  readonly extend: (
    lockId: string,
    ownerId: string,
    options?: ExtendOptions
  ) => Effect.Effect<Duration.Duration, UnlockError | StorageError>
  readonly get: (lockId: string) => Effect.Effect<Option.Option<LockInformation>, TryError>
  readonly isLocked: (lockId: string) => Effect.Effect<boolean, TryError>
  readonly list: Stream.Stream<LockInformation, StorageError>
  readonly events: Stream.Stream<LockEvent>
  readonly forceRelease: (lockId: string, options: ForceReleaseOptions) => Effect.Effect<boolean, TryError>
}
