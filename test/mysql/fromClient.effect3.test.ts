/** MySQL and MariaDB over the program's client of Effect 3. There is none of Effect 4. */
import { MysqlClient } from "@effect/sql-mysql2"
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Conformance from "../../src/testing/index.js"
import * as Servers from "../harness/mysql.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Failover from "../support/mysqlFailover.js"
import { claim, hold } from "../support/mysqlFailover.js"
import { rolledBack } from "../support/rolledBack.js"

const shiftClient = Conformance.shiftDate

await describeServer("MysqlStorage on the shared server", Shared.mysql("mysql8"), (server) => {
  describe("from the program's client", () => {
    const client = resource(
      Effect.gen(function* () {
        const url = Redacted.make(yield* server.freshDatabase)
        return yield* Layer.build(MysqlClient.layer({ url, maxConnections: 8 }))
      })
    )
    Conformance.suite({
      name: "MysqlStorage.layerFromClient",
      effort: 0.2,
      layer: Layer.suspend(() => Layer.provide(MysqlStorage.layerFromClient(), Layer.succeedContext(client()))),
      versioned: Layer.suspend(() =>
        Layer.provide(MysqlStorage.layerVersionedFromClient(), Layer.succeedContext(client()))
      ),
      hooks: {
        shiftClient,
        inTransaction: (effect) =>
          Effect.suspend(() => rolledBack(Context.get(client(), MysqlClient.MysqlClient).withTransaction, effect))
      }
    })
  })

  it.live("gives both ports as layers", () =>
    Effect.gen(function* () {
      const url = Redacted.make(yield* server.freshDatabase)
      assert.strictEqual(MysqlClient.MysqlClient.key, "@effect/sql-mysql2/MysqlClient")
      const context = yield* Layer.build(
        Layer.merge(
          MysqlStorage.layerFromClient({ table: "configured" }),
          MysqlStorage.layerVersionedFromClient({ table: "configured" })
        ).pipe(Layer.provide(MysqlClient.layer({ url })))
      )
      const outcome = yield* claim(Context.get(context, Storage.Storage), "a", "me")
      assert.strictEqual(outcome._tag, "Claimed")
      const found = yield* Context.get(context, VersionedStore.VersionedStore).get("a")
      assert.strictEqual(Option.getOrThrow(found).ownerId, "me")
    })
  )

  it.live("the client's name transforms do not reach the records, and its full pool ends in time", () =>
    Effect.gen(function* () {
      const url = Redacted.make(yield* server.freshDatabase)
      const context = yield* Layer.build(
        MysqlClient.layer({
          url,
          maxConnections: 1,
          transformQueryNames: (name) => `q_${name}`,
          transformResultNames: (name) => name.toUpperCase()
        })
      )
      const { storage, versioned } = yield* MysqlStorage.makeFromClient({ operationTimeout: "1 second" }).pipe(
        Effect.provide(context)
      )
      const holdId = hold()
      const outcome = yield* claim(storage, "a", "me", holdId)
      assert.isTrue(
        outcome._tag === "Claimed" && outcome.validFor === 30_000_000 && Number.isInteger(outcome.record.token)
      )
      assert.strictEqual((yield* storage.renew([{ lockId: "a", holdId, lease: 1_000_000 }]))[0]!._tag, "Renewed")
      const record = Option.getOrThrow(yield* versioned.get("a"))
      assert.strictEqual(record.holds[0], holdId)
      assert.strictEqual((yield* Effect.flip(versioned.create("a", 1, record)))._tag, "VersionMiss")
      yield* versioned.create("b", 1, record)

      const sql = yield* Effect.provide(MysqlClient.MysqlClient, context)
      const error = yield* sql.withTransaction(Effect.flip(claim(storage, "a", "me")))
      assert.deepInclude(error, { _tag: "StorageError", reason: "Timeout", applied: "no", isRetryable: true })
      assert.isTrue(Option.isSome(yield* storage.get("a")))
      // Interrupted while it waits: it may be done yet, and its connection comes back, too.
      yield* sql.withTransaction(Effect.timeoutOption(claim(storage, "z", "me"), "50 millis"))
      for (let i = 0; i < 3; i++) yield* storage.get("z")
    })
  )
})

const client: Failover.Way = (theirs) =>
  Effect.flatMap(Layer.build(MysqlClient.layer({ url: Redacted.make(theirs), maxConnections: 3 })), (context) =>
    Effect.provide(MysqlStorage.makeFromClient(), context)
  )

for (const [name, kind] of [
  ["MySQL 8.0", Servers.mysql8],
  ["MariaDB 11.8", Servers.mariadb11]
] as const) {
  await describeServer(`MysqlStorage on the program's client of ${name}`, kind, (server) => {
    it.live("the first try after a failover succeeds", () => Failover.firstTryAfterFailover(server, client))

    it.live("connections from before a failover, which stay and cannot write, cost no operation its first try", () =>
      Failover.connectionsOfBefore(server, client)
    )
  })
}
