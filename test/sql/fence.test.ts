import * as Reactivity from "@effect/experimental/Reactivity"
import { MssqlClient } from "@effect/sql-mssql"
import { MysqlClient } from "@effect/sql-mysql2"
import { PgClient } from "@effect/sql-pg"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlConnection from "@effect/sql/SqlConnection"
import * as Statement from "@effect/sql/Statement"
import type { SqlError } from "@effect/sql/SqlError"
import { SqliteClient } from "@effect/sql-sqlite-node"
import { assert, describe, it } from "#effect/vitest"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import type { InvalidOptions } from "../../src/LockError.js"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import * as Shared from "../harness/shared.js"
import { describeServer } from "../harness/server.js"

const write = (n: number) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO work (n) VALUES (${n})`)

const written = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql`SELECT n FROM work ORDER BY n`, (rows) => rows.map((row) => Number(row.n)))
)

const promises = (layer: () => Layer.Layer<SqlClient.SqlClient, unknown>) => {
  const run = <A, E>(self: Effect.Effect<A, E, SqlClient.SqlClient>) =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* SqlFence.setup()
      yield* SqlFence.setup()
      yield* sql`CREATE TABLE work (n INTEGER)`
      return yield* self
    }).pipe(Effect.provide(Layer.orDie(layer())))

  it.live("an older token is refused, and what it wrote is not committed; the same one and newer ones go through", () =>
    run(
      Effect.gen(function* () {
        yield* SqlFence.transaction(write(1), "foo", 10)
        yield* SqlFence.transaction(write(2), "foo", 10)
        yield* SqlFence.transaction(write(3), "foo", 11)
        const error = yield* Effect.flip(SqlFence.transaction(write(4), "foo", 10))
        assert(error._tag === "StaleToken")
        assert.deepStrictEqual([error.resource, error.token], ["foo", 10])
        // Another resource has tokens of its own.
        yield* SqlFence.transaction(write(5), "bar", 1)
        assert.deepStrictEqual(yield* written, [1, 2, 3, 5])
      })
    )
  )

  it.live("a transaction that fails after its check has not raised the fence", () =>
    run(
      Effect.gen(function* () {
        yield* Effect.flip(SqlFence.transaction(Effect.andThen(write(1), Effect.fail("no")), "foo", 20))
        yield* SqlFence.transaction(write(2), "foo", 10)
        assert.deepStrictEqual(yield* written, [2])
      })
    )
  )

  it.live("nonsense is refused before any I/O", () =>
    run(
      Effect.gen(function* () {
        const bad: ReadonlyArray<
          readonly [
            string,
            Effect.Effect<unknown, InvalidOptions | SqlError | SqlFence.StaleToken, SqlClient.SqlClient>
          ]
        > = [
          ...[0, -1, 1.5, NaN, 2 ** 53].map((token) => ["token", SqlFence.check("foo", token)] as const),
          ...["", "a\0b", "\ud800"].map((resource) => ["resource", SqlFence.check(resource, 1)] as const),
          ...["", "a\0b", "x".repeat(64)].map((table) => ["table", SqlFence.check("foo", 1, { table })] as const)
        ]
        for (const [field, effect] of bad) {
          const error = yield* Effect.flip(effect)
          assert(error._tag === "InvalidOptions")
          assert.strictEqual(error.field, field)
        }
        assert.throws(() => SqlFence.ddl({ table: "" }))
      })
    )
  )

  it.live("a table's name may hold quotes and dots", () =>
    run(
      Effect.gen(function* () {
        const options = { table: 'a "fence".of; mine' }
        yield* SqlFence.setup(options)
        yield* SqlFence.transaction(write(1), "foo", 2, options)
        assert.strictEqual((yield* Effect.flip(SqlFence.transaction(write(2), "foo", 1, options)))._tag, "StaleToken")
      })
    )
  )
}

describe("SqlFence on SQLite", () => promises(() => SqliteClient.layer({ filename: ":memory:" })))

for (const name of ["mysql8", "mariadb11", "tidb"] as const) {
  await describeServer(
    `SqlFence on ${Shared.kinds[name].server}`,
    Shared.mysql(name),
    (server) => {
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
            const [entered, leave] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
            const newer = yield* Effect.forkChild(
              SqlFence.transaction(
                Effect.andThen(Deferred.succeed(entered, undefined), Deferred.await(leave)),
                "foo",
                20
              )
            )
            yield* Deferred.await(entered)
            const older = yield* Effect.forkChild(
              Effect.flip(
                sql.withTransaction(Effect.andThen(sql`SELECT * FROM storage_lock_fence`, SqlFence.check("foo", 10)))
              )
            )
            yield* Effect.sleep("50 millis")
            yield* Deferred.succeed(leave, undefined)
            yield* Fiber.join(newer)
            // MariaDB refuses by itself whoever read before what has changed since.
            assert.strictEqual((yield* Fiber.join(older))._tag, name === "mariadb11" ? "SqlError" : "StaleToken")
          }).pipe(Effect.provide(Layer.orDie(layer)))
      )
    },
    Shared.kinds[name] as Shared.Kind
  )
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

await describeServer("SqlFence on PostgreSQL", Shared.postgres, (server) => {
  const layer = Layer.unwrap(Effect.map(server.freshDatabase, (url) => PgClient.layer({ url: Redacted.make(url) })))
  promises(() => layer)

  it.live("of two transactions at once the older one waits for the newer one's end, and is refused", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* SqlFence.setup()
      yield* sql`CREATE TABLE work (n INTEGER)`
      const checked = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const newer = yield* Effect.forkChild(
        SqlFence.transaction(
          Effect.andThen(Deferred.succeed(checked, undefined), Effect.andThen(Deferred.await(go), write(2))),
          "foo",
          2
        )
      )
      yield* Deferred.await(checked)
      const older = yield* Effect.forkChild(Effect.flip(SqlFence.transaction(write(1), "foo", 1)))
      yield* Effect.repeat(sql`SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted`, {
        until: (rows) => rows[0]!.n === 1
      })
      yield* Deferred.succeed(go, undefined)
      yield* Fiber.join(newer)
      assert.strictEqual((yield* Fiber.join(older))._tag, "StaleToken")
      assert.deepStrictEqual(yield* written, [2])
    }).pipe(Effect.provide(layer))
  )
})
