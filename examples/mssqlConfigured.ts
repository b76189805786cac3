/**
 * SQL Server in detail: the program's own `MssqlClient`, a schema and a table of one's own, made by a migration, and every option of the storage. Needs
 * `MSSQL_SERVER`, `MSSQL_DATABASE`, `MSSQL_USER` and `MSSQL_PASSWORD`, and
 * `npm i @effect/sql-mssql@0.54 @effect/sql@0.52 @effect/experimental@0.61 @effect/platform@0.97 @effect/platform-node@0.108 tedious@18`.
 */
import { MssqlClient } from "@effect/sql-mssql"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Option } from "effect"
import { StorageLock } from "effect-storage-lock"
import * as MssqlStorage from "effect-storage-lock/MssqlStorage"

const where = { schema: "app", table: "locks" }

const Sql = MssqlClient.layerConfig({
  server: Config.string("MSSQL_SERVER"),
  port: Config.withDefault(Config.integer("MSSQL_PORT"), 1433),
  database: Config.string("MSSQL_DATABASE"),
  username: Config.string("MSSQL_USER"),
  password: Config.redacted("MSSQL_PASSWORD"),
  encrypt: Config.withDefault(Config.boolean("MSSQL_ENCRYPT"), true),
  trustServer: Config.withDefault(Config.boolean("MSSQL_TRUST"), false),
  // Each operation takes a connection beside the program's transactions: more than there are transactions that acquire inside.
  maxConnections: Config.succeed(8)
})

/** In earnest: a file among the program's other migrations, run by a user that may create. */
const migrate = Effect.gen(function* () {
  const sql = yield* MssqlClient.MssqlClient
  yield* sql.unsafe(`IF SCHEMA_ID(N'${where.schema}') IS NULL EXEC(N'CREATE SCHEMA ${where.schema}')`)
  yield* sql.unsafe(MssqlStorage.ddl(where))
})

const Locks = StorageLock.layer({ leaseExpireAfter: "30 seconds", clockMargin: "2 seconds" }).pipe(
  Layer.provide(
    MssqlStorage.layerFromClient({
      ...where,
      // The user needs no more than SELECT, INSERT, UPDATE and DELETE on the table.
      setup: false,
      operationTimeout: "3 seconds"
    })
  ),
  Layer.provideMerge(Sql)
)

const program = Effect.gen(function* () {
  const done = yield* StorageLock.withLockIfAvailable((lock) => lock.info, "nightly-report")
  console.log(
    Option.match(done, {
      onNone: () => "another process has it",
      onSome: (info) => `${info.ownerLabel} held ${info.lockId}`
    })
  )
})

NodeRuntime.runMain(Effect.andThen(Effect.provide(migrate, Sql), Effect.provide(program, Locks)))
