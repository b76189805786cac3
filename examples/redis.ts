/**
 * Quick start with Redis or Valkey: `npm i ioredis@5 @effect/platform-node@0.108`, and `REDIS_URL=redis://user:password@host:6379`. Run the server with `appendonly yes` and `appendfsync always`; it warns of what is weaker.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as RedisStorage from "effect-storage-lock/RedisStorage"

const Locks = StorageLock.layer().pipe(Layer.provide(RedisStorage.layerConfig({ url: Config.redacted("REDIS_URL") })))

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
