/** The whole conformance suite on one node of Cassandra, over a link that fails. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import * as Conformance from "../../src/testing/index.js"
import type * as Cassandra from "../harness/cassandra.js"
import * as CqlFrames from "../harness/cqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"

export const overFailingLink = (server: Cassandra.CassandraServer, effort?: number): void => {
  const link = resource(
    Effect.all({ table: server.freshTable, proxy: Proxy.make(server, { protocol: CqlFrames.cql() }) })
  )
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() =>
      CassandraStorage.layer({ table: link().table, url: Redacted.make(link().proxy.url(server.url)) })
    ),
    versioned: Layer.suspend(() =>
      CassandraStorage.layerVersioned({ table: link().table, url: Redacted.make(server.url) })
    ),
    effort,
    hooks: {
      shiftClient: Conformance.shiftDate,
      loseReply: Effect.suspend(() => link().proxy.dropNextReply),
      hang: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => link().proxy.hang(true)),
          () => effect,
          () => link().proxy.hang(false)
        ),
      // As a power cut, not in order: what was acknowledged is there afterwards.
      restart: Effect.andThen(server.kill, server.start)
    }
  })
}
