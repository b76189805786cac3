/** MySQL in detail: a table of one's own, made by a migration, and every option of the storage; and the same table on the program's own pool. Needs `DATABASE_URL`. */
import { Config, Effect, Layer, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as MysqlStorage from "effect-storage-lock/MysqlStorage"
import * as Mysql from "mysql2/promise"

const where = { table: "locks" }

const lease = { leaseExpireAfter: "30 seconds", clockMargin: "2 seconds" } as const

const locks = (url: Redacted.Redacted) =>
  StorageLock.layer(lease).pipe(
    Layer.provide(
      MysqlStorage.layer({
        url,
        // With `database`, the table of another one than the URL names.
        ...where,
        // The user needs no more than SELECT, INSERT, UPDATE and DELETE on the table.
        setup: false,
        // Connections of the storage's own pool.
        poolSize: 2,
        operationTimeout: "3 seconds"
      })
    )
  )

/** An operation is several statements in one packet. It takes a connection of its own, never that of a transaction of the program. */
const locksOnOwnPool = (pool: Mysql.Pool) =>
  StorageLock.layer(lease).pipe(Layer.provide(MysqlStorage.layerFromPool({ pool, ...where, setup: false })))

const program = Effect.gen(function* () {
  const url = yield* Config.redacted("DATABASE_URL")
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => Mysql.createPool({ uri: Redacted.value(url), multipleStatements: true, connectionLimit: 5 })),
    (pool) => Effect.promise(() => pool.end())
  )
  // In earnest: a file among the program's other migrations, run by a user who may create.
  yield* Effect.promise(() => pool.query(MysqlStorage.ddl(where)))
  const report = StorageLock.withLock((lock) => lock.info, "nightly-report")
  const info = yield* Effect.provide(report, locks(url))
  console.log(`held ${info.lockId}`)
  const again = yield* Effect.provide(report, locksOnOwnPool(pool))
  console.log(`with a greater token: ${again.token > info.token}`)
})

await Effect.runPromise(Effect.scoped(program))
