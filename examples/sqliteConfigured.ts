/** SQLite in detail: the table is made by a migration of the program's own, and the storage only uses it. */
import Sqlite from "better-sqlite3"
import { Effect, Layer, Option } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as SqliteStorage from "effect-storage-lock/SqliteStorage"

const filename = process.env["LOCK_FILE"] ?? "locks.db"
const table = "app locks"

/** In earnest: a file among the program's other migrations. */
const migrate = Effect.sync(() => {
  const database = new Sqlite(filename)
  database.exec(SqliteStorage.ddl({ table }))
  database.close()
})

const Locks = StorageLock.layer({ leaseExpireAfter: "10 seconds" }).pipe(
  Layer.provide(
    SqliteStorage.layer({
      filename,
      // Quoted: any name will do.
      table,
      setup: false,
      // "normal" is faster, and may forget the last claims at a loss of power.
      synchronous: "full",
      // How long to wait for another writer of the file.
      operationTimeout: "3 seconds"
    })
  )
)

const program = StorageLock.withLock((lock) => StorageLock.get(lock.lockId), "nightly-report", {
  ownerLabel: "worker-1"
}).pipe(Effect.map((info) => console.log(`${Option.getOrThrow(info).ownerLabel} holds nightly-report`)))

await Effect.runPromise(Effect.andThen(migrate, program.pipe(Effect.provide(Locks))))
