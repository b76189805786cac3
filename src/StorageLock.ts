/**
 * A distributed lock as a scoped resource. It has a lease and a fencing token, is reentrant for its owner, and tells its holder in time when it is lost.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type { Outcome } from "#effect/outcome"
import type * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import * as Predicate from "effect/Predicate"
import * as Stream from "#effect/Stream"
import { Ids as Ids_ } from "./common/ids.js"
import {
  type Options,
  type AcquireArgs,
  type AcquireSettings,
  type ExtendOptions,
  type ForceReleaseOptions,
  type Lock,
  type LockSet,
  type LocksOf,
  LockTypeId,
  type OnceOptions,
  type Refusal,
  type TryError,
  type AcquireError,
  type BodyOfAll,
  type Service,
  type UnlockError
} from "./core/api.js"
import { dual, type Using, type UsingIfAvailable } from "./core/dual.js"
import * as internal from "./core/service.js"
import type { InvalidOptions, LockLost, StorageError } from "./LockError.js"
import type { LockEvent } from "./LockEvent.js"
import type { LockInformation } from "./LockInformation.js"
import type * as Storage from "./Storage.js"

export {
  LockTypeId,
  type Options,
  type AcquireOptions,
  type AcquireArgs,
  type AcquireSettings,
  type ExtendOptions,
  type ForceReleaseOptions,
  type Lock,
  LockSetTypeId,
  type LockSet,
  type LocksOf,
  type OnceOptions,
  type Refusal,
  type TryError,
  type AcquireError,
  type Body,
  type BodyOfAll,
  type Service,
  type UnlockError
} from "./core/api.js"

export type { LockId, Using, UsingIfAvailable } from "./core/dual.js"

/**
 * Whether a value is a `Lock`. It may be held or over: `lock.check` says which.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLock = (self: unknown): self is Lock => Predicate.hasProperty(self, LockTypeId)

/**
 * The lock service of a program. Its layer needs a `Storage`; each backend module gives one.
 *
 * The functions of this module take it from the context. A service of your own can take it once, when it is built. Then its methods need nothing from their
 * callers' context:
 *
 * @example
 * ```ts
 * import { LockError, StorageLock } from "effect-storage-lock"
 * import { Context, Effect, Layer } from "effect"
 *
 * class Invoices extends Context.Tag("Invoices")<Invoices, {
 *   readonly send: (id: string) => Effect.Effect<void, StorageLock.AcquireError | LockError.LockLost>
 * }>() {
 *   static readonly layer = Layer.effect(
 *     Invoices,
 *     Effect.map(StorageLock.StorageLock, (locks) => ({
 *       send: (id) => locks.withLock((lock) => Effect.log(`send ${id} with token ${lock.token}`), `invoice/${id}`, { acquireTimeout: "5 seconds" })
 *     }))
 *   )
 * }
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class StorageLock extends Context.Service<StorageLock, Service>()("effect-storage-lock/StorageLock") {}

/**
 * Makes hold ids, and owner ids that are not given: 128 random bits as 22 characters of base64url. The first six characters of a hold id are the same for all of a layer, so that other
 * processes recognize who has a lock. Only simulations should replace it, to get the same ids again. Two holds with the same id would count as one.
 *
 * @since 0.1.0
 * @category references
 */
export const Ids: Context.Reference<Effect.Effect<string>> = Ids_

/**
 * Acquires a lock and holds it until the scope closes. Waits if somebody else has it. The lease is renewed in the background.
 *
 * - The `ownerId` is the reentrancy key: two acquires with the same one do not exclude each other, in whatever fiber or process they run. Without an `ownerId`
 *   each acquire excludes all others.
 * - An acquire without an `ownerId` in the body of `withLock` on the same lock could only wait for itself. It fails with `InvalidOptions` at once.
 * - Waiters of one process are served in order. Between processes there is no order.
 * - What runs in the scope is *not* stopped when the lock is lost: use `lock.lost`, `lock.check` or `lock.guard`. `withLock` does this for you.
 * - Fibers forked into the scope end before the release. Daemons, and children that outlive the scope, do not.
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
export const acquire = (...args: AcquireArgs): Effect.Effect<Lock, AcquireError, StorageLock | Scope.Scope> =>
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

/**
 * As `tryAcquire`, with the holder in the same answer: an `Either` with Effect 3, a `Result` with Effect 4. `Right`, or success, is the lock. `Left`, or
 * failure, is the holder, or `None` if the storage does not name one. It makes no more requests than `tryAcquire`. Use it for a response 409 that says who
 * has the lock.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect, Either, Option } from "effect"
 *
 * const handler = Effect.scoped(Effect.gen(function*() {
 *   const lock = yield* StorageLock.tryAcquireOrHolder("order-4711")
 *   return Either.isRight(lock)
 *     ? { status: 200, body: `token ${lock.right.token}` }
 *     : { status: 409, body: `held by ${Option.match(lock.left, { onNone: () => "somebody", onSome: (_) => _.ownerLabel })}` }
 * }))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const tryAcquireOrHolder = (
  ...args: AcquireArgs
): Effect.Effect<Outcome<Lock, Option.Option<LockInformation>>, TryError, StorageLock | Scope.Scope> =>
  Effect.flatMap(StorageLock, (service) => service.tryAcquireOrHolder(...args))

/**
 * `withLock` as data-first, `(body, lockId, …)`, and as data-last, `(lockId, …)(body)`. It is one signature and not two overloads, so that the compiler's
 * error names the one thing that is wrong in a call. For overloads it would say of each why it does not fit.
 *
 * @since 0.3.0
 * @category models
 */
export type WithLock = Using<StorageLock, AcquireError, AcquireSettings>

/**
 * `withLockIfAvailable`, as `WithLock`.
 *
 * @since 0.3.0
 * @category models
 */
export type WithLockIfAvailable = UsingIfAvailable<StorageLock, TryError, AcquireSettings>

/**
 * Runs a body under a lock. Acquires the lock, and releases it however the body ends. If the lock is lost, interrupts the body before anybody else can have
 * the lock.
 *
 * A release that fails never hides the result of the body. Fibers that the body forks end before the release. To enter the same lock again in the body, pass
 * the owner id of the hold:
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
export const withLock: WithLock = dual(StorageLock, (service, body, lockId, ...rest) =>
  service.withLock(body, lockId, ...rest)
)

/**
 * As `withLock`, but `None`, without running the body, if somebody else has the lock.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withLockIfAvailable: WithLockIfAvailable = dual(StorageLock, (service, body, lockId, ...rest) =>
  service.withLockIfAvailable(body, lockId, ...rest)
)

/**
 * For a task that a timer starts in every process: as `withLockIfAvailable`, and the lock is held for at least `holdAtLeast`, so that a process whose timer is late finds it held. Then it has `None`.
 *
 * However the task ends, the lock stays until then; no process has to live for that. If the process dies while the task runs, the lock is free when its lease ends. A task that takes longer is renewed,
 * as always.
 *
 * It knows no times: a process that is later than `holdAtLeast` runs the task again. `FleetSchedule` runs each tick once, whatever the clocks and the starts differ by.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect, Schedule } from "effect"
 *
 * const cleanUp = Effect.log("cleans up").pipe(StorageLock.once("clean-up", { holdAtLeast: "50 seconds" }))
 * const program = Effect.schedule(cleanUp, Schedule.cron("* * * * *"))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const once: UsingIfAvailable<StorageLock, TryError, [options: OnceOptions]> = dual(
  StorageLock,
  (service, body, lockId, options) => service.once(body, lockId, options)
)

/**
 * Acquires several locks, all or none, and holds them until the scope closes. Waits if somebody else has one of them.
 *
 * - **No deadlock.** All processes wait for locks in one order, that of the bytes of their ids, whatever the order of the list. Acquires of this kind, of any number of
 *   processes, never wait for each other in a circle. A body that acquires a further lock can: ask for all at once.
 * - **All or none.** If one is not had in time, if the storage fails, or if the acquire is interrupted, what was taken is given back before this ends.
 * - **One of each.** `acquireTimeout` is for all together. `holdAtMost` counts from when all are had. The set is lost with the first of its locks: `check`,
 *   `lost`, `guard` and `release` are for all.
 * - They have one owner: the `ownerId` that is given, or a random one for all of them.
 * - Locks that seem to be free are asked for side by side: the time of one request, where the storage has as many connections.
 *
 * An empty list, an id that stands in it twice, and ids that cannot be stored are typed errors before any I/O.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const transfer = (from: string, to: string) => Effect.scoped(Effect.gen(function*() {
 *   const { locks: [giver, taker] } = yield* StorageLock.acquireAll([from, to], { acquireTimeout: "1 minute" })
 *   yield* Effect.log(`fencing tokens ${giver.token} and ${taker.token}`)
 * }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const acquireAll = <const Ids extends ReadonlyArray<string>>(
  lockIds: Ids,
  ...settings: AcquireSettings
): Effect.Effect<LockSet<LocksOf<Ids>>, AcquireError, StorageLock | Scope.Scope> =>
  Effect.flatMap(StorageLock, (service) => service.acquireAll(lockIds, ...settings))

/**
 * As `acquireAll`, without a wait: an `Either` with Effect 3, a `Result` with Effect 4. `Left`, or failure, are the locks that somebody has: then none is
 * taken. All are asked for side by side, so two such tries at the same moment may both get none.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect, Either, Option } from "effect"
 *
 * const merge = Effect.scoped(Effect.gen(function*() {
 *   const locks = yield* StorageLock.tryAcquireAll(["account/1", "account/2"])
 *   return Either.isRight(locks)
 *     ? "merged"
 *     : locks.left.map(({ holder, lockId }) => `${lockId} is held by ${Option.isSome(holder) ? holder.value.ownerLabel : "somebody"}`).join(", ")
 * }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryAcquireAll = <const Ids extends ReadonlyArray<string>>(
  lockIds: Ids,
  ...settings: AcquireSettings
): Effect.Effect<Outcome<LockSet<LocksOf<Ids>>, ReadonlyArray<Refusal>>, TryError, StorageLock | Scope.Scope> =>
  Effect.flatMap(StorageLock, (service) => service.tryAcquireAll(lockIds, ...settings))

/**
 * Runs a body under several locks, as `withLock` does under one. If one of them is lost, interrupts the body before anybody else can have that one. How they are
 * acquired is told at `acquireAll`.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const a = Effect.log("alone with both").pipe(StorageLock.withLocks(["account/1", "account/2"]))
 * const b = StorageLock.withLocks(["account/1", "account/2"])(({ locks: [one, two] }) => Effect.log(`tokens ${one.token}, ${two.token}`))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const withLocks =
  <const Ids extends ReadonlyArray<string>>(lockIds: Ids, ...settings: AcquireSettings) =>
  <A, E, R>(body: BodyOfAll<LocksOf<Ids>, A, E, R>): Effect.Effect<A, E | AcquireError | LockLost, R | StorageLock> =>
    Effect.flatMap(StorageLock, (service) => service.withLocks(body, lockIds, ...settings))

/**
 * As `acquire`, but the layer keeps the hold, not a scope: until `unlock`, `holdAtMost`, or the layer closes. For work whose begin and end are two requests.
 *
 * The lease is renewed while this process lives, so a request that never comes would keep the lock: give `holdAtMost`, and let `extend` move it. An owner that
 * locks twice unlocks twice. Without an `ownerId`, the one of the lock, `lock.ownerId`, is what unlocks it.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const begin = (draft: string, session: string) => StorageLock.tryLock(draft, session, { holdAtMost: "15 minutes" })
 * const touch = (draft: string, session: string) => StorageLock.extend(draft, session, { holdAtMost: "15 minutes" })
 * const end = (draft: string, session: string) =>
 *   StorageLock.unlock(draft, session).pipe(
 *     Effect.catchTag("NotLocked", () => Effect.log("this session has no lock here"))
 *   )
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const lock = (...args: AcquireArgs): Effect.Effect<Lock, AcquireError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.lock(...args))

/**
 * As `lock`, but `None` at once if somebody else has the lock.
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryLock = (...args: AcquireArgs): Effect.Effect<Option.Option<Lock>, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.tryLock(...args))

/**
 * Gives back what this owner has locked in this process with `lock`, the latest first. Fails with `NotLocked` if there is nothing to unlock, and with
 * `LockLost` if the hold was lost before: then what it protected was perhaps not done alone.
 *
 * @since 0.5.0
 * @category accessors
 */
export const unlock = (lockId: string, ownerId: string): Effect.Effect<void, UnlockError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.unlock(lockId, ownerId))

/**
 * Renews now what this owner has locked in this process with `lock`, and moves its `holdAtMost` if one is given. Returns the time for which the lock is then
 * surely held. Leases are renewed in the background anyway.
 *
 * @since 0.5.0
 * @category accessors
 */
export const extend = (
  lockId: string,
  ownerId: string,
  options?: ExtendOptions
): Effect.Effect<Duration.Duration, UnlockError | StorageError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.extend(lockId, ownerId, options))

/**
 * Who holds a lock, if anybody does. Diagnostic only: the answer may be stale when you read it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const get = (lockId: string): Effect.Effect<Option.Option<LockInformation>, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.get(lockId))

/**
 * Whether anybody holds a lock. Diagnostic only: the answer may be stale when you read it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const isLocked = (lockId: string): Effect.Effect<boolean, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.isLocked(lockId))

/**
 * All locks of this layer's namespace that somebody holds. They are read in pages, so this is no snapshot of one moment.
 *
 * @since 0.1.0
 * @category accessors
 */
export const list: Stream.Stream<LockInformation, StorageError, StorageLock> = Stream.unwrap(
  Effect.map(StorageLock, (service) => service.list)
)

/**
 * What happens to the locks of this layer, from when the stream is run until the layer closes: who waits, who has a lock, renewals, losses, releases, and a storage that
 * fails. `LockEvent` has them all.
 *
 * Whoever reads it slowly, or not at all, holds up nothing: 1 024 events wait for each reader, then the oldest are dropped, and one `Dropped` says how many. While nobody
 * reads, nothing is made.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import { Effect, Stream } from "effect"
 *
 * const alarm = StorageLock.events.pipe(
 *   Stream.filter((event) => event._tag === "Lost" || event._tag === "Late"),
 *   Stream.runForEach((event) => Effect.logError(`${event.lockId} of ${event.ownerLabel}: ${event._tag}`)),
 *   Effect.forkScoped
 * )
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const events: Stream.Stream<LockEvent, never, StorageLock> = Stream.unwrap(
  Effect.map(StorageLock, (service) => service.events)
)

/**
 * Takes a lock away from the hold with this token. Gives `false` if that hold is already over. For operators.
 *
 * `"leaseEnd"` keeps everybody out until the lease ends. It is safe, because the holder notices before that. `"now"` frees the lock at once, and the former
 * holder may go on until its next renewal. Make sure that it is dead, or that the resource rejects its token.
 *
 * @since 0.1.0
 * @category accessors
 */
export const forceRelease = (
  lockId: string,
  options: ForceReleaseOptions
): Effect.Effect<boolean, TryError, StorageLock> =>
  Effect.flatMap(StorageLock, (service) => service.forceRelease(lockId, options))

/**
 * The lock service as a scoped effect, for programs that build it without a layer. Closing the scope does what closing `layer` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service, InvalidOptions, Storage.Storage | Scope.Scope> =>
  internal.make(options)

/**
 * A lock service over the `Storage` in the context. One refresher renews all its holds. When the layer closes, holds are lost with reason `Closed`, bodies
 * have a second to end, and then the locks are released.
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
  Layer.effect(StorageLock, make(options))

/**
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<StorageLock, InvalidOptions | Config.ConfigError, Storage.Storage> =>
  Layer.effect(StorageLock, Effect.flatMap(Config.unwrap(options), make))
