/** MySQL 8.0 keeps every promise: over a pool of its own, and over compare-and-set. Over the program's client: `fromClient.test.ts`. Its relatives: `mariadb.test.ts`, `others.test.ts`. */
import { describe } from "#harness/vitest"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mysql from "../harness/mysql.js"
import { failingLink } from "../harness/mysqlLink.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const shiftClient = Conformance.shiftDate

await describeServer("MysqlStorage on a server of its own", Mysql.mysql8, (server) => {
  const { hooks, url } = failingLink(server)
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() => MysqlStorage.layer({ url: Redacted.make(url()) })),
    versioned: Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(url()) })),
    wakesUp: true,
    hooks
  })
})

await describeServer("MysqlStorage on the shared server", Shared.mysql("mysql8"), (server) => {
  describe("by the smaller port", () => {
    const database = resource(server.freshDatabase)
    const layer = Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(database()) }))
    Conformance.versionedSuite({ name: "MysqlStorage.layerVersioned", layer })
    Conformance.suite({
      name: "MysqlStorage.layerVersioned, over compare-and-set",
      effort: 0.2,
      layer: Layer.provide(VersionedStore.layerStorage(), layer),
      versioned: layer,
      hooks: { shiftClient }
    })
  })
})
