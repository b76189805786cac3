/**
 * A lock that many may hold to read, or one to write. It has all that `StorageLock` has: leases that are renewed, fencing tokens, the loss told in time, and reentry by owner id.
 *
 * - Reads go together. A write goes alone. An owner that writes may read, too.
 * - Nobody starves: whoever waits first is let in before others come who would keep it out, whether it reads or writes, across all processes.
 * - A read never becomes a write: `write` by an owner that reads fails with `UpgradeRefused`. Take `upgradable` for what may have to be written: it reads beside other readers, one at a time, and `upgrade`
 *   waits for the readers alone.
 *
 * It works over every storage of this library by its `VersionedStore`. A lock id that an exclusive lock holds is held for these locks, too, and the other way round.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import type {
  AcquireArgs,
  AcquireError,
  AcquireOptions,
  AcquireSettings,
  Body,
  Lock,
  Options,
  TryError
} from "./core/api.js"
import { dual, type Using } from "./core/dual.js"
import * as kinds from "./core/kinds.js"
import type { Taking } from "./core/service.js"
import { storedId } from "./common/ids.js"
import { InvalidLockId, InvalidOptions, type LockLost, UpgradeRefused } from "./LockError.js"
import type { LockInformation } from "./LockInformation.js"
import { readWrite } from "./kinds/readWrite.js"
import type { VersionedStore } from "./VersionedStore.js"

export type { AcquireArgs, AcquireError, AcquireOptions, Body, Lock, Options, TryError } from "./core/api.js"

/**
 * @since 0.5.0
 * @category errors
 */
export type WriteError = AcquireError | UpgradeRefused

/**
 * Each takes what `StorageLock.acquire` takes: the lock id, and options, or an owner id and options.
 *
 * @since 0.5.0
 * @category models
 */
export interface Service extends kinds.Looking {
  readonly read: (...args: AcquireArgs) => Effect.Effect<Lock, AcquireError, Scope.Scope>
  readonly tryRead: (...args: AcquireArgs) => Effect.Effect<Option.Option<Lock>, TryError, Scope.Scope>
  readonly write: (...args: AcquireArgs) => Effect.Effect<Lock, WriteError, Scope.Scope>
  readonly tryWrite: (
    ...args: AcquireArgs
  ) => Effect.Effect<Option.Option<Lock>, TryError | UpgradeRefused, Scope.Scope>
  readonly upgradable: (...args: AcquireArgs) => Effect.Effect<Lock, AcquireError, Scope.Scope>
  readonly tryUpgradable: (...args: AcquireArgs) => Effect.Effect<Option.Option<Lock>, TryError, Scope.Scope>
  readonly upgrade: (lock: Lock, options?: UpgradeOptions) => Effect.Effect<Lock, AcquireError, Scope.Scope>
  readonly withReadLock: <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ) => Effect.Effect<A, E | AcquireError | LockLost, R>
  readonly withWriteLock: <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ) => Effect.Effect<A, E | WriteError | LockLost, R>
}

/**
 * As for every acquire; the owner is that of the lock.
 *
 * @since 0.5.0
 * @category models
 */
export type UpgradeOptions = Omit<AcquireOptions, "ownerId">

/**
 * The service of a program. Its layer needs a `VersionedStore`, which the `layer` of each backend module gives beside its `Storage`.
 *
 * @since 0.5.0
 * @category tags
 */
export class StorageReadWriteLock extends Context.Service<StorageReadWriteLock, Service>()(
  "effect-storage-lock/StorageReadWriteLock"
) {}

const reading = { mode: "read" } as const
const writing = { mode: "write" } as const
const maybeWriting = { mode: "upgradable" } as const

const ownerOf = ([, second]: AcquireArgs): string | undefined => (typeof second === "object" ? second.ownerId : second)

/** The holds of this layer that an owner has. */
const holdsOf = ({ core }: Taking, lockId: string, ownerId: string) => {
  const key = storedId(lockId, core.namespace)
  return key instanceof InvalidLockId
    ? []
    : Array.from(core.holds).filter(({ claimant }) => claimant.key === key && claimant.ownerId === ownerId)
}

/** What is no body stays as it is, and is refused as such. */
const numbered = <A, E, R>(body: Body<A, E, R>, renumber: (lock: Lock) => Effect.Effect<void>): Body<A, E, R> =>
  Effect.isEffect(body)
    ? (lock: Lock) => Effect.andThen(renumber(lock), body)
    : typeof body === "function"
      ? (lock: Lock) => Effect.andThen(renumber(lock), body(lock))
      : body

/** By what this layer knows: a record alone cannot tell an owner that upgrades from one that was started over. */
const refusal = (taking: Taking, args: AcquireArgs): UpgradeRefused | undefined => {
  const [lockId] = args
  const ownerId = ownerOf(args)
  if (typeof ownerId !== "string") return undefined
  const holds = holdsOf(taking, lockId, ownerId)
  return holds.length > 0 && holds.every(({ claimant }) => claimant.share?.mode === "read")
    ? new UpgradeRefused({ lockId, ownerId })
    : undefined
}

/**
 * The service as a scoped effect, for programs that build it without a layer.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service, InvalidOptions, VersionedStore | Scope.Scope> =>
  Effect.map(kinds.open(options, readWrite), (taking): Service => {
    const unlessRefused = <A, E, R>(
      args: AcquireArgs,
      self: () => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | UpgradeRefused, R> =>
      Effect.suspend((): Effect.Effect<A, E | UpgradeRefused, R> => refusal(taking, args) ?? self())
    /** What the owner has here already is of the token under which it writes: a resource refuses the one from before. */
    const renumber = ({ lockId, ownerId, token }: Lock) =>
      Effect.sync(() => {
        for (const hold of holdsOf(taking, lockId, ownerId)) hold.renumber(token)
      })
    return {
      ...kinds.looking(taking),
      read: (...args) => kinds.acquire(taking, reading, args),
      tryRead: (...args) => kinds.tryAcquire(taking, reading, args),
      write: (...args) => unlessRefused(args, () => Effect.tap(kinds.acquire(taking, writing, args), renumber)),
      tryWrite: (...args) =>
        unlessRefused(args, () =>
          Effect.tap(
            kinds.tryAcquire(taking, writing, args),
            Option.match({ onNone: () => Effect.void, onSome: renumber })
          )
        ),
      upgradable: (...args) => kinds.acquire(taking, maybeWriting, args),
      tryUpgradable: (...args) => kinds.tryAcquire(taking, maybeWriting, args),
      upgrade: (lock, options) =>
        Effect.suspend((): Effect.Effect<Lock, AcquireError, Scope.Scope> => {
          const isUpgradable = holdsOf(taking, lock.lockId, lock.ownerId).some(
            ({ claimant }) => claimant.holdId === lock.holdId && claimant.share?.mode === "upgradable"
          )
          return isUpgradable
            ? Effect.tap(kinds.acquire(taking, writing, [lock.lockId, lock.ownerId, options]), renumber)
            : Effect.fail(
                new InvalidOptions({
                  field: "lock",
                  kind: "another",
                  rule: "a lock that `upgradable` of this layer gave, and that is still held"
                })
              )
        }),
      withReadLock: (body, ...args) => kinds.using(taking, reading, body, args),
      withWriteLock: (body, ...args) =>
        unlessRefused(args, () => kinds.using(taking, writing, numbered(body, renumber), args))
    }
  })

/**
 * Read-write locks over the `VersionedStore` in the context. Its options are those of `StorageLock.layer`.
 *
 * @example
 * ```ts
 * import { StorageReadWriteLock } from "effect-storage-lock"
 * import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
 * import { Layer, Redacted } from "effect"
 *
 * const Locks = StorageReadWriteLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(PostgresStorage.layer({ url: Redacted.make("postgres://localhost/shop") }))
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<StorageReadWriteLock, InvalidOptions, VersionedStore> =>
  Layer.effect(StorageReadWriteLock, make(options))

/**
 * Reads under a lock until the scope closes. Waits while somebody writes, or has waited to write for longer.
 *
 * @example
 * ```ts
 * import { StorageReadWriteLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const lock = yield* StorageReadWriteLock.read("price-list", { acquireTimeout: "10 seconds" })
 *   yield* Effect.log(`reads beside others, token ${lock.token}`)
 * }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const read = (...args: AcquireArgs): Effect.Effect<Lock, AcquireError, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.read(...args))

/**
 * As `read`, but `None` at once if it would have to wait.
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryRead = (
  ...args: AcquireArgs
): Effect.Effect<Option.Option<Lock>, TryError, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.tryRead(...args))

/**
 * Writes under a lock until the scope closes. Waits while others read or write. Fails with `UpgradeRefused` for an owner that only reads.
 *
 * @since 0.5.0
 * @category accessors
 */
export const write = (...args: AcquireArgs): Effect.Effect<Lock, WriteError, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.write(...args))

/**
 * As `write`, but `None` at once if it would have to wait.
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryWrite = (
  ...args: AcquireArgs
): Effect.Effect<Option.Option<Lock>, TryError | UpgradeRefused, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.tryWrite(...args))

/**
 * Reads beside others what may have to be written. One at a time: it waits for others that may write, and for those that do. `upgrade` makes a writer of it.
 *
 * @since 0.5.0
 * @category accessors
 */
export const upgradable = (
  ...args: AcquireArgs
): Effect.Effect<Lock, AcquireError, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.upgradable(...args))

/**
 * As `upgradable`, but `None` at once if it would have to wait.
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryUpgradable = (
  ...args: AcquireArgs
): Effect.Effect<Option.Option<Lock>, TryError, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.tryUpgradable(...args))

/**
 * Writes under a lock that `upgradable` gave, until the scope closes; then it reads on. Waits for the readers that are in, and lets no more in. It cannot deadlock, for only one at a time may do it.
 *
 * @example
 * ```ts
 * import { StorageReadWriteLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const refresh = Effect.scoped(Effect.gen(function*() {
 *   const lock = yield* StorageReadWriteLock.upgradable("price-list")
 *   const isStale = true
 *   if (isStale) yield* Effect.scoped(Effect.gen(function*() {
 *     const alone = yield* StorageReadWriteLock.upgrade(lock)
 *     yield* Effect.log(`writes, token ${alone.token}`)
 *   }))
 * }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const upgrade = (
  lock: Lock,
  options?: UpgradeOptions
): Effect.Effect<Lock, AcquireError, StorageReadWriteLock | Scope.Scope> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.upgrade(lock, options))

/**
 * Runs a body that reads under a lock. As `StorageLock.withLock`: the body is interrupted if the lock is lost.
 *
 * @example
 * ```ts
 * import { StorageReadWriteLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const prices = Effect.succeed([1, 2, 3]).pipe(StorageReadWriteLock.withReadLock("price-list"))
 * const change = Effect.log("alone").pipe(StorageReadWriteLock.withWriteLock("price-list", { acquireTimeout: "1 minute" }))
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const withReadLock: Using<StorageReadWriteLock, AcquireError, AcquireSettings> = dual(
  StorageReadWriteLock,
  (service, body, lockId, ...rest) => service.withReadLock(body, lockId, ...rest)
)

/**
 * Runs a body that writes under a lock.
 *
 * @since 0.5.0
 * @category accessors
 */
export const withWriteLock: Using<StorageReadWriteLock, WriteError, AcquireSettings> = dual(
  StorageReadWriteLock,
  (service, body, lockId, ...rest) => service.withWriteLock(body, lockId, ...rest)
)

/**
 * Who reads or writes now, if anybody does. `holders` are all of them.
 *
 * @since 0.5.0
 * @category accessors
 */
export const get = (lockId: string): Effect.Effect<Option.Option<LockInformation>, TryError, StorageReadWriteLock> =>
  Effect.flatMap(StorageReadWriteLock, (service) => service.get(lockId))

/**
 * All read-write locks that are held.
 *
 * @since 0.5.0
 * @category accessors
 */
export const list = Stream.unwrap(Effect.map(StorageReadWriteLock, (service) => service.list))
