/**
 * Quick start with MongoDB: `npm i mongodb@7 @effect/platform-node@0.108`, and `MONGODB_URL=mongodb://user:password@host:27017/database`. The collection `storage_lock` comes with the first use.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as MongoStorage from "effect-storage-lock/MongoStorage"

const Locks = StorageLock.layer().pipe(Layer.provide(MongoStorage.layerConfig({ url: Config.redacted("MONGODB_URL") })))

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
