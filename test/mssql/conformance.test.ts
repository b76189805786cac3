/** SQL Server keeps every promise: over a pool of its own, and over compare-and-set; whatever the database is set to. */
import { describe } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mssql from "../harness/mssql.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"

const shiftClient = Conformance.shiftDate

await describeServer(
  "MssqlStorage",
  Mssql.scoped,
  (server) => {
    describe("over a link that fails", () => {
      const link = resource(
        Effect.all({
          database: server.freshDatabase(),
          proxy: Proxy.make(server, { protocol: server.protocol })
        })
      )
      Conformance.suite({
        name: "MssqlStorage",
        layer: Layer.suspend(() => MssqlStorage.layer({ url: Redacted.make(link().proxy.url(link().database)) })),
        versioned: Layer.suspend(() => MssqlStorage.layerVersioned({ url: Redacted.make(link().database) })),
        hooks: {
          shiftClient,
          loseReply: Effect.suspend(() => link().proxy.dropNextReply),
          hang: (effect) =>
            Effect.acquireUseRelease(
              Effect.suspend(() => link().proxy.hang(true)),
              () => effect,
              () => link().proxy.hang(false)
            )
        }
      })
    })

    describe("by the smaller port", () => {
      const database = resource(server.freshDatabase())
      Conformance.suite({
        name: "MssqlStorage.layerVersioned, over compare-and-set",
        layer: Layer.suspend(() =>
          Layer.provide(VersionedStore.layerStorage(), MssqlStorage.layerVersioned({ url: Redacted.make(database()) }))
        ),
        versioned: Layer.suspend(() => MssqlStorage.layerVersioned({ url: Redacted.make(database()) })),
        hooks: { shiftClient }
      })
    })

    const where: ReadonlyArray<readonly [name: string, create: string, ...alter: ReadonlyArray<string>]> = [
      [
        "where readers see versions, and snapshot isolation is allowed",
        "",
        "SET READ_COMMITTED_SNAPSHOT ON",
        "SET ALLOW_SNAPSHOT_ISOLATION ON"
      ],
      ["where texts are compared without case and accents", "COLLATE Turkish_CI_AI"],
      ["where the database is of an old compatibility level", "", "SET COMPATIBILITY_LEVEL = 110"]
    ]
    for (const [name, create, ...alter] of where) {
      describe(name, () => {
        const database = resource(server.freshDatabase(create, ...alter))
        Conformance.suite({
          name: "MssqlStorage",
          layer: Layer.suspend(() => MssqlStorage.layer({ url: Redacted.make(database()) })),
          versioned: Layer.suspend(() => MssqlStorage.layerVersioned({ url: Redacted.make(database()) })),
          hooks: { shiftClient }
        })
      })
    }
  },
  { optional: true }
)
