/**
 * Quick start with PostgreSQL: `npm i pg@8 @effect/platform-node@0.108`, and `DATABASE_URL=postgres://user:password@host:5432/database`. It makes the table `storage_lock` if it is not there.
 * `NodeRuntime.runMain` makes an interruption of Ctrl-C, which gives the lock back: see `interrupt.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as PostgresStorage from "effect-storage-lock/PostgresStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(PostgresStorage.layerConfig({ url: Config.redacted("DATABASE_URL") }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

NodeRuntime.runMain(program.pipe(Effect.provide(Locks)))
