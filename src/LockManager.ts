/**
 * Several lock services by name, for programs that keep some locks in one storage and some in another.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Cause from "#effect/Cause"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Option from "#effect/Option"
import * as Schema from "#effect/Schema"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as Clock from "effect/Clock"
import * as RcMap from "effect/RcMap"
import { storedId } from "./common/ids.js"
import { invalid, kindOf } from "./common/input.js"
import { notAnObject } from "./common/optionNames.js"
import { byBytes, idFault, listFault, twiceFault } from "./core/all.js"
import { joined } from "./core/lockSet.js"
import { coreOf } from "./core/service.js"
import { InvalidLockId, InvalidOptions, type LockLost, type StorageError } from "./LockError.js"
import type { LockInformation } from "./LockInformation.js"
import * as StorageLock from "./StorageLock.js"

/**
 * No lock service has this name. `known` are those that there are.
 *
 * @since 0.5.0
 * @category errors
 */
export class UnknownLockService extends Schema.TaggedError<UnknownLockService>(
  "effect-storage-lock/UnknownLockService"
)("UnknownLockService", { name: Schema.String, known: Schema.Array(Schema.String) }) {
  override get message(): string {
    const known = this.known.map((name) => JSON.stringify(name)).join(", ")
    return `there is no lock service ${JSON.stringify(this.name)}; ${known === "" ? "there is none at all" : `there are: ${known}`}`
  }
}

/**
 * The layer of this lock service could not be built. The next use tries again.
 *
 * @since 0.5.0
 * @category errors
 */
export class LockServiceUnavailable extends Schema.TaggedError<LockServiceUnavailable>(
  "effect-storage-lock/LockServiceUnavailable"
)("LockServiceUnavailable", { name: Schema.String, cause: Schema.Defect() }) {
  override get message(): string {
    const { cause } = this
    return `the lock service ${JSON.stringify(this.name)} cannot be built: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/**
 * Why a lock service cannot be used.
 *
 * @since 0.5.0
 * @category errors
 */
export type LockManagerError = UnknownLockService | LockServiceUnavailable

/**
 * What `health` says of one lock service: how long a read of its storage took, or why it cannot be used.
 *
 * @since 0.5.0
 * @category models
 */
export type Health =
  | { readonly _tag: "Healthy"; readonly latency: Duration.Duration }
  | { readonly _tag: "Failing"; readonly error: LockServiceUnavailable | StorageLock.TryError }

/**
 * @since 0.5.0
 * @category models
 */
export interface Service {
  /** Of all lock services, in the order in which they were added. */
  readonly names: Effect.Effect<ReadonlyArray<string>>
  /** It lives until it is removed or the manager closes; while the scope is open, a removed one lives on. */
  readonly get: (name: string) => Effect.Effect<StorageLock.Service, LockManagerError, Scope.Scope>
  /** The layer is built when the service is first used. The name must be new. */
  readonly add: <E>(
    name: string,
    service: Layer.Layer<StorageLock.StorageLock, E>
  ) => Effect.Effect<void, InvalidOptions>
  /** Its layer closes as soon as nobody uses it. */
  readonly remove: (name: string) => Effect.Effect<void, UnknownLockService>
  /** Of each lock service, by a read of its storage. Builds those that nobody has used yet. */
  readonly health: Effect.Effect<Readonly<Record<string, Health>>>
}

/**
 * A registry of named lock services. Each closes with it.
 *
 * @since 0.5.0
 * @category tags
 */
export class LockManager extends Context.Service<LockManager, Service>()("effect-storage-lock/LockManager") {}

type Layers = Readonly<Record<string, Layer.Layer<StorageLock.StorageLock, any, any>>>

interface Entry {
  readonly layer: Layer.Layer<StorageLock.StorageLock, unknown, any>
}

/** @inline */
type Needs<L> = L extends Layer.Layer<any, any, infer R> ? R : never

/** An id that programs hardly use: whether it is held does not matter. */
const probe = "effect-storage-lock/health"

/**
 * @since 0.5.0
 * @category constructors
 */
export const make = <L extends Layers>(
  services: L
): Effect.Effect<Service, InvalidOptions, Needs<L[keyof L]> | Scope.Scope> =>
  Effect.gen(function* () {
    const fault = notAnObject(services, "services") ?? Object.entries(services).map(faultOf).find(Boolean)
    if (fault !== undefined) return yield* fault
    // By an entry and not by its name: one that is removed and still used must not pass for a new one of its name.
    const entries = new Map(Object.entries(services).map(([name, layer]): [string, Entry] => [name, { layer }]))
    const context = yield* Effect.context<Needs<L[keyof L]>>()
    const running = yield* RcMap.make({
      lookup: ({ layer }: Entry) =>
        Effect.map(
          Effect.flatMap(Effect.scope, (scope) => Effect.provide(Layer.buildWithScope(layer, scope), context)),
          (built) => Context.get(built, StorageLock.StorageLock)
        ),
      // Until it is removed.
      idleTimeToLive: Duration.infinity
    })

    const known = <A, E, R>(
      name: string,
      use: (entry: Entry) => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | UnknownLockService, R> =>
      Effect.suspend((): Effect.Effect<A, E | UnknownLockService, R> => {
        const entry = entries.get(name)
        return entry === undefined
          ? Effect.fail(new UnknownLockService({ name, known: Array.from(entries.keys()) }))
          : use(entry)
      })

    const get: Service["get"] = (name) =>
      known(name, (entry) =>
        Effect.catchCause(RcMap.get(running, entry), (cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause as Cause.Cause<never>)
            : // A failure must not be kept for the next one who asks.
              Effect.andThen(
                RcMap.invalidate(running, entry),
                Effect.fail(new LockServiceUnavailable({ name, cause: Cause.squash(cause) }))
              )
        )
      )

    const healthOf = (name: string): Effect.Effect<readonly [string, Health] | undefined> =>
      Effect.scoped(Effect.flatMap(get(name), (service) => Effect.timed(service.isLocked(probe)))).pipe(
        Effect.map(([latency]) => [name, { _tag: "Healthy", latency }] as const),
        Effect.catch((error) =>
          // It was removed meanwhile.
          Effect.succeed(
            error._tag === "UnknownLockService" ? undefined : ([name, { _tag: "Failing", error }] as const)
          )
        )
      )

    return {
      names: Effect.sync(() => Array.from(entries.keys())),
      get,
      add: (name, service) =>
        Effect.suspend(() => {
          const fault = faultOf([name, service])
          if (fault !== undefined) return Effect.fail(fault)
          if (entries.has(name))
            return Effect.fail(
              new InvalidOptions({ field: "name", kind: `${JSON.stringify(name)}, which is there`, rule: "a new one" })
            )
          entries.set(name, { layer: service })
          return Effect.void
        }),
      remove: (name) =>
        known(name, (entry) => {
          entries.delete(name)
          return RcMap.invalidate(running, entry)
        }),
      health: Effect.suspend(() =>
        Effect.map(Effect.forEach(entries.keys(), healthOf, { concurrency: "unbounded" }), (healths) =>
          Object.fromEntries(healths.filter((health) => health !== undefined))
        )
      )
    }
  })

const faultOf = ([name, service]: readonly [unknown, unknown]): InvalidOptions | undefined =>
  typeof name !== "string" || name === ""
    ? invalid("name", name, "a string that is not empty")
    : Layer.isLayer(service)
      ? undefined
      : new InvalidOptions({ field: name, kind: kindOf(service), rule: "a layer that provides StorageLock" })

/**
 * A manager of these lock services, by name. The layer of each is built when it is first used: `health` builds and tries all of them, so a program can find
 * out at its start.
 *
 * @example
 * ```ts
 * import { LockManager, MemoryStorage, StorageLock } from "effect-storage-lock"
 * import { Effect, Layer } from "effect"
 *
 * const Locks = LockManager.layer({
 *   orders: StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(Layer.provide(MemoryStorage.layer)),
 *   sessions: StorageLock.layer({ leaseExpireAfter: "5 seconds" }).pipe(Layer.provide(MemoryStorage.layer))
 * })
 *
 * const program = Effect.log("alone").pipe(LockManager.withLock("orders", "order-42"), Effect.provide(Locks))
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layer = <L extends Layers>(services: L): Layer.Layer<LockManager, InvalidOptions, Needs<L[keyof L]>> =>
  Layer.effect(LockManager, make(services))

/** Asks the service while its own scope is open, and not that of the program. */
const asked = <A, E, R>(
  name: string,
  ask: (service: StorageLock.Service) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockManagerError, R | LockManager> =>
  Effect.flatMap(LockManager, (manager) =>
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) => Effect.flatMap(Effect.provideService(manager.get(name), Scope.Scope, scope), ask),
      Scope.close
    )
  )

/**
 * Runs an effect with the lock service of this name as its `StorageLock`. For what is not offered here by name. A lock that is acquired into a scope around it
 * would not keep a removed service alive: use `acquire` for that.
 *
 * @since 0.5.0
 * @category accessors
 */
export const use =
  (name: string) =>
  <A, E, R>(
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | LockManagerError, Exclude<R, StorageLock.StorageLock> | LockManager> =>
    asked(name, (service) => Effect.provideService(self, StorageLock.StorageLock, service))

/**
 * `StorageLock.withLock` by the lock service of this name.
 *
 * @since 0.5.0
 * @category accessors
 */
export const withLock =
  (name: string, ...args: StorageLock.AcquireArgs) =>
  <A, E, R>(
    body: StorageLock.Body<A, E, R>
  ): Effect.Effect<A, E | StorageLock.AcquireError | LockLost | LockManagerError, R | LockManager> =>
    asked(name, (service) => service.withLock(body, ...args))

/**
 * `StorageLock.withLockIfAvailable` by the lock service of this name: `None`, without running the body, if somebody else has the lock.
 *
 * @since 0.5.0
 * @category accessors
 */
export const tryWithLock =
  (name: string, ...args: StorageLock.AcquireArgs) =>
  <A, E, R>(
    body: StorageLock.Body<A, E, R>
  ): Effect.Effect<Option.Option<A>, E | StorageLock.TryError | LockLost | LockManagerError, R | LockManager> =>
    asked(name, (service) => service.withLockIfAvailable(body, ...args))

interface Group {
  readonly name: string
  readonly lockIds: Array<string>
  /** Of each of them in the list that was given. */
  readonly indices: Array<number>
}

/** By service, in the order in which all processes take them. */
const groupsOf = (list: ReadonlyArray<readonly [name: string, lockId: string]>): Array<Group> | InvalidOptions => {
  const fault = listFault("list", list)
  if (fault !== undefined) return fault
  const groups = new Map<string, Group>()
  for (let index = 0; index < list.length; index++) {
    const pair: unknown = list[index]
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== "string")
      return invalid(`list[${index}]`, pair, "a pair: the name of a lock service, and a lock id")
    const [name, lockId] = pair
    const group = groups.get(name) ?? { name, lockIds: [], indices: [] }
    groups.set(name, group)
    if (group.lockIds.includes(lockId)) return twiceFault("list", index, lockId)
    group.lockIds.push(lockId)
    group.indices.push(index)
  }
  return Array.from(groups.values()).sort((a, b) => byBytes(a.name, b.name))
}

/** An id that its service would refuse is refused before another service has taken anything. */
const badId = (service: StorageLock.Service, { indices, lockIds }: Group) => {
  for (const [at, lockId] of lockIds.entries()) {
    const key = storedId(lockId, coreOf(service)?.namespace)
    if (key instanceof InvalidLockId) return idFault("list", indices[at]!, key)
  }
  return undefined
}

/**
 * Runs a body under several locks of several lock services: `StorageLock.withLocks` over storages. They are taken in the order of the names of the services, and of the ids in each, so that no two
 * programs that give the same names to the same storages wait for each other in a circle. What was taken is given back if one is not had.
 *
 * `acquireTimeout` is for all together; without it, that of each lock service is for its own. `holdAtMost` counts for each service from when its locks are had. If a lock is lost
 * while one of a later service is waited for, it fails with `LockLost`.
 *
 * @example
 * ```ts
 * import { LockManager } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * const both = LockManager.withLocks([["orders", "order-42"], ["sessions", "alice"]])(({ locks: [order, session] }) =>
 *   Effect.log(`fencing tokens ${order.token} and ${session.token}`)
 * )
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const withLocks =
  <const List extends ReadonlyArray<readonly [name: string, lockId: string]>>(
    list: List,
    ...settings: StorageLock.AcquireSettings
  ) =>
  <A, E, R>(
    body: StorageLock.BodyOfAll<StorageLock.LocksOf<List>, A, E, R>
  ): Effect.Effect<A, E | StorageLock.AcquireError | LockLost | LockManagerError, R | LockManager> => {
    const groups = groupsOf(list)
    return groups instanceof InvalidOptions
      ? Effect.fail(groups)
      : !Effect.isEffect(body) && typeof body !== "function"
        ? Effect.fail(invalid("body", body, "an effect, or a function of the locks that gives one"))
        : Effect.flatMap(Effect.all([LockManager, Clock.currentTimeNanos]), ([manager, began]) =>
            Effect.acquireUseRelease(
              Scope.make(),
              (scope) =>
                Effect.flatMap(
                  Effect.forEach(groups, (group) =>
                    Effect.map(Effect.provideService(manager.get(group.name), Scope.Scope, scope), (service) => ({
                      ...group,
                      service
                    }))
                  ),
                  (all) => {
                    const fault = all.map((group) => badId(group.service, group)).find(Boolean)
                    return fault !== undefined ? Effect.fail(fault) : nested(all, settings, began, body)
                  }
                ),
              Scope.close
            )
          )
  }

/** In the bodies of each other. */
const nested = <Locks extends ReadonlyArray<StorageLock.Lock>, A, E, R>(
  groups: ReadonlyArray<Group & { readonly service: StorageLock.Service }>,
  settings: StorageLock.AcquireSettings,
  began: bigint,
  body: StorageLock.BodyOfAll<Locks, A, E, R>
): Effect.Effect<A, E | StorageLock.AcquireError | LockLost, R> => {
  const locks: Array<StorageLock.Lock> = []
  const within = (
    index: number,
    sets: ReadonlyArray<StorageLock.LockSet>
  ): Effect.Effect<A, E | StorageLock.AcquireError | LockLost, R> => {
    const group = groups[index]
    if (group === undefined)
      return Effect.isEffect(body) ? body : body(joined(sets, locks as ReadonlyArray<StorageLock.Lock> as Locks))
    return Effect.flatMap(Clock.currentTimeNanos, (now) =>
      group.service.withLocks(
        (set: StorageLock.LockSet) => {
          for (const [at, lock] of set.locks.entries()) locks[group.indices[at]!] = lock
          return within(index + 1, [...sets, set])
        },
        group.lockIds,
        ...(index === 0 ? settings : remaining(settings, Number(now - began) / 1e6))
      )
    )
  }
  return within(0, [])
}

/** The same settings, with what is left of their time-out. They were found to be good. */
const remaining = ([first, second]: StorageLock.AcquireSettings, waited: number): StorageLock.AcquireSettings => {
  const own: StorageLock.AcquireOptions = {
    ...(typeof first === "string" ? { ownerId: first, ...second } : (first ?? second))
  }
  return own.acquireTimeout === undefined
    ? [own]
    : [
        {
          ...own,
          acquireTimeout: Math.max(1, Duration.toMillis(Duration.fromInputUnsafe(own.acquireTimeout)) - waited)
        }
      ]
}

/**
 * `StorageLock.acquire` by the lock service of this name. While the scope is open, the service lives, also if it is removed.
 *
 * @since 0.5.0
 * @category accessors
 */
export const acquire = (
  name: string,
  ...args: StorageLock.AcquireArgs
): Effect.Effect<StorageLock.Lock, StorageLock.AcquireError | LockManagerError, LockManager | Scope.Scope> =>
  Effect.flatMap(LockManager, (manager) => Effect.flatMap(manager.get(name), (service) => service.acquire(...args)))

/**
 * `StorageLock.lock` by the lock service of this name: it keeps the hold until `unlock`.
 *
 * @since 0.5.0
 * @category accessors
 */
export const lock = (
  name: string,
  ...args: StorageLock.AcquireArgs
): Effect.Effect<StorageLock.Lock, StorageLock.AcquireError | LockManagerError, LockManager> =>
  asked(name, (service) => service.lock(...args))

/**
 * `StorageLock.unlock` by the lock service of this name.
 *
 * @since 0.5.0
 * @category accessors
 */
export const unlock = (
  name: string,
  lockId: string,
  ownerId: string
): Effect.Effect<void, StorageLock.UnlockError | LockManagerError, LockManager> =>
  asked(name, (service) => service.unlock(lockId, ownerId))

/**
 * `StorageLock.extend` by the lock service of this name: renews now what `lock` has begun. Returns the time for which it is then surely held.
 *
 * @since 0.5.0
 * @category accessors
 */
export const renew = (
  name: string,
  lockId: string,
  ownerId: string,
  options?: StorageLock.ExtendOptions
): Effect.Effect<Duration.Duration, StorageLock.UnlockError | StorageError | LockManagerError, LockManager> =>
  asked(name, (service) => service.extend(lockId, ownerId, options))

/**
 * Whether anybody holds a lock of this lock service. Diagnostic only: the answer may be stale when you read it.
 *
 * @since 0.5.0
 * @category accessors
 */
export const isLocked = (
  name: string,
  lockId: string
): Effect.Effect<boolean, StorageLock.TryError | LockManagerError, LockManager> =>
  asked(name, (service) => service.isLocked(lockId))

/**
 * Who holds a lock of this lock service, if anybody does. Diagnostic only: the answer may be stale when you read it.
 *
 * @since 0.5.0
 * @category accessors
 */
export const lockInfo = (
  name: string,
  lockId: string
): Effect.Effect<Option.Option<LockInformation>, StorageLock.TryError | LockManagerError, LockManager> =>
  asked(name, (service) => service.get(lockId))

/**
 * All locks of this lock service that somebody holds.
 *
 * @since 0.5.0
 * @category accessors
 */
export const list = (name: string): Stream.Stream<LockInformation, StorageError | LockManagerError, LockManager> =>
  Stream.unwrap(Effect.flatMap(LockManager, (manager) => Effect.map(manager.get(name), (service) => service.list)))

/**
 * `StorageLock.forceRelease` by the lock service of this name.
 *
 * @since 0.5.0
 * @category accessors
 */
export const forceRelease = (
  name: string,
  lockId: string,
  options: StorageLock.ForceReleaseOptions
): Effect.Effect<boolean, StorageLock.TryError | LockManagerError, LockManager> =>
  asked(name, (service) => service.forceRelease(lockId, options))
