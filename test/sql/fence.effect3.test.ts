/** The fence of SQLite, the MySQL family and SQL Server, for whom Effect 3 alone has clients. */
import * as Reactivity from "@effect/experimental/Reactivity"
import { MssqlClient } from "@effect/sql-mssql"
import { MysqlClient } from "@effect/sql-mysql2"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Statement from "@effect/sql/Statement"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { promises } from "../support/fencePromises.js"

describe("SqlFence on SQLite", () => promises(() => SqliteClient.layer({ filename: ":memory:" })))

for (const name of ["mysql8", "mariadb11", "tidb"] as const) {
  await describeServer(`SqlFence on ${Shared.kinds[name].server}`, Shared.mysql(name), (server) => {
    const layer = Layer.unwrap(
      Effect.map(server.freshDatabase, (url) => MysqlClient.layer({ url: Redacted.make(url) }))
    )
    promises(() => layer)

    it.live("resources are told apart byte for byte, and one that is too long is refused", () =>
      Effect.gen(function* () {
        yield* SqlFence.setup()
        const long = "鍵".repeat(340)
        for (const resource of ["Foo", "foo", "foo ", "a'b\\", "é", long]) {
          yield* SqlFence.check(resource, 5)
          assert.strictEqual((yield* Effect.flip(SqlFence.check(resource, 4)))._tag, "StaleToken")
        }
        assert.deepInclude(yield* Effect.flip(SqlFence.check(`${long}x`, 5)), {
          _tag: "InvalidOptions",
          field: "resource"
        })
      }).pipe(Effect.provide(Layer.orDie(layer)))
    )

    it.live(
      "of two transactions at once the older one waits for the newer one's end, and is refused, though its snapshot is of before",
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* SqlFence.setup()
          yield* SqlFence.check("foo", 1)
          const [entered, leave, read] = yield* Effect.all([
            Deferred.make<void>(),
            Deferred.make<void>(),
            Deferred.make<void>()
          ])
          const newer = yield* Effect.forkChild(
            SqlFence.transaction(Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(leave)), "foo", 20)
          )
          yield* Deferred.await(entered)
          const older = yield* Effect.forkChild(
            Effect.flip(
              sql.withTransaction(
                sql`SELECT * FROM storage_lock_fence`.pipe(
                  Effect.andThen(Deferred.succeed(read, undefined)),
                  Effect.andThen(SqlFence.check("foo", 10))
                )
              )
            )
          )
          yield* Deferred.await(read)
          yield* Effect.sleep("50 millis")
          yield* Deferred.succeed(leave, undefined)
          yield* Fiber.join(newer)
          // MariaDB refuses by itself whoever read before what has changed since.
          assert.strictEqual((yield* Fiber.join(older))._tag, name === "mariadb11" ? "SqlError" : "StaleToken")
        }).pipe(Effect.provide(Layer.orDie(layer)))
    )
  })
}

/** A client whose statements go nowhere. */
const silent = (compiler: Statement.Compiler) => {
  const said: Array<string> = []
  const hear = (text: string) => Effect.sync(() => (said.push(text), [{ accepted: 1 }]))
  const connection = {
    execute: hear,
    executeRaw: hear,
    executeUnprepared: hear,
    executeValues: hear,
    executeStream: () => Stream.empty
  } as unknown as SqlConnection.Connection
  const layer = Layer.effect(
    SqlClient.SqlClient,
    SqlClient.make({
      acquirer: Effect.succeed(connection),
      transactionAcquirer: Effect.succeed(connection),
      compiler,
      spanAttributes: []
    })
  ).pipe(Layer.provide(Reactivity.layer))
  return { said, layer }
}

describe("SqlFence by its text", () => {
  it.effect("on SQL Server: one MERGE that keeps the row locked", () =>
    Effect.gen(function* () {
      const { layer, said } = silent(MssqlClient.makeCompiler())
      yield* Effect.provide(
        Effect.andThen(SqlFence.setup({ table: "a]'b" }), SqlFence.check("foo", 7, { table: "a]'b" })),
        layer
      )
      assert.strictEqual(
        said[0],
        "IF OBJECT_ID(N'[a]]''b]', N'U') IS NULL CREATE TABLE [a]]'b] (resource VARBINARY(900) NOT NULL PRIMARY KEY, token BIGINT NOT NULL)"
      )
      assert.match(
        said[1]!,
        /^MERGE INTO \[a\]\]'b\] WITH \(HOLDLOCK\) AS fence\nUSING \(VALUES \(CAST\(0x666f6f AS VARBINARY\(900\)\), CAST\(7 AS BIGINT\)\)\)/
      )
      assert.match(said[1]!, /WHEN MATCHED AND fence\.token <= given\.token THEN UPDATE[^]*OUTPUT 1 AS accepted;$/)
      assert.strictEqual(said.length, 2)
    })
  )

  it.effect("another dialect is refused by name, before anything is sent", () =>
    Effect.gen(function* () {
      const compiler = Statement.makeCompiler({
        dialect: "clickhouse",
        placeholder: () => "?",
        onIdentifier: (name) => name,
        onCustom: () => ["", []],
        onRecordUpdate: () => ["", []]
      })
      const { layer, said } = silent(compiler)
      for (const attempt of [SqlFence.setup(), SqlFence.check("foo", 1), SqlFence.transaction(Effect.void, "foo", 1)]) {
        const error = yield* Effect.flip<unknown, any, never>(Effect.provide(attempt, layer))
        assert.deepInclude(error, { _tag: "InvalidOptions", field: "SqlClient" })
        assert.match(error.message, /ClickHouse/)
      }
      assert.isFalse(said.some((text) => /fence/i.test(text)))
      assert.throws(() => SqlFence.ddl({ dialect: "oracle" as never }), /dialect/)
      assert.match(SqlFence.ddl({ dialect: "mysql" }), /^CREATE TABLE IF NOT EXISTS `storage_lock_fence`/)
    })
  )
})
