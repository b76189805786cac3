/** ElasticsearchStorage keeps every promise on OpenSearch 2: by scripts, over a link that fails; over the program's client; and without scripts. */
import { describe } from "#harness/vitest"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import * as Conformance from "../../src/testing/index.js"
import { resource } from "../harness/resource.js"
import * as Search from "../harness/search.js"
import { describeServer } from "../harness/server.js"
import { overFailingLink } from "../support/searchSuite.js"

await describeServer("ElasticsearchStorage on OpenSearch 2", Search.own("OpenSearch 2"), (server) => {
  overFailingLink(server, "auto", 0.5)
  overFailingLink(server, "versioned", 0.2)

  describe("over the program's client", () => {
    const index = resource(server.freshIndex)
    Conformance.suite({
      name: "ElasticsearchStorage.layerFromClient",
      layer: Layer.suspend(() =>
        Layer.provide(
          ElasticsearchStorage.layerFromClient({ url: Redacted.make(server.url), index: index() }),
          FetchHttpClient.layer
        )
      ),
      effort: 0.2,
      hooks: { shiftClient: Conformance.shiftDate }
    })
  })

  describe("by the smaller port", () => {
    const index = resource(server.freshIndex)
    Conformance.versionedSuite({
      name: "ElasticsearchStorage.layerVersioned",
      layer: Layer.suspend(() =>
        ElasticsearchStorage.layerVersioned({ url: Redacted.make(server.url), index: index() })
      )
    })
  })
})
