/**
 * Cassandra in detail: every option of the storage, and the program's own `Client`. Needs `CASSANDRA_URL`; `CASSANDRA_CA` is a file in PEM for `cassandras://`, `CASSANDRA_PASSWORD_FILE` a file with the password of the role
 * `worker`, and `CASSANDRA_DC` your data centre.
 */
import { Client } from "cassandra-driver"
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as CassandraStorage from "effect-storage-lock/CassandraStorage"
import { readFileSync } from "node:fs"

// For locks alone. Its statement, for those who make it by their own means: then set `setup: false`.
const table = "app_locks"
console.log(CassandraStorage.ddl({ table }))

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    // As in cassandra://host1:9042,host2:9042/keyspace. The other nodes are found through these.
    const url = yield* Config.redacted("CASSANDRA_URL")
    const ca = yield* Config.option(Config.string("CASSANDRA_CA"))
    const password = yield* Config.option(Config.string("CASSANDRA_PASSWORD_FILE"))
    const localDataCenter = yield* Config.option(Config.string("CASSANDRA_DC"))
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        CassandraStorage.layer({
          url,
          table,
          setup: true,
          // Read again at each new connection.
          user: Option.getOrUndefined(
            Option.map(password, (file) => () => ({
              name: "worker",
              password: Redacted.make(readFileSync(file, "utf8").trim())
            }))
          ),
          tls: Option.getOrUndefined(Option.map(ca, (file) => ({ ca: readFileSync(file), servername: undefined }))),
          // May be left out if the cluster has one.
          localDataCenter: Option.getOrUndefined(localDataCenter),
          // "LOCAL_SERIAL" is faster over long ways, and makes locks of one data centre.
          serialConsistency: "SERIAL",
          operationTimeout: "5 seconds",
          // Others change the same row at the same time: how often to try again.
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        })
      )
    )
  })
)

/** The same locks, over a client that the program has anyway. Its own consistency and retries do not apply to locks. */
const overClient = (client: Client, keyspace: string) =>
  StorageLock.layer().pipe(Layer.provide(CassandraStorage.layerFromClient({ client, keyspace, table, setup: false })))

const program = Effect.gen(function* () {
  const url = new URL(Redacted.value(yield* Config.redacted("CASSANDRA_URL")))
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(Locks)
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  const client = new Client({
    contactPoints: [url.host],
    protocolOptions: { port: Number(url.port) },
    localDataCenter: yield* Config.withDefault(Config.string("CASSANDRA_DC"), "datacenter1"),
    // A connection that does not answer is left at once.
    socketOptions: { defunctReadTimeoutThreshold: 0 }
  })
  const held = yield* StorageLock.isLocked("nightly-report").pipe(
    Effect.provide(overClient(client, url.pathname.slice(1)))
  )
  console.log(`and gave it back: ${!held}`)
  yield* Effect.promise(() => client.shutdown())
})

await Effect.runPromise(program)
