/** Redis in detail: every option of the storage, and locks by the program's own client of `ioredis`, a `Redis` or a `Cluster`. Needs `REDIS_URL`. */
import { Config, Effect, Layer, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as RedisStorage from "effect-storage-lock/RedisStorage"
import { Redis } from "ioredis"

const options = { leaseExpireAfter: "30 seconds", clockMargin: "2 seconds" } as const

/** Locks are the hashes at `app:locks:…`. */
const prefix = "app:locks:"

const withOwnConnection = (url: Redacted.Redacted) =>
  StorageLock.layer(options).pipe(
    Layer.provide(
      RedisStorage.layer({
        url,
        prefix,
        // More options of ioredis: Sentinels, certificates.
        redis: { keepAlive: 5_000 },
        operationTimeout: "3 seconds",
        // A PUBLISH in each release, and one connection that subscribes when somebody first waits.
        notify: true
        // With a replica, `wait: { replicas: 1, timeout: "500 millis" }` makes a failover that loses a claim rarer.
      })
    )
  )

/** On a connection beside the client's, with its settings. A `Cluster` is used as it is. */
const byOwnClient = (client: Redis) =>
  StorageLock.layer(options).pipe(Layer.provide(RedisStorage.layerFromClient({ client, prefix })))

const program = Effect.gen(function* () {
  const url = yield* Config.redacted("REDIS_URL")
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(withOwnConnection(url))
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)

  const client = new Redis(Redacted.value(url))
  yield* Effect.sync(() => console.log("held")).pipe(
    StorageLock.withLockIfAvailable("nightly-report"),
    Effect.provide(byOwnClient(client))
  )
  console.log(`the client still serves: ${yield* Effect.promise(() => client.ping())}`)
  client.disconnect()
})

await Effect.runPromise(program)
