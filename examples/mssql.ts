/**
 * Quick start with SQL Server or Azure SQL: `npm i tedious@18 @effect/platform-node@0.108`, and `DATABASE_URL=mssql://user:password@host:1433/database`. It makes the table `storage_lock` if it is not there.
 * A server with a certificate of its own making needs `?trustServerCertificate=true`. `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as MssqlStorage from "effect-storage-lock/MssqlStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(MssqlStorage.layerConfig({ url: Config.redacted("DATABASE_URL") }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
