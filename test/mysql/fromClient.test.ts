/** MySQL 8.0 keeps every promise over the program's client of Effect 3. There is none of Effect 4. */
import { MysqlClient } from "@effect/sql-mysql2"
import { describe } from "#effect/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Conformance from "../../src/testing/index.js"
import { resource } from "../harness/mysqlLink.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

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
})
