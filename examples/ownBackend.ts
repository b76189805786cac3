/**
 * A backend of one's own: a store that can compare-and-set a record is enough. This one is any SQL database with `INSERT … ON CONFLICT` and `RETURNING`; the record is
 * kept as JSON beside its version. `test/project/examples.test.ts` runs the conformance kit over it.
 */
import { SqlClient } from "@effect/sql"
import type { SqlError } from "@effect/sql/SqlError"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { Chunk, Context, Effect, Layer, Option, Schedule, Stream } from "effect"
import { LockError, StorageLock, VersionedStore } from "effect-storage-lock"
import type { LockRecord } from "effect-storage-lock"
import { pathToFileURL } from "node:url"

interface Row {
  readonly lock_id: string
  readonly record: string
}

const name = "OwnBackend"
const pageSize = 100

const make = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const run = <A>(operation: string, self: Effect.Effect<A, SqlError>): Effect.Effect<A, LockError.StorageError> =>
    self.pipe(
      // A file has one writer at a time.
      Effect.retry(Schedule.intersect(Schedule.spaced("10 millis"), Schedule.recurs(100))),
      Effect.mapError(
        (cause) =>
          // A backend in earnest judges by the driver's codes. Who does not know says so: "unknown" is always safe.
          new LockError.StorageError({
            reason: "Unknown",
            operation: `${name}.${operation}`,
            isRetryable: true,
            applied: "unknown",
            message: cause.message,
            cause
          })
      ),
      // A rollback of the program's own transaction must not take a lock away.
      Effect.mapInputContext((context: Context.Context<never>) =>
        Context.omit(SqlClient.TransactionConnection)(context as Context.Context<SqlClient.TransactionConnection>)
      ),
      // A statement that was sent has an unknown effect: let it end.
      Effect.uninterruptible
    )

  /** Nothing came back: the record was not at the version that was expected. */
  const written = (operation: string, lockId: string, self: Effect.Effect<ReadonlyArray<unknown>, SqlError>) =>
    Effect.flatMap(run(operation, self), (rows) =>
      rows.length === 0 ? new VersionedStore.VersionMiss({ lockId }) : Effect.void
    )

  const decode = (row: Row): LockRecord.LockRecord => JSON.parse(row.record)

  yield* run(
    "setup",
    sql`CREATE TABLE IF NOT EXISTS own_locks (lock_id TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL)`
  )

  return VersionedStore.VersionedStore.of({
    create: (lockId, version, record) =>
      written(
        "create",
        lockId,
        sql`
        INSERT INTO own_locks VALUES (${lockId}, ${version}, ${JSON.stringify(record)}) ON CONFLICT DO NOTHING RETURNING 1 AS done`
      ),
    update: (lockId, expected, record) =>
      written(
        "update",
        lockId,
        sql`
        UPDATE own_locks SET version = ${record.version}, record = ${JSON.stringify(record)} WHERE lock_id = ${lockId} AND version = ${expected} RETURNING 1 AS done`
      ),
    delete: (lockId, expected) =>
      written(
        "delete",
        lockId,
        sql`DELETE FROM own_locks WHERE lock_id = ${lockId} AND version = ${expected} RETURNING 1 AS done`
      ),
    get: (lockId) =>
      Effect.map(run("get", sql<Row>`SELECT lock_id, record FROM own_locks WHERE lock_id = ${lockId}`), (rows) =>
        Option.map(Option.fromNullable(rows[0]), decode)
      ),
    list: Stream.paginateChunkEffect("", (after) =>
      Effect.map(
        run(
          "list",
          sql<Row>`SELECT lock_id, record FROM own_locks WHERE lock_id > ${after} ORDER BY lock_id LIMIT ${pageSize}`
        ),
        (rows) => [
          Chunk.fromIterable(rows.map(decode)),
          rows.length < pageSize ? Option.none<string>() : Option.some(rows[rows.length - 1]!.lock_id)
        ]
      )
    ),
    // The store's one clock, never that of the client. Left out, leases are observed by those who wait.
    time: Effect.map(run("time", sql<{ readonly now: number }>`SELECT unixepoch('subsec') AS now`), (rows) =>
      Math.round(rows[0]!.now * 1_000_000)
    ),
    guarantees: { name, leaseGranularity: 1_000, shortestLease: 10_000, longestId: 4 * 255 }
  })
})

/** A storage for locks, over the smaller port. */
export const layer = (filename: string) =>
  VersionedStore.layerStorage().pipe(
    Layer.provide(Layer.effect(VersionedStore.VersionedStore, make)),
    Layer.provide(SqliteClient.layer({ filename }))
  )

const program = StorageLock.withLock((lock) => lock.info, "foo", { ownerLabel: "worker-1" }).pipe(
  Effect.map((info) => console.log(`${info.ownerLabel} held ${info.lockId}`)),
  Effect.provide(StorageLock.layer().pipe(Layer.provide(layer(process.env["LOCK_FILE"] ?? "locks.db"))))
)

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await Effect.runPromise(program)
