/**
 * Locks on the program's own `PgClient`, also inside its own transaction: the lock does not join it. The transaction rolls back, the lock stays. Needs `DATABASE_URL`, and
 * `npm i @effect/sql-pg@0.53 @effect/sql@0.52 @effect/experimental@0.61 @effect/platform@0.97 pg@8`.
 */
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Layer } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as PostgresStorage from "effect-storage-lock/PostgresStorage"

const url = Config.redacted("DATABASE_URL")

// Each operation takes a connection beside the transaction: the pool must be larger than the number of transactions that acquire inside.
const Sql = PgClient.layerConfig({ url, maxConnections: Config.succeed(8) })

// Wake-ups need a connection of their own: without `notify` waiters poll.
const Storage = Layer.unwrapEffect(Effect.map(url, (url) => PostgresStorage.layerFromClient({ notify: { url } })))

const App = StorageLock.layer().pipe(Layer.provide(Storage), Layer.provideMerge(Sql))

const program = Effect.scoped(
  Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    yield* sql`CREATE TABLE IF NOT EXISTS example_work (n int)`

    // `acquire` takes the scope around, which outlives the transaction.
    const failed = yield* sql
      .withTransaction(
        Effect.gen(function* () {
          yield* sql`INSERT INTO example_work VALUES (1)`
          yield* StorageLock.acquire("foo")
          return yield* Effect.fail("rolled back" as const)
        })
      )
      .pipe(Effect.flip)

    console.log(`transaction: ${failed}, rows: ${(yield* sql`SELECT * FROM example_work`).length}`)
    console.log(`lock: ${(yield* StorageLock.isLocked("foo")) ? "still held" : "gone"}`)
    yield* sql`DROP TABLE example_work`
  })
)

await Effect.runPromise(program.pipe(Effect.provide(App)))
