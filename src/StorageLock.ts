/**
 * A distributed lock as a scoped resource: leased, fenced, reentrant for its owner, and told in time when it is lost.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
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
  type Lock,
  LockTypeId,
  type TryError,
  type AcquireError,
  type Body,
  type Service
} from "./core/api.js"
import * as internal from "./core/service.js"
import type { InvalidOptions, LockLost, StorageError } from "./LockError.js"
import type { LockInformation } from "./LockInformation.js"
import type * as Storage from "./Storage.js"

export {
  LockTypeId,
  type Options,
  type AcquireOptions,
  type AcquireArgs,
  type AcquireSettings,
  type Lock,
  type TryError,
  type AcquireError,
  type Body,
  type Service
} from "./core/api.js"

/**
 * Whether something is a `Lock`, be it held or over: `lock.check` tells which.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLock = (self: unknown): self is Lock => Predicate.hasProperty(self, LockTypeId)

/**
 * The lock service of a program. Its layer needs a `Storage`; each backend module gives one.
 *
 * The functions of this module take it from the context. A service of your own takes it once, when it is built, so that its methods need nothing of their callers:
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
 * As `tryAcquire`, with the holder in the same answer: an Either on Effect 3, a Result on Effect 4. `Right`, or success, is the lock. `Left`, or failure, is who has it, as the storage says, for a response 409 that tells so. It makes no more requests than
 * `tryAcquire`. It is `None` where the storage does not say.
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
 * Any string, for those who must tell it from a body: a string gives `Unit` a type, and a body leaves it at its default.
 *
 * @since 0.3.0
 * @category models
 */
export interface LockId<Unit> {
  readonly charCodeAt: (index: number) => Unit
}

type Rest<Unit> = [Unit] extends [never] ? AcquireArgs : AcquireSettings

/**
 * `withLock` as data-first, `(body, lockId, …)`, and as data-last, `(lockId, …)(body)`. One signature, where two overloads would do, because the compiler then names the one thing that is wrong in a
 * call: of overloads it says for each why it does not fit.
 *
 * @since 0.3.0
 * @category models
 */
export interface WithLock {
  <A, E, R, Unit = never>(
    bodyOrLockId: Body<A, E, R> | LockId<Unit>,
    ...rest: Rest<Unit>
  ): [Unit] extends [never]
    ? Effect.Effect<A, E | AcquireError | LockLost, R | StorageLock>
    : <A, E, R>(body: Body<A, E, R>) => Effect.Effect<A, E | AcquireError | LockLost, R | StorageLock>
}

/**
 * `withLockIfAvailable`, as `WithLock`.
 *
 * @since 0.3.0
 * @category models
 */
export interface WithLockIfAvailable {
  <A, E, R, Unit = never>(
    bodyOrLockId: Body<A, E, R> | LockId<Unit>,
    ...rest: Rest<Unit>
  ): [Unit] extends [never]
    ? Effect.Effect<Option.Option<A>, E | TryError | LockLost, R | StorageLock>
    : <A, E, R>(body: Body<A, E, R>) => Effect.Effect<Option.Option<A>, E | TryError | LockLost, R | StorageLock>
}

type DataFirst = [body: Body<unknown, unknown, unknown>, ...args: AcquireArgs]

/** A lock id is a string; a body never is. */
const dual =
  (run: (service: Service, ...args: DataFirst) => Effect.Effect<unknown, unknown, unknown>) =>
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
export const withLock: WithLock = dual((service, body, ...args) => service.withLock(body, ...args)) as never

/**
 * As `withLock`, but `None`, without running the body, if somebody else has the lock.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withLockIfAvailable: WithLockIfAvailable = dual((service, body, ...args) =>
  service.withLockIfAvailable(body, ...args)
) as never

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
 * The lock service as a scoped effect, for those who build it without a layer. Closing the scope does what closing `layer` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service, InvalidOptions, Storage.Storage | Scope.Scope> =>
  internal.make(options)

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
  Layer.effect(StorageLock, make(options))

/**
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<StorageLock, InvalidOptions | Config.ConfigError, Storage.Storage> =>
  Layer.effect(StorageLock, Effect.flatMap(Config.unwrap(options), make))
