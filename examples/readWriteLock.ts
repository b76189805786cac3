/**
 * Many read at once, one writes alone. A price list is read by several, rewritten by whoever finds it stale, and fenced in SQL, so that a writer that is late changes nothing. Locks and prices are in one
 * memory here; with another layer they are in your database.
 */
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Effect, Layer } from "effect"
import { MemoryStorage, StorageReadWriteLock } from "effect-storage-lock"
import * as SqlFence from "effect-storage-lock/SqlFence"

const Locks = StorageReadWriteLock.layer({ leaseExpireAfter: "10 seconds" }).pipe(Layer.provide(MemoryStorage.layer))
const Database = SqliteClient.layer({ filename: ":memory:" })

const main = Effect.gen(function* () {
  const sql = yield* SqliteClient.SqliteClient
  yield* SqlFence.setup({ readers: true })
  yield* sql`CREATE TABLE prices (article TEXT PRIMARY KEY, price INTEGER)`

  const write = (token: number, price: number) =>
    SqlFence.transaction(
      sql`INSERT INTO prices VALUES ('tea', ${price}) ON CONFLICT DO UPDATE SET price = ${price}`,
      "prices",
      token,
      {
        mode: "write"
      }
    )
  const look = (token: number) => SqlFence.transaction(sql`SELECT price FROM prices`, "prices", token, { mode: "read" })

  const first = yield* StorageReadWriteLock.withWriteLock(
    (lock) => Effect.as(write(lock.token, 3), lock.token),
    "prices"
  )

  // Five at once: each waits for the others to be in.
  let inside = 0
  const reader = StorageReadWriteLock.withReadLock(
    (lock) =>
      Effect.gen(function* () {
        inside++
        while (inside < 5) yield* Effect.sleep("5 millis")
        yield* look(lock.token)
      }),
    "prices"
  )
  yield* Effect.all([reader, reader, reader, reader, reader], { concurrency: "unbounded" })
  console.log(`readers at once: ${inside}`)

  // Reads beside others, and becomes a writer when they are gone.
  yield* Effect.scoped(
    Effect.gen(function* () {
      const lock = yield* StorageReadWriteLock.upgradable("prices")
      const rows = yield* look(lock.token)
      if (Number(rows[0]!["price"]) < 5) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const alone = yield* StorageReadWriteLock.upgrade(lock, { acquireTimeout: "5 seconds" })
            yield* write(alone.token, 5)
          })
        )
      }
    })
  )

  const late = yield* Effect.flip(write(first, 1))
  console.log(`the first writer, late: ${late._tag}`)
  console.log(`the price: ${JSON.stringify(yield* sql`SELECT price FROM prices`)}`)
})

await Effect.runPromise(main.pipe(Effect.provide(Layer.merge(Locks, Database))))
