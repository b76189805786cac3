/** The fence of PostgreSQL, on the client of either major of Effect. */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as SqlClient from "#effect/sql/SqlClient"
import * as Redacted from "effect/Redacted"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { promises, write, written } from "../support/fencePromises.js"

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
