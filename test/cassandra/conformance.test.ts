/** CassandraStorage keeps every promise on one node of Cassandra 5: over a link that fails, over the program's client, and over compare-and-set alone. */
import { describe } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Cassandra from "../harness/cassandra.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { overFailingLink } from "../support/cassandraSuite.js"

const shiftClient = Conformance.shiftDate

await describeServer("CassandraStorage on Cassandra 5", Cassandra.own(), (server) => overFailingLink(server, 0.3))

await describeServer("CassandraStorage on the shared server", Shared.cassandra, (server) => {
  describe("over the program's client", () => {
    // As it comes: with the driver's own retries, and in its own order of nodes.
    const own = resource(
      Effect.all({
        table: server.freshTable,
        client: Cassandra.client(server, { keyspace: server.keyspace, queryOptions: { isIdempotent: true } })
      })
    )
    Conformance.suite({
      name: "CassandraStorage.layerFromClient",
      layer: Layer.suspend(() => CassandraStorage.layerFromClient(own())),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })

  describe("by the smaller port", () => {
    const table = resource(server.freshTable)
    const versioned = Layer.suspend(() =>
      CassandraStorage.layerVersioned({ url: Redacted.make(server.url), table: table() })
    )
    Conformance.versionedSuite({ name: "CassandraStorage.layerVersioned", layer: versioned })
    Conformance.suite({
      name: "CassandraStorage.layerVersioned, over compare-and-set",
      layer: Layer.provide(VersionedStore.layerStorage(), versioned),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })
})
