/** ConsulStorage keeps every promise on Consul 1.8: over a link that fails, over the program's client, and over compare-and-set alone. */
import { describe } from "#harness/vitest"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Consul from "../harness/consul.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { overFailingLink } from "../support/consulSuite.js"

const shiftClient = Conformance.shiftDate

await describeServer("ConsulStorage on Consul 1.8", Consul.own(), (server) => overFailingLink(server, 0.4))

await describeServer("ConsulStorage on the shared server", Shared.consul, (server) => {
  describe("over the program's client", () => {
    const prefix = resource(server.freshPrefix)
    Conformance.suite({
      name: "ConsulStorage.layerFromClient",
      layer: Layer.suspend(() =>
        Layer.provide(
          ConsulStorage.layerFromClient({ url: Redacted.make(server.url), prefix: prefix() }),
          FetchHttpClient.layer
        )
      ),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })

  describe("by the smaller port", () => {
    const prefix = resource(server.freshPrefix)
    Conformance.versionedSuite({
      name: "ConsulStorage.layerVersioned",
      layer: Layer.suspend(() => ConsulStorage.layerVersioned({ url: Redacted.make(server.url), prefix: prefix() }))
    })
    Conformance.suite({
      name: "ConsulStorage.layerVersioned, over compare-and-set",
      layer: Layer.suspend(() =>
        Layer.provide(
          VersionedStore.layerStorage(),
          ConsulStorage.layerVersioned({ url: Redacted.make(server.url), prefix: prefix() })
        )
      ),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })
})
