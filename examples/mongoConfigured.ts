/** MongoDB in detail: the program's own client, a collection of one's own, and every option of the storage. Needs `MONGODB_URL`. */
import { Config, Effect, Layer, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as MongoStorage from "effect-storage-lock/MongoStorage"
import { MongoClient } from "mongodb"

/** Shared with the rest of the program. The storage neither closes it nor joins its sessions and transactions. */
const client = Effect.acquireRelease(
  Effect.map(Config.redacted("MONGODB_URL"), (url) => new MongoClient(Redacted.value(url), { maxPoolSize: 20 })),
  (client) => Effect.promise(() => client.close())
)

const locks = (client: MongoClient) =>
  // In a sharded cluster each router (mongos) judges by its own clock: the margin covers what they differ by.
  StorageLock.layer({ leaseExpireAfter: "30 seconds", clockMargin: "2 seconds" }).pipe(
    Layer.provide(
      MongoStorage.layerFromClient({
        client,
        database: client.options.dbName,
        // For locks alone, without a collation, and sharded by `_id` if at all.
        collection: "locks",
        operationTimeout: "3 seconds",
        // Compare-and-set is what every server can. "auto", the default, finds out whether it can do better.
        mode: "versioned",
        // Waiters poll, so that no connection is kept for a change stream.
        wakeUps: false
      })
    )
  )

const program = Effect.gen(function* () {
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(locks(yield* client))
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
})

await Effect.runPromise(Effect.scoped(program))
