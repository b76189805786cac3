/** Quick start with SQLite, for the processes of one machine: `npm i @effect/sql-sqlite-node@0.53 @effect/sql@0.52 @effect/experimental@0.61 @effect/platform@0.97`. */
import { Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SqliteStorage from "effect-storage-lock/SqliteStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(SqliteStorage.layer({ filename: process.env["LOCK_FILE"] ?? "locks.db" }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
