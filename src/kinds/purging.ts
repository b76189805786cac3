/** Deletes the records of locks that were free for long, over a store with a clock: each as it was found. */
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import { freeFor } from "../common/freeFor.js"
import type { StorageError } from "../LockError.js"
import type { LockRecord } from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import * as reads from "./reads.js"

/** What a `VersionedStore`, which stands above this, has of it. */
interface Store extends reads.Store {
  readonly list: Stream.Stream<LockRecord, StorageError>
  readonly delete: (
    lockId: string,
    expectedVersion: number
  ) => Effect.Effect<void, StorageError | { readonly _tag: "VersionMiss" }>
}

export const make =
  (store: Store): Storage.Service["purge"] =>
  (olderThan) =>
    store.time === undefined
      ? Effect.succeed(0)
      : Effect.flatMap(store.time, (now) => {
          const before = now - freeFor(olderThan)
          return store.list.pipe(
            Stream.filter((record) => record.leaseExpireTime < before && !reads.isForeign(store, record)),
            Stream.mapEffect((record) =>
              store.delete(record.lockId, record.version).pipe(
                Effect.as(1),
                // Somebody took it meanwhile: then it is not to be dropped.
                Effect.catchTag("VersionMiss", () => Effect.succeed(0))
              )
            ),
            Stream.runSum
          )
        })
