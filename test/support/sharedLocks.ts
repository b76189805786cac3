/** Processes that share read-write locks and semaphores over one store in memory, with every compare-and-set counted. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as PubSub from "effect/PubSub"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type { Options } from "../../src/core/api.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import * as StorageSemaphore from "../../src/StorageSemaphore.js"
import * as VersionedStore from "../../src/VersionedStore.js"

export const make = (options: MemoryStorage.VersionedOptions = {}, hinted = false) =>
  Effect.gen(function* () {
    const inner = yield* MemoryStorage.makeVersioned(options)
    const hints = yield* PubSub.unbounded<string>()
    const counted = { writes: 0, reads: 0 }
    const write = <A, E>(self: Effect.Effect<A, E>, lockId: string) =>
      Effect.suspend(() => {
        counted.writes++
        return hinted ? Effect.tap(self, PubSub.publish(hints, lockId)) : self
      })
    const store: VersionedStore.Service = {
      ...inner,
      create: (lockId, version, record) => write(inner.create(lockId, version, record), lockId),
      update: (lockId, expected, record) => write(inner.update(lockId, expected, record), lockId),
      get: (lockId) =>
        Effect.suspend(() => {
          counted.reads++
          return inner.get(lockId)
        }),
      ...(hinted ? { wakeUps: Stream.fromPubSub(hints) } : {})
    }
    const of = <A>(self: Effect.Effect<A, unknown, VersionedStore.VersionedStore | Scope.Scope>) =>
      Effect.provideService(Effect.orDie(self), VersionedStore.VersionedStore, store)
    return {
      store,
      counted,
      readWrite: (options?: Options) => of(StorageReadWriteLock.make(options)),
      semaphore: (options?: Options) => of(StorageSemaphore.make(options)),
      exclusive: (options?: Options) =>
        Effect.flatMap(
          Layer.build(
            Layer.provide(
              Layer.orDie(StorageLock.layer(options)),
              Layer.provide(VersionedStore.layerStorage(), Layer.succeed(VersionedStore.VersionedStore, store))
            )
          ),
          (context) => Effect.succeed(Context.get(context, StorageLock.StorageLock))
        )
    }
  })
