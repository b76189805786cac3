/** Quick start with SQLite, for the processes of one machine: `npm i better-sqlite3@12`. */
import { Console, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SqliteStorage from "effect-storage-lock/SqliteStorage"

const Locks = StorageLock.layer().pipe(
  Layer.provide(SqliteStorage.layer({ filename: process.env["LOCK_FILE"] ?? "locks.db" }))
)

const program = Console.log("nobody else does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"))

await Effect.runPromise(program.pipe(Effect.provide(Locks)))
