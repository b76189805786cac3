/** SQL Server over the program's client of Effect 3. There is none of Effect 4. */
import { MssqlClient } from "@effect/sql-mssql"
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import * as Storage from "../../src/Storage.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mssql from "../harness/mssql.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Tds from "../harness/tds.js"
import * as Locks from "../harness/tdsLocks.js"
import { claim, refused } from "../support/tdsStorage.js"
import { rolledBack } from "../support/rolledBack.js"

const clientOf = (url: string, maxConnections: number) => {
  const { authentication, options, server } = Mssql.config(url)
  const { password, userName } = authentication!.options as { readonly userName: string; readonly password: string }
  return MssqlClient.layer({
    server,
    port: options!.port!,
    database: options!.database!,
    username: userName,
    password: Redacted.make(password),
    encrypt: options!.encrypt === true,
    trustServer: options!.trustServerCertificate === true,
    maxConnections
  })
}

await describeServer(
  "MssqlStorage on the program's client",
  Mssql.scoped,
  (server) => {
    describe("keeps every promise", () => {
      const client = resource(Effect.flatMap(server.freshDatabase(), (url) => Layer.build(clientOf(url, 8))))
      Conformance.suite({
        name: "MssqlStorage.layerFromClient",
        layer: Layer.suspend(() => Layer.provide(MssqlStorage.layerFromClient(), Layer.succeedContext(client()))),
        versioned: Layer.suspend(() =>
          Layer.provide(MssqlStorage.layerVersionedFromClient(), Layer.succeedContext(client()))
        ),
        hooks: {
          shiftClient: Conformance.shiftDate,
          inTransaction: (effect) =>
            Effect.suspend(() => rolledBack(Context.get(client(), MssqlClient.MssqlClient).withTransaction, effect))
        }
      })
    })

    it.live("a connection of the program gets back what it was set to, and no transaction stays open", () =>
      Effect.gen(function* () {
        const url = yield* server.freshDatabase()
        const context = yield* Layer.build(clientOf(url, 1))
        yield* Effect.gen(function* () {
          const sql = yield* MssqlClient.MssqlClient
          const settings = sql.unsafe<Record<string, unknown>>(
            "SELECT @@OPTIONS AS options, @@LOCK_TIMEOUT AS lock_timeout, @@TRANCOUNT AS open_transactions, (SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID) AS level"
          )
          const before = yield* settings
          const { storage } = yield* MssqlStorage.makeFromClient()
          const holdId = "A".repeat(22)
          yield* storage.claim({ lockId: "a", ownerId: "me", holdId, lease: 30_000_000 })
          yield* storage.claim({ lockId: "a", ownerId: "you", holdId: "B".repeat(22), lease: 30_000_000 })
          yield* storage.renew([{ lockId: "a", holdId, lease: 40_000_000 }])
          yield* storage.release({ lockId: "a", holdId })
          yield* storage.purge("1 hour")
          assert.deepStrictEqual(yield* settings, before)
        }).pipe(Effect.provide(context))
      })
    )
  },
  { optional: true }
)

describe("what stands where a SQL Server should", () => {
  const client = (server: Locks.Server) =>
    MssqlClient.layer({
      server: "127.0.0.1",
      port: server.port,
      database: "app",
      username: "sa",
      password: Redacted.make("secret-pw"),
      encrypt: false,
      maxConnections: 2
    })
  const fromClient = (server: Locks.Server) =>
    Effect.flatMap(Layer.build(client(server)), (context) =>
      Effect.map(Effect.provide(MssqlStorage.makeFromClient(), context), ({ storage }) => storage)
    )

  it.live("one that was moved to another database is refused, and not believed", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make({ database: () => "tenant" })
      const error = yield* refused(fromClient(server))
      assert.deepStrictEqual([error.reason, error.applied], ["Connection", "no"])
      assert.include(error.message, 'in the database "tenant", not in "app"')
    })
  )

  it.live("each batch looks where it is, and a call with little time waits as little", () =>
    Effect.gen(function* () {
      const server = yield* Locks.make()
      const storage = yield* fromClient(server)
      yield* Effect.provideService(claim(storage), Storage.TimeLimit, Duration.millis(600))
      const text = server.batches.at(-1)!.text
      assert.include(text, "IF DB_NAME() <> N'app' COLLATE")
      assert.include(text, "SET LOCK_TIMEOUT 500;")
      assert.include(text, "FROM [dbo].[storage_lock]")
    })
  )

  it.live("a login that fails later is worth another try: the driver does not tell the number", () =>
    Effect.gen(function* () {
      let down = false
      const server = yield* Locks.make({
        login: (_, session) =>
          down
            ? Tds.failed(40532, "no login", 14)
            : Buffer.concat([Tds.databaseChange(session.database), Tds.loginAck, Tds.done()])
      })
      const storage = yield* fromClient(server)
      down = true
      for (const { socket } of server.sessions) socket.destroy()
      yield* Effect.sleep("50 millis")
      const error = yield* refused(claim(storage))
      assert.deepStrictEqual([error.reason, error.isRetryable], ["Connection", true])
    })
  )
})
