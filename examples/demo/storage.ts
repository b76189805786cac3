import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { type LockError, StorageLock } from "../../src/index.js"
import type { Storage } from "../../src/index.js"
import type { StorageChoice } from "./protocol.js"

type StorageLayer = Layer.Layer<Storage.Storage, LockError.StorageError | LockError.InvalidOptions>

/** Only the driver that is used is loaded. */
const storage = (choice: StorageChoice): StorageLayer =>
  Layer.unwrapEffect(
    Effect.promise(async (): Promise<StorageLayer> => {
      switch (choice.kind) {
        case "sqlite":
          return (await import("../../src/backends/sqlite/SqliteStorage.js")).layer({ filename: choice.filename })
        case "postgres":
          return (await import("../../src/backends/postgres/PostgresStorage.js")).layer({
            url: Redacted.make(choice.url)
          })
      }
    })
  )

/** All that differs between the storages. */
export const layer = (choice: StorageChoice, leaseMillis: number) =>
  StorageLock.layer({ leaseExpireAfter: leaseMillis }).pipe(Layer.provide(storage(choice)))
