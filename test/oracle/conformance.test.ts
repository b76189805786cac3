/** The blocks keep every promise, as far as MariaDB's Oracle mode tells: over a pool of the storage's own, over the program's, and over compare-and-set. */
import { describe } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import { portsOf, versionedOf } from "../../src/backends/shared/layers.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mysql from "../harness/mysql.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as OnMariadb from "../harness/oracleOnMariadb.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Oracle from "../support/oracleStorage.js"

await describeServer("OracleStorage, its blocks run by MariaDB 11.8", Shared.mysql("mariadb11"), (server) => {
  const fake = resource(Oracle.fresh(server))
  const onPool = Effect.suspend(() => Oracle.onPool(fake()))

  describe("on a pool of the program", () => {
    Conformance.suite({
      name: "OracleStorage.layerFromPool",
      effort: 0.2,
      layer: portsOf(onPool),
      versioned: versionedOf(onPool),
      hooks: { shiftClient: Conformance.shiftDate }
    })
  })

  describe("by the smaller port", () => {
    const layer = versionedOf(onPool)
    Conformance.versionedSuite({ name: "OracleStorage.layerVersionedFromPool", layer })
    Conformance.suite({
      name: "OracleStorage.layerVersionedFromPool, over compare-and-set",
      effort: 0.2,
      layer: Layer.provide(VersionedStore.layerStorage(), layer),
      versioned: layer,
      hooks: { shiftClient: Conformance.shiftDate }
    })
  })
})

await describeServer("OracleStorage, its blocks run by MariaDB 10.11", Mysql.mariadb10, (server) => {
  const link = resource(
    Effect.gen(function* () {
      const fake = yield* Oracle.fresh(server)
      const proxy = yield* Proxy.make({ host: server.host, port: server.port }, { protocol: Frames.watch })
      return { proxy, fake: OnMariadb.make(proxy.url(fake.url), fake.url) }
    })
  )
  const own = Effect.suspend(() => Oracle.own(link().fake))
  Conformance.suite({
    name: "on a pool of the storage's own, over a link that fails",
    layer: portsOf(own),
    versioned: versionedOf(own),
    hooks: {
      shiftClient: Conformance.shiftDate,
      loseReply: Effect.suspend(() => link().proxy.dropNextReply),
      hang: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => link().proxy.hang(true)),
          () => effect,
          () => link().proxy.hang(false)
        ),
      restart: Effect.andThen(server.kill, server.start)
    }
  })
})
