/**
 * A distributed lock as a scoped resource: leased, fenced, reentrant for its owner, and told in time when it is lost.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Ids as Ids_ } from "./common/ids.js"
import * as internal from "./core/service.js"
import type { InvalidLockId, InvalidOptions, LockLost, LockTimeout, StorageError } from "./LockError.js"
import type { LockInformation } from "./LockInformation.js"
import type * as Storage from "./Storage.js"

/**
 * All optional; given to the layer, and overridable per acquire. What makes no sense is refused with `InvalidOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The lease: how long after its last renewal a dead holder's lock becomes free. Default 30 seconds. */
  readonly leaseExpireAfter?: Duration.DurationInput | undefined
  /** How often a hold is renewed. Default a third of the lease. */
  readonly leaseRefreshInterval?: Duration.DurationInput | undefined
  /**
   * How long `acquire` and `withLock` wait, in all, before they fail: with `LockTimeout` if somebody has the lock, with a `StorageError` if the storage does not answer. Default: for ever.
   *
   * It bounds `tryAcquire` and `withLockIfAvailable` as well, which wait for one answer of the storage. Their default: half a second; five seconds where the storage has not answered this
   * layer yet, since it may have to be connected to first; and a quarter of a second more if this process itself stood still.
   */
  readonly acquireTimeout?: Duration.DurationInput | undefined
  /**
   * When to ask again for a lock that somebody else has, if nothing tells sooner. When it ends, `acquire` fails with `LockTimeout`.
   * Default: jittered, growing from 20 ms to half a second.
   */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /**
   * A hold counts as lost this long before its lease ends, by this process's clock. It must cover what the storage's clock may step in a lease, what clocks
   * differ by between a storage and its replica after a failover, and 0.1 % of the lease. Default the larger of 100 ms and a twentieth of the lease.
   */
  readonly clockMargin?: Duration.DurationInput | undefined
  /**
   * How long a hold may last, from its claim on: then it is lost with reason `HeldTooLong`, though it could be renewed, so that a body that hangs does not keep the lock for ever. `withLock` and
   * `lock.guard` interrupt their body; a scope of `acquire` is not stopped, as with every loss. Each hold has its own bound, a nested one of the same owner too. Above zero. Default, and
   * `"infinity"`: for ever.
   */
  readonly holdAtMost?: Duration.DurationInput | "infinity" | undefined
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
  readonly purgeAfter?: Duration.DurationInput | "infinity" | false | undefined
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
export type AcquireArgs = [lockId: string, ownerIdOrOptions?: string | AcquireOptions | undefined, options?: AcquireOptions | undefined]

/**
 * A hold of a lock, and all that can be done with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lock {
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
  readonly acquire: (
    ...args: AcquireArgs
  ) => Effect.Effect<Lock, AcquireError, Scope.Scope>
  readonly tryAcquire: (
    ...args: AcquireArgs
  ) => Effect.Effect<Option.Option<Lock>, TryError, Scope.Scope>
  readonly withLock: <A, E, R>(
    body: (lock: Lock) => Effect.Effect<A, E, R>,
    ...args: AcquireArgs
  ) => Effect.Effect<A, E | AcquireError | LockLost, R>
  readonly withLockIfAvailable: <A, E, R>(
    body: (lock: Lock) => Effect.Effect<A, E, R>,
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

/**
 * The lock service of a program. Its layer needs a `Storage`; each backend module gives one.
 *
 * @since 0.1.0
 * @category tags
 */
export class StorageLock extends Context.Tag("effect-storage-lock/StorageLock")<StorageLock, Service>() {}

/**
 * Where hold ids, and owner ids that are not given, come from: 128 random bits as 22 characters base64url. To be replaced only by simulations,
 * which want the same ids again: two holds with one id would be one.
 *
 * @since 0.1.0
 * @category references
 */
export const Ids: typeof Ids_ = Ids_

/**
 * Acquires a lock, waiting for it if need be, and holds it until the scope closes. Meanwhile its lease is renewed.
 *
 * - The `ownerId` is the reentrancy key: whoever has the same one enters again, in whatever fiber or process, so there is no exclusion between them. Without an `ownerId` each acquire is an owner of
 *   its own. An acquire for which its own fiber holds the lock, in the body of `withLock`, and that has no owner id could only wait for itself: it fails with `InvalidOptions` at once.
 * - In one process waiters are served in order; between processes there is no order.
 * - The scope's body is *not* stopped when the lock is lost: use `lock.lost`, `lock.check` or `lock.guard`, or `withLock`, which does it.
 * - Fibers forked into the scope end before the release; daemons, and children that outlive the scope, do not.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const lock = yield* StorageLock.acquire("must-serial-operation-resource-foo", { acquireTimeout: "1 minute" })
 *   yield* Effect.log(`fencing token ${lock.token}`)
 * }))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const acquire = (
  ...args: AcquireArgs
): Effect.Effect<Lock, AcquireError, StorageLock | Scope.Scope> =>
  Effect.flatMap(StorageLock, (service) => service.acquire(...args))

/**
 * As `acquire`, but `None` at once if somebody else has the lock.
 *
 * @since 0.1.0
 * @category accessors
 */
export const tryAcquire = (
  ...args: AcquireArgs
): Effect.Effect<Option.Option<Lock>, TryError, StorageLock | Scope.Scope> =>
  Effect.flatMap(StorageLock, (service) => service.tryAcquire(...args))

const bodyOf = <A, E, R>(body: Body<A, E, R>): (lock: Lock) => Effect.Effect<A, E, R> =>
  Effect.isEffect(body) ? () => body : body

type DataFirst = [body: Body<unknown, unknown, unknown>, ...args: AcquireArgs]

/** A lock id is a string; a body never is. */
const dual = (
  run: (service: Service, ...args: DataFirst) => Effect.Effect<unknown, unknown, unknown>
) =>
(...args: DataFirst | AcquireArgs): unknown => {
  const [first, ...rest] = args
  if (Effect.isEffect(first) || typeof first === "function") {
    return Effect.flatMap(StorageLock, (service) => run(service, first, ...(rest as AcquireArgs)))
  }
  return (body: Body<unknown, unknown, unknown>) =>
    Effect.flatMap(StorageLock, (service) => run(service, body, ...(args as AcquireArgs)))
}

/**
 * Runs a body under a lock: acquires it, interrupts the body if it is lost (before anybody else can have it), and releases it however the body ends.
 * The result of the body is never masked by a release that fails. Fibers that the body forks end before the release. To enter the same lock again in the body, give the owner id of the hold:
 * `withLock(lockId, { ownerId: lock.ownerId })`.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const a = Effect.log("alone").pipe(StorageLock.withLock("foo"))
 * const b = StorageLock.withLock((lock) => Effect.log(`alone, with token ${lock.token}`), "foo")
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withLock: {
  (
    ...args: AcquireArgs
  ): <A, E, R>(body: Body<A, E, R>) => Effect.Effect<A, E | AcquireError | LockLost, R | StorageLock>
  <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ): Effect.Effect<A, E | AcquireError | LockLost, R | StorageLock>
} = dual((service, body, ...args) => service.withLock(bodyOf(body), ...args)) as never

/**
 * As `withLock`, but `None`, without running the body, if somebody else has the lock.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withLockIfAvailable: {
  (
    ...args: AcquireArgs
  ): <A, E, R>(body: Body<A, E, R>) => Effect.Effect<Option.Option<A>, E | TryError | LockLost, R | StorageLock>
  <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ): Effect.Effect<Option.Option<A>, E | TryError | LockLost, R | StorageLock>
} = dual((service, body, ...args) => service.withLockIfAvailable(bodyOf(body), ...args)) as never

/**
 * Who holds a lock, if anybody does.
 *
 * @since 0.1.0
 * @category accessors
 */
export const get = (lockId: string): Effect.Effect<Option.Option<LockInformation>, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.get(lockId))

/**
 * Whether anybody holds a lock.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isLocked = (lockId: string): Effect.Effect<boolean, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.isLocked(lockId))

/**
 * All locks of this layer's namespace that somebody holds, read in pages: no snapshot of one moment.
 *
 * @since 0.1.0
 * @category accessors
 */
export const list: Stream.Stream<LockInformation, StorageError, StorageLock> = Stream.unwrap(
  Effect.map(StorageLock, (service) => service.list)
)

/**
 * Takes a lock away from the hold with this token, whoever has it; `false` if that hold is over already. For operators.
 *
 * `"leaseEnd"` keeps everybody out until the lease ends: safe, for by then the holder has noticed. `"now"` frees the lock at once: the former holder may go on until
 * it notices, at its next renewal. Be sure that it is dead, or that the resource rejects its token.
 *
 * @since 0.1.0
 * @category accessors
 */
export const forceRelease = (
  lockId: string,
  options: { readonly token: number; readonly when: "now" | "leaseEnd" }
): Effect.Effect<boolean, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.forceRelease(lockId, options))

/**
 * A lock service over the `Storage` in the context. One refresher renews all its holds. Closing it fails `lost` of what is still held with reason
 * `Closed`, gives bodies a moment, and releases the rest.
 *
 * @example
 * ```ts
 * import { MemoryStorage, StorageLock } from "effect-storage-lock"
 * import { Layer } from "effect"
 *
 * const Locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(Layer.provide(MemoryStorage.layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<StorageLock, InvalidOptions, Storage.Storage> =>
  Layer.scoped(StorageLock, internal.make(options))

/**
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<StorageLock, InvalidOptions | ConfigError.ConfigError, Storage.Storage> =>
  Layer.scoped(StorageLock, Effect.flatMap(Config.unwrap(options), internal.make))
