/**
 * Quick start with Cassandra or ScyllaDB: `npm i cassandra-driver@4 @effect/platform-node@0.108`, and `CASSANDRA_URL=cassandra://127.0.0.1:9042/app`, with a keyspace that is there. The table is made if it is not.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as CassandraStorage from "effect-storage-lock/CassandraStorage"

const Storage = CassandraStorage.layerConfig({ url: Config.redacted("CASSANDRA_URL") })

const Locks = StorageLock.layer().pipe(Layer.provide(Storage))

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
