/** MySQL 8.0 keeps every promise: over a pool of its own, over the program's client, and over compare-and-set. Its relatives: `mysqlMariadb.test.ts`, `mysqlOthers.test.ts`. */
import { MysqlClient } from "@effect/sql-mysql2"
import { describe } from "#effect/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mysql from "../harness/mysql.js"
import { failingLink, resource } from "../harness/mysqlLink.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const shiftClient = Conformance.shiftDate

await describeServer("MysqlStorage on a server of its own", Mysql.mysql8, (server) => {
  const { hooks, url } = failingLink(server)
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() => MysqlStorage.layer({ url: Redacted.make(url()) })),
    versioned: Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(url()) })),
    hooks
  })
})

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
      layer: Layer.suspend(() => Layer.provide(MysqlStorage.layerFromClient(), Layer.succeedContext(client()))),
      versioned: Layer.suspend(() =>
        Layer.provide(MysqlStorage.layerVersionedFromClient(), Layer.succeedContext(client()))
      ),
      hooks: {
        shiftClient,
        inTransaction: (effect) =>
          Effect.suspend(() => {
            const sql = Context.get(client(), MysqlClient.MysqlClient)
            return effect.pipe(
              Effect.flatMap((value) => Effect.fail({ rolledBackWith: value })),
              sql.withTransaction,
              Effect.catchIf(
                (error): error is { readonly rolledBackWith: any } =>
                  typeof error === "object" && error !== null && "rolledBackWith" in error,
                ({ rolledBackWith }) => Effect.succeed(rolledBackWith)
              )
            )
          })
      }
    })
  })

  describe("by the smaller port", () => {
    const database = resource(server.freshDatabase)
    const layer = Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(database()) }))
    Conformance.versionedSuite({ name: "MysqlStorage.layerVersioned", layer })
    Conformance.suite({
      name: "MysqlStorage.layerVersioned, over compare-and-set",
      layer: Layer.provide(VersionedStore.layerStorage(), layer),
      versioned: layer,
      hooks: { shiftClient }
    })
  })
})
