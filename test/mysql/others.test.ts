/** MySQL 9 and TiDB keep every promise. TiDB's packets are its own: they take the time from the cluster, which a transaction only knows. */
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Conformance from "../../src/testing/index.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

for (const name of ["mysql9", "tidb"] as const) {
  await describeServer(`MysqlStorage on ${Shared.kinds[name].server}`, Shared.mysql(name), (server) => {
    const database = resource(server.freshDatabase)
    Conformance.suite({
      name: "at a URL",
      effort: 0.5,
      layer: Layer.suspend(() => MysqlStorage.layer({ url: Redacted.make(database()) })),
      versioned: Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(database()) })),
      hooks: { shiftClient: Conformance.shiftDate }
    })
    Conformance.versionedSuite({
      name: "by the smaller port",
      layer: Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(database()) }))
    })
  })
}
