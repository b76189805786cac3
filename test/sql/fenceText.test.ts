/** What the fence says to each kind of database, and what it refuses, without one. */
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import type * as SqlClient from "#effect/sql/SqlClient"
import * as keys from "#effect/sql/keys"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import type { InvalidOptions } from "../../src/LockError.js"

type Dialect = "pg" | "sqlite" | "mysql" | "mssql" | "clickhouse" | "orElse"

const ClientTag = Context.Service<SqlClient.SqlClient>(keys.client)

/** Notes what is sent, and gives a row for the last statement of a check if the token is accepted. */
const client = (dialect: Dialect, rows: ReadonlyArray<unknown> = [{ accepted: 1 }]) => {
  const sent: Array<string> = []
  const sql = {
    onDialectOrElse: (by: Record<Dialect, () => unknown>) => by[dialect](),
    unsafe: (text: string, values?: ReadonlyArray<unknown>) =>
      Effect.sync(() => {
        sent.push(values === undefined ? text : `${text} ${JSON.stringify(values)}`)
        return text.startsWith("INSERT INTO `") ? [] : rows
      }),
    withTransaction: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.andThen(
        Effect.sync(() => sent.push("BEGIN")),
        Effect.tap(self, () => Effect.sync(() => sent.push("COMMIT")))
      )
  } as unknown as SqlClient.SqlClient
  return {
    sent,
    run: <A, E>(self: Effect.Effect<A, E, SqlClient.SqlClient>) => Effect.provideService(self, ClientTag, sql)
  }
}

const upsert = (mark: string) =>
  `INSERT INTO "storage_lock_fence" AS fence (resource, token) VALUES (${mark})
ON CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE fence.token <= excluded.token RETURNING 1 AS accepted ["é",7]`

const words: ReadonlyArray<readonly [dialect: Dialect & SqlFenceDialect, ddl: string, check: ReadonlyArray<string>]> = [
  [
    "pg",
    'CREATE TABLE IF NOT EXISTS "storage_lock_fence" (resource TEXT NOT NULL PRIMARY KEY, token BIGINT NOT NULL)',
    [upsert("$1, $2")]
  ],
  [
    "sqlite",
    'CREATE TABLE IF NOT EXISTS "storage_lock_fence" (resource TEXT NOT NULL PRIMARY KEY, token BIGINT NOT NULL)',
    [upsert("?, ?")]
  ],
  [
    "mysql",
    "CREATE TABLE IF NOT EXISTS `storage_lock_fence` (resource VARBINARY(1020) NOT NULL PRIMARY KEY, token BIGINT NOT NULL) ENGINE = InnoDB ROW_FORMAT = DYNAMIC",
    [
      "INSERT INTO `storage_lock_fence` (resource, token) VALUES (x'c3a9', 7) ON DUPLICATE KEY UPDATE token = GREATEST(token, 7)",
      "SELECT 1 AS accepted FROM `storage_lock_fence` WHERE resource = x'c3a9' AND token = 7 LIMIT 1 FOR UPDATE"
    ]
  ],
  [
    "mssql",
    "IF OBJECT_ID(N'[storage_lock_fence]', N'U') IS NULL CREATE TABLE [storage_lock_fence] (resource VARBINARY(900) NOT NULL PRIMARY KEY, token BIGINT NOT NULL)",
    [
      `MERGE INTO [storage_lock_fence] WITH (HOLDLOCK) AS fence
USING (VALUES (CAST(0xc3a9 AS VARBINARY(900)), CAST(7 AS BIGINT))) AS given (resource, token) ON fence.resource = given.resource
WHEN MATCHED AND fence.token <= given.token THEN UPDATE SET token = given.token
WHEN NOT MATCHED THEN INSERT (resource, token) VALUES (given.resource, given.token)
OUTPUT 1 AS accepted;`
    ]
  ]
]

type SqlFenceDialect = NonNullable<NonNullable<Parameters<typeof SqlFence.ddl>[0]>["dialect"]>

const refusal = (self: Effect.Effect<unknown, unknown>) =>
  Effect.map(Effect.flip(self), (error) => (error as InvalidOptions).message)

describe("the fence", () => {
  for (const [dialect, ddl, check] of words)
    it.effect(`in the words of ${dialect}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(SqlFence.ddl({ dialect }), ddl)
        const { run, sent } = client(dialect)
        yield* run(SqlFence.setup())
        assert.deepStrictEqual(sent, [ddl])
        yield* run(
          SqlFence.transaction(
            Effect.sync(() => sent.push("body")),
            "é",
            7
          )
        )
        assert.deepStrictEqual(sent.slice(1), ["BEGIN", ...check, "body", "COMMIT"])
        const stale = client(dialect, [])
        const error = yield* Effect.flip(stale.run(SqlFence.transaction(Effect.die("must not run"), "é", 7)))
        assert(error._tag === "StaleToken")
        assert.strictEqual(error.message, 'token 7 is stale: "é" was used under a newer one')
        assert.deepStrictEqual(stale.sent, ["BEGIN", ...check])
      })
    )

  it.effect("on SQL Server, under a read-write lock", () =>
    Effect.gen(function* () {
      const { run, sent } = client("mssql")
      yield* run(SqlFence.setup({ readers: true }))
      yield* run(SqlFence.check("é", 7, { mode: "read" }))
      yield* run(SqlFence.check("é", 7, { mode: "write" }))
      const using = `MERGE INTO [storage_lock_fence_readers] WITH (HOLDLOCK) AS fence
USING (VALUES (CAST(0xc3a9 AS VARBINARY(900)), CAST(7 AS BIGINT))) AS given (resource, token) ON fence.resource = given.resource
`
      assert.deepStrictEqual(sent, [
        "IF OBJECT_ID(N'[storage_lock_fence_readers]', N'U') IS NULL CREATE TABLE [storage_lock_fence_readers] (resource VARBINARY(900) NOT NULL PRIMARY KEY, token BIGINT NOT NULL, read_token BIGINT NOT NULL)",
        `${using}WHEN MATCHED AND fence.token <= given.token THEN UPDATE SET read_token = CASE WHEN fence.read_token > given.token THEN fence.read_token ELSE given.token END
WHEN NOT MATCHED THEN INSERT (resource, token, read_token) VALUES (given.resource, 0, given.token)
OUTPUT 1 AS accepted;`,
        `${using}WHEN MATCHED AND fence.token <= given.token AND fence.read_token <= given.token THEN UPDATE SET token = given.token
WHEN NOT MATCHED THEN INSERT (resource, token, read_token) VALUES (given.resource, given.token, 0)
OUTPUT 1 AS accepted;`
      ])
    })
  )

  it("quotes the name of its table, whatever is in it", () => {
    const name = "a\"b`c]d'e"
    assert.include(SqlFence.ddl({ table: name }), `"a""b\`c]d'e"`)
    assert.include(SqlFence.ddl({ table: name, dialect: "mysql" }), "`a\"b``c]d'e`")
    const mssql = SqlFence.ddl({ table: name, dialect: "mssql" })
    assert.include(mssql, "CREATE TABLE [a\"b`c]]d'e] ")
    assert.include(mssql, "OBJECT_ID(N'[a\"b`c]]d''e]', N'U')")
    assert.strictEqual(SqlFence.ddl(), SqlFence.ddl({ dialect: "pg" }))
  })

  it.effect("refuses a dialect that it does not know, by name", () =>
    Effect.gen(function* () {
      for (const [dialect, name] of [
        ["clickhouse", "ClickHouse"],
        ["orElse", "another dialect"]
      ] as const) {
        const { run, sent } = client(dialect)
        for (const self of [SqlFence.setup(), SqlFence.check("a", 1)])
          assert.strictEqual(
            yield* refusal(run(self)),
            `SqlClient must be one of PostgreSQL, SQLite, MySQL, MariaDB, TiDB or SQL Server: for other dialects there is no fence, but is one of ${name}`
          )
        assert.deepStrictEqual(sent, [])
      }
      for (const dialect of ["oracle", "toString"])
        assert.throws(
          () => SqlFence.ddl({ dialect: dialect as "pg" }),
          `dialect must be pg, sqlite, mysql or mssql, but is "${dialect}"`
        )
    })
  )

  it.effect("refuses a table, a resource and a token that make no sense", () =>
    Effect.gen(function* () {
      const { run, sent } = client("pg")
      const long = { table: "x".repeat(64) }
      const rule = "table must be a name of 1 to 63 UTF-16 units without NUL, but is a string of 64 UTF-16 units"
      assert.throws(() => SqlFence.ddl(long), rule)
      assert.strictEqual(yield* refusal(run(SqlFence.setup(long))), rule)
      assert.strictEqual(yield* refusal(run(SqlFence.check("a", 1, long))), rule)
      assert.strictEqual(
        yield* refusal(run(SqlFence.check("", 1))),
        "resource must be a string that is not empty, without NUL and lone surrogates, but is empty"
      )
      assert.strictEqual(
        yield* refusal(run(SqlFence.check("a", 0))),
        "token must be the fencing token of a hold, a positive integer, but is 0"
      )
      const odd = { mode: "reads" as "read" }
      assert.strictEqual(
        yield* refusal(run(SqlFence.check("a", 1, odd))),
        'mode must be "read" or "write", under a read-write lock, but is "reads"'
      )
      const unclear = { readers: 1 as unknown as boolean }
      assert.strictEqual((yield* Effect.flip(run(SqlFence.setup(unclear))))._tag, "InvalidOptions")
      assert.throws(() => SqlFence.ddl(unclear), "readers must be")
      assert.deepStrictEqual(sent, [])
      yield* run(SqlFence.check("a", 1, { table: "x".repeat(63) }))
      assert.lengthOf(sent, 1)
    })
  )

  it.effect("refuses a resource that is too long for the column", () =>
    Effect.gen(function* () {
      for (const [dialect, longest] of [
        ["mysql", 1_020],
        ["mssql", 900]
      ] as const) {
        const { run, sent } = client(dialect)
        yield* run(SqlFence.check("é".repeat(longest / 2), 1))
        const before = sent.length
        assert.strictEqual(
          yield* refusal(run(SqlFence.check("é".repeat(longest / 2) + "e", 1))),
          `resource must be a string of at most ${longest} bytes of UTF-8 in this database, but is a string of ${longest + 1} bytes`
        )
        assert.lengthOf(sent, before)
      }
      yield* client("pg").run(SqlFence.check("x".repeat(100_000), 1))
    })
  )
})
