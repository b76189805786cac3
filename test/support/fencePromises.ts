/** What a fence in a SQL database promises, by tests over the client that is given. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as SqlClient from "#effect/sql/SqlClient"
import type { SqlError } from "#effect/sql/SqlError"
import type { InvalidOptions } from "../../src/LockError.js"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"

export const write = (n: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO work (n) VALUES (${n})`)

export const written = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(sql`SELECT n FROM work ORDER BY n`, (rows) => rows.map((row) => Number(row.n)))
)

export const promises = (layer: () => Layer.Layer<SqlClient.SqlClient, unknown>) => {
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

  it.live(
    "under a read-write lock a late writer is refused after a newer read or write, and readers refuse each other never",
    () =>
      run(
        Effect.gen(function* () {
          yield* SqlFence.setup({ readers: true })
          yield* SqlFence.setup({ readers: true })
          const uses = [
            ["read", 5, true],
            ["write", 4, false],
            ["read", 3, true],
            ["write", 5, true],
            ["write", 5, true],
            ["read", 4, false],
            ["read", 5, true],
            ["read", 9, true],
            ["read", 7, true],
            ["write", 8, false],
            ["write", 9, true],
            ["read", 8, false],
            ["write", 10, true]
          ] as const
          for (const [n, [mode, token, accepted]] of uses.entries()) {
            const used = yield* Effect.result(SqlFence.transaction(write(n), "foo", token, { mode }))
            if (accepted) assert.strictEqual(used._tag, "Success", `${n}: ${mode} ${token}`)
            else assert(used._tag === "Failure" && used.failure._tag === "StaleToken", `${n}: ${mode} ${token}`)
          }
          assert.deepStrictEqual(
            yield* written,
            uses.flatMap(([, , accepted], n) => (accepted ? [n] : []))
          )
          // The first one of all may be a writer.
          yield* SqlFence.check("bar", 2, { mode: "write" })
          assert.strictEqual((yield* Effect.flip(SqlFence.check("bar", 1, { mode: "read" })))._tag, "StaleToken")
          // Under exclusive locks a resource has numbers of its own.
          yield* SqlFence.check("foo", 1)
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
