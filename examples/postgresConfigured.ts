/** PostgreSQL in detail: a schema and a table of one's own, made by a migration, and every option of the storage. Needs `DATABASE_URL`. */
import { Config, Effect, Layer, Redacted } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
import * as Pg from "pg"

const where = { schema: "app", table: "locks" }

/** In earnest: a file among the program's other migrations, run by a role that may create. */
const migrate = (url: Redacted.Redacted) =>
  Effect.promise(async () => {
    const client = new Pg.Client({ connectionString: Redacted.value(url) })
    await client.connect()
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${where.schema};\n${PostgresStorage.ddl(where)}`)
    await client.end()
  })

const locks = (url: Redacted.Redacted) =>
  StorageLock.layer({ leaseExpireAfter: "30 seconds", clockMargin: "2 seconds" }).pipe(
    Layer.provide(
      PostgresStorage.layer({
        url,
        ...where,
        // The role needs no more than SELECT, INSERT, UPDATE and DELETE on the table.
        setup: false,
        // Connections of the storage's own pool.
        poolSize: 2,
        operationTimeout: "3 seconds",
        // Waiters are woken over a connection that goes to the server itself. With `url` behind PgBouncer in transaction mode, add `pooler: true`.
        notify: { url }
      })
    )
  )

const program = Effect.gen(function* () {
  const url = yield* Config.redacted("DATABASE_URL")
  yield* migrate(url)
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(locks(url))
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
})

await Effect.runPromise(program)
