/** The locks of a kind over a storage, and the exclusive ones. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import type { InvalidOptions, StorageError } from "../../src/LockError.js"
import type { Storage } from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import * as StorageSemaphore from "../../src/StorageSemaphore.js"
import type { VersionedStore } from "../../src/VersionedStore.js"
import type { Services } from "../simulate/parts.js"
import type { Kind } from "./protocol.js"

export const servicesOf = (
  kind: Kind,
  options: StorageLock.Options,
  storage: Layer.Layer<Storage | VersionedStore, StorageError | InvalidOptions>
): Effect.Effect<Services, StorageError | InvalidOptions, Scope.Scope> => {
  const exclusive = StorageLock.layer(options)
  switch (kind) {
    case "exclusive":
    case "leader":
      return Effect.map(Layer.build(Layer.provide(exclusive, storage)), (context) => ({
        exclusive: Context.get(context, StorageLock.StorageLock)
      }))
    case "readWrite":
      return Effect.map(
        Layer.build(Layer.provide(Layer.merge(exclusive, StorageReadWriteLock.layer(options)), storage)),
        (context) => ({
          exclusive: Context.get(context, StorageLock.StorageLock),
          readWrite: Context.get(context, StorageReadWriteLock.StorageReadWriteLock)
        })
      )
    case "semaphore":
      return Effect.map(
        Layer.build(Layer.provide(Layer.merge(exclusive, StorageSemaphore.layer(options)), storage)),
        (context) => ({
          exclusive: Context.get(context, StorageLock.StorageLock),
          semaphore: Context.get(context, StorageSemaphore.StorageSemaphore)
        })
      )
  }
}
