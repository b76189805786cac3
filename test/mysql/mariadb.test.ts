/** MariaDB keeps every promise: its claim is an INSERT … RETURNING, without a transaction around it. */
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mysql from "../harness/mysql.js"
import { failingLink } from "../harness/mysqlLink.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

await describeServer("MysqlStorage on MariaDB 10.11", Mysql.mariadb10, (server) => {
  const { hooks, url } = failingLink(server)
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() => MysqlStorage.layer({ url: Redacted.make(url()) })),
    versioned: Layer.suspend(() => MysqlStorage.layerVersioned({ url: Redacted.make(url()) })),
    hooks
  })
})

await describeServer("MysqlStorage on MariaDB 11.8", Shared.mysql("mariadb11"), (server) => {
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
