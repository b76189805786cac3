/** The kinds of lock that several may hold, as promises, over the storage that the exclusive locks have. */
import * as Effect from "#effect/Effect"
import * as Scope from "#effect/Scope"
import type { Run } from "#effect/fibers"
import type * as core from "../core/api.js"
import { type Events, SharedEvents } from "../core/events.js"
import type { Others } from "../core/everyKind.js"
import * as FleetSchedule from "../FleetSchedule.js"
import { InvalidOptions as Invalid } from "../LockError.js"
import * as StorageReadWriteLock from "../StorageReadWriteLock.js"
import * as StorageSemaphore from "../StorageSemaphore.js"
import * as VersionedStore from "../VersionedStore.js"
import { InvalidOptions } from "./errors.js"
import { HeldLock } from "./lock.js"
import type { Taker } from "./taker.js"
import type { Lock, ReadWriteLocks, Semaphores } from "./types.js"

type Opened<S> = Effect.Effect<S, Invalid>

export interface Kinds {
  readonly readWrite: Opened<StorageReadWriteLock.Service>
  readonly semaphore: Opened<StorageSemaphore.Service>
  readonly schedule: Opened<FleetSchedule.Service>
  readonly others: Others
}

const none = new Invalid({
  field: "storage",
  kind: "one of exclusive locks alone",
  rule: "a layer that gives a VersionedStore as good as its Storage: all of this library do, but Redis with `wait`"
})

/** Each is opened when it is first needed, and closes with the scope. What happens in them is told by the events of the whole. */
export const open = (
  store: VersionedStore.Service | undefined,
  events: Events,
  options: core.Options,
  scope: Scope.Scope,
  run: Run
): Effect.Effect<Kinds> =>
  Effect.gen(function* () {
    /** All who wait for it share it: it is not within the first of them, and does not end with it. */
    const apart = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.uninterruptible(
        Effect.callback<A, E>((resume) => {
          run.callback(self, (exit) => resume(exit))
        })
      )
    // The exclusive locks purge the records of all kinds.
    const own: core.Options = { ...options, purgeAfter: "infinity" }
    const once = <S>(
      make: (options: core.Options) => Effect.Effect<S, Invalid, VersionedStore.VersionedStore | Scope.Scope>
    ): Effect.Effect<Opened<S>> =>
      Effect.cached(
        store === undefined
          ? Effect.fail(none)
          : Scope.provide(make(own), scope).pipe(
              Effect.provideService(VersionedStore.VersionedStore, store),
              Effect.provideService(SharedEvents, events),
              apart
            )
      )
    const readWrite = yield* once(StorageReadWriteLock.make)
    const semaphore = yield* once(StorageSemaphore.make)
    return {
      readWrite,
      semaphore,
      schedule: yield* once(FleetSchedule.make),
      others: (kind) => (kind === "readWrite" ? readWrite : semaphore)
    }
  })

const innerOf = (lock: Lock): core.Lock => {
  if (lock instanceof HeldLock) return lock.own
  throw new InvalidOptions({ field: "lock", kind: "another", rule: "a lock that `upgradable` gave" })
}

export const readWriteLocks = (taker: Taker, opened: Kinds["readWrite"]): ReadWriteLocks => {
  const by = <A, E, R>(
    use: (service: StorageReadWriteLock.Service) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | Invalid, R> => Effect.flatMap(opened, use)
  return {
    withReadLock: (id, body, options = {}) =>
      taker.with((inside, own) => by((all) => all.withReadLock(inside, id, own)), body, options),
    withWriteLock: (id, body, options = {}) =>
      taker.with((inside, own) => by((all) => all.withWriteLock(inside, id, own)), body, options),
    read: (id, options = {}) => taker.lock((own) => by((all) => all.read(id, own)), options),
    write: (id, options = {}) => taker.lock((own) => by((all) => all.write(id, own)), options),
    upgradable: (id, options = {}) => taker.lock((own) => by((all) => all.upgradable(id, own)), options),
    tryRead: (id, options = {}) => taker.tryLock((own) => by((all) => all.tryRead(id, own)), options),
    tryWrite: (id, options = {}) => taker.tryLock((own) => by((all) => all.tryWrite(id, own)), options),
    tryUpgradable: (id, options = {}) => taker.tryLock((own) => by((all) => all.tryUpgradable(id, own)), options),
    upgrade: async (lock, options = {}) => {
      const inner = innerOf(lock)
      return taker.lock((own) => by((all) => all.upgrade(inner, own)), options)
    }
  }
}

export const semaphores = (taker: Taker, opened: Kinds["semaphore"]): Semaphores => {
  const by = <A, E, R>(
    use: (service: StorageSemaphore.Service) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | Invalid, R> => Effect.flatMap(opened, use)
  return {
    withPermits: (id, body, options) =>
      taker.with((inside, own) => by((all) => all.withPermits(inside, id, own)), body, options),
    withPermitsIfAvailable: (id, body, options) =>
      taker.withIfAvailable((inside, own) => by((all) => all.withPermitsIfAvailable(inside, id, own)), body, options),
    acquire: (id, options) => taker.lock((own) => by((all) => all.acquire(id, own)), options),
    tryAcquire: (id, options) => taker.tryLock((own) => by((all) => all.tryAcquire(id, own)), options)
  }
}
