/**
 * One program on every storage: the scheme of `LOCK_URL` chooses the Layer, and nothing else changes. Try `memory:`, `sqlite:locks.db`, or the URL of a server.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Redacted } from "effect"
import { MemoryStorage, type Storage, StorageLock } from "effect-storage-lock"

const storageAt = async (text: string): Promise<Layer.Layer<Storage.Storage, unknown>> => {
  const scheme = text.slice(0, text.indexOf(":"))
  const url = Redacted.make(text)
  switch (scheme) {
    case "memory":
      return MemoryStorage.layer
    case "sqlite":
      return (await import("effect-storage-lock/SqliteStorage")).layer({ filename: text.slice("sqlite:".length) })
    case "postgres":
    case "postgresql":
      return (await import("effect-storage-lock/PostgresStorage")).layer({ url })
    case "mysql":
      return (await import("effect-storage-lock/MysqlStorage")).layer({ url })
    case "mssql":
      return (await import("effect-storage-lock/MssqlStorage")).layer({ url })
    case "oracle":
    case "oracles":
      return (await import("effect-storage-lock/OracleStorage")).layer({ url })
    case "mongodb":
    case "mongodb+srv":
      return (await import("effect-storage-lock/MongoStorage")).layer({ url })
    case "redis":
    case "rediss":
      return (await import("effect-storage-lock/RedisStorage")).layer({ url })
    case "etcd":
    case "etcds":
      return (await import("effect-storage-lock/EtcdStorage")).layer({ url })
    case "http":
    case "https":
      return (await import("effect-storage-lock/ElasticsearchStorage")).layer({ url })
    case "cassandra":
    case "cassandras":
      return (await import("effect-storage-lock/CassandraStorage")).layer({ url })
    case "consul":
      return (await import("effect-storage-lock/ConsulStorage")).layer({
        url: Redacted.make(text.replace("consul:", "http:"))
      })
    case "zookeeper":
    case "zookeepers":
      return (await import("effect-storage-lock/ZookeeperStorage")).layer({ url })
    default:
      throw new Error(`LOCK_URL: no storage for ${scheme}:`)
  }
}

/** Five workers, each of which reads, waits, and writes: without the lock four of the five steps would be lost. */
const program = Effect.gen(function* () {
  let counter = 0
  const step = Effect.gen(function* () {
    const before = counter
    yield* Effect.sleep("5 millis")
    counter = before + 1
  }).pipe(StorageLock.withLock("any-storage"))
  yield* Effect.all([step, step, step, step, step], { concurrency: "unbounded" })
  yield* Console.log(`five steps: ${counter}`)
})

const Locks = Layer.unwrapEffect(Effect.promise(() => storageAt(process.env["LOCK_URL"] ?? "memory:"))).pipe(
  (storage) => Layer.provide(StorageLock.layer(), storage)
)

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
