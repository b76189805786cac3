/**
 * Quick start with Oracle Database: `npm i oracledb@26 @effect/platform-node@0.108`, and `DATABASE_URL=oracle://user:password@host:1521/service`. It makes the table `STORAGE_LOCK` if it is not there.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as OracleStorage from "effect-storage-lock/OracleStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(OracleStorage.layerConfig({ url: Config.redacted("DATABASE_URL") }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
