/**
 * So many permits for a whole fleet: at most so many pieces of work at once, in however many processes. Each hold has a lease of its own, which is renewed, and a token; its loss is told in time.
 *
 * - `limit` is an argument of each acquire, and not kept in the storage, so that it changes with the program. While a fleet changes it, the smaller one rules until the last hold that was taken with it ends.
 * - Nobody starves: whoever waits first is let in before others come who would keep it out, however many permits it wants.
 * - There is no reentry. Take all permits in one acquire: two holds of one piece of work may wait for each other, and an `acquireTimeout` ends that.
 * - Permits cannot be fenced: a holder that went on too long is one too many, and no resource can tell which.
 *
 * It works over every storage of this library by its `VersionedStore`.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { invalid } from "./common/input.js"
import type { AcquireError, AcquireOptions, Body, Lock, Options, TryError } from "./core/api.js"
import type { Share } from "./core/claimant.js"
import { dual, type Using, type UsingIfAvailable } from "./core/dual.js"
import * as kinds from "./core/kinds.js"
import type { InvalidOptions, LockLost } from "./LockError.js"
import type { LockInformation } from "./LockInformation.js"
import { semaphore } from "./kinds/semaphore.js"
import type { VersionedStore } from "./VersionedStore.js"

export type { AcquireError, Body, Lock, Options, TryError } from "./core/api.js"

/**
 * @since 0.5.0
 * @category models
 */
export interface PermitOptions extends AcquireOptions {
  /** How many permits there are in all, as this program sees it: from 1 to 1 000 000. */
  readonly limit: number
  /** How many this acquire takes: from 1 to `limit`. Default: 1. */
  readonly permits?: number | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Service extends kinds.Looking {
  readonly acquire: (lockId: string, options: PermitOptions) => Effect.Effect<Lock, AcquireError, Scope.Scope>
  readonly tryAcquire: (
    lockId: string,
    options: PermitOptions
  ) => Effect.Effect<Option.Option<Lock>, TryError, Scope.Scope>
  readonly withPermits: <A, E, R>(
    body: Body<A, E, R>,
    lockId: string,
    options: PermitOptions
  ) => Effect.Effect<A, E | AcquireError | LockLost, R>
  readonly withPermitsIfAvailable: <A, E, R>(
    body: Body<A, E, R>,
    lockId: string,
    options: PermitOptions
  ) => Effect.Effect<Option.Option<A>, E | TryError | LockLost, R>
}

/**
 * The service of a program. Its layer needs a `VersionedStore`, which the `layer` of each backend module gives beside its `Storage`.
 *
 * @since 0.5.0
 * @category tags
 */
export class StorageSemaphore extends Context.Service<StorageSemaphore, Service>()(
  "effect-storage-lock/StorageSemaphore"
) {}

const mostPermits = 1_000_000

const isCount = (value: unknown, most: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most

/** What is asked, or what is wrong with it. */
const shareOf = (options: PermitOptions): { readonly share: Share; readonly rest: AcquireOptions } | InvalidOptions => {
  if (typeof options !== "object" || options === null) return invalid("options", options, "an object with a `limit`")
  const { limit, permits = 1, ...rest } = options
  if (!isCount(limit, mostPermits)) return invalid("limit", limit, `a whole number from 1 to ${mostPermits}`)
  if (!isCount(permits, limit)) return invalid("permits", permits, `a whole number from 1 to the limit, ${limit}`)
  return { share: { permits, limit }, rest }
}

const asked = <A, E, R>(
  options: PermitOptions,
  use: (share: Share, rest: AcquireOptions) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | InvalidOptions, R> =>
  Effect.suspend((): Effect.Effect<A, E | InvalidOptions, R> => {
    const share = shareOf(options)
    return "share" in share ? use(share.share, share.rest) : Effect.fail(share)
  })

/**
 * The service as a scoped effect, for programs that build it without a layer.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service, InvalidOptions, VersionedStore | Scope.Scope> =>
  Effect.map(kinds.open(options, semaphore), (taking): Service => ({
    ...kinds.looking(taking),
    acquire: (lockId, options) => asked(options, (share, rest) => kinds.acquire(taking, share, [lockId, rest])),
    tryAcquire: (lockId, options) => asked(options, (share, rest) => kinds.tryAcquire(taking, share, [lockId, rest])),
    withPermits: (body, lockId, options) =>
      asked(options, (share, rest) => kinds.using(taking, share, body, [lockId, rest])),
    withPermitsIfAvailable: (body, lockId, options) =>
      asked(options, (share, rest) => kinds.usingIfAvailable(taking, share, body, [lockId, rest]))
  }))

/**
 * Semaphores over the `VersionedStore` in the context. Its options are those of `StorageLock.layer`.
 *
 * @example
 * ```ts
 * import { StorageSemaphore } from "effect-storage-lock"
 * import * as RedisStorage from "effect-storage-lock/RedisStorage"
 * import { Layer, Redacted } from "effect"
 *
 * const Permits = StorageSemaphore.layer().pipe(
 *   Layer.provide(RedisStorage.layer({ url: Redacted.make("redis://localhost:6379") }))
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<StorageSemaphore, InvalidOptions, VersionedStore> =>
  Layer.effect(StorageSemaphore, make(options))

/**
 * Takes permits, and holds them until the scope closes. Waits until there are so many.
 *
 * @example
 * ```ts
 * import { StorageSemaphore } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * // At most five at once, in all processes.
 * const render = Effect.scoped(Effect.gen(function*() {
 *   yield* StorageSemaphore.acquire("renderers", { limit: 5, acquireTimeout: "1 minute" })
 *   yield* Effect.log("one of five")
 * }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const acquire = (
  lockId: string,
  options: PermitOptions
): Effect.Effect<Lock, AcquireError, StorageSemaphore | Scope.Scope> =>
  Effect.flatMap(StorageSemaphore, (service) => service.acquire(lockId, options))

/**
 * As `acquire`, but `None` at once if there are not so many.
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryAcquire = (
  lockId: string,
  options: PermitOptions
): Effect.Effect<Option.Option<Lock>, TryError, StorageSemaphore | Scope.Scope> =>
  Effect.flatMap(StorageSemaphore, (service) => service.tryAcquire(lockId, options))

/**
 * Runs a body with permits. As `StorageLock.withLock`: the body is interrupted if they are lost.
 *
 * @example
 * ```ts
 * import { StorageSemaphore } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const upload = Effect.log("one of ten").pipe(StorageSemaphore.withPermits("uploads", { limit: 10 }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const withPermits: Using<StorageSemaphore, AcquireError, [options: PermitOptions]> = dual(
  StorageSemaphore,
  (service, body, lockId, options) => service.withPermits(body, lockId, options)
)

/**
 * As `withPermits`, but `None`, without running the body, if there are not so many.
 *
 * @since 0.5.0
 * @category accessors
 */
export const withPermitsIfAvailable: UsingIfAvailable<StorageSemaphore, TryError, [options: PermitOptions]> = dual(
  StorageSemaphore,
  (service, body, lockId, options) => service.withPermitsIfAvailable(body, lockId, options)
)

/**
 * Who has permits now, if anybody does. `holders` are all of them.
 *
 * @since 0.5.0
 * @category accessors
 */
export const get = (lockId: string): Effect.Effect<Option.Option<LockInformation>, TryError, StorageSemaphore> =>
  Effect.flatMap(StorageSemaphore, (service) => service.get(lockId))

/**
 * All semaphores of which somebody has permits.
 *
 * @since 0.5.0
 * @category accessors
 */
export const list = Stream.unwrap(Effect.map(StorageSemaphore, (service) => service.list))
