/** SplunkStorage keeps every promise on a stand-in for Splunk, over a link that fails, over the program's client, by compare-and-set alone, and on a member that lags; and on Splunk itself, where the environment names one. */
import { describe } from "#harness/vitest"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Splunk from "../harness/splunk.js"
import * as Redacted from "effect/Redacted"

const shiftClient = Conformance.shiftDate

await describeServer("SplunkStorage on a stand-in", Splunk.double(), (server) => {
  describe("over a link that fails", () => {
    const link = resource(
      Effect.all({ collection: server.freshCollection, proxy: Proxy.make(server, { protocol: HttpFrames.http }) })
    )
    const options = () => ({
      ...server.options,
      url: Redacted.make(`http://127.0.0.1:${link().proxy.port}`),
      collection: link().collection
    })
    Conformance.suite({
      name: "SplunkStorage.layer",
      layer: Layer.suspend(() => SplunkStorage.layer(options())),
      versioned: Layer.suspend(() =>
        SplunkStorage.layerVersioned({ ...server.options, collection: link().collection })
      ),
      effort: 0.3,
      hooks: {
        shiftClient,
        loseReply: Effect.suspend(() => link().proxy.dropNextReply),
        hang: (effect) =>
          Effect.acquireUseRelease(
            Effect.suspend(() => link().proxy.hang(true)),
            () => effect,
            () => link().proxy.hang(false)
          ),
        restart: Effect.andThen(server.double.stop, server.double.start)
      }
    })
  })

  describe("over the program's client", () => {
    const collection = resource(server.freshCollection)
    Conformance.suite({
      name: "SplunkStorage.layerFromClient",
      layer: Layer.suspend(() =>
        Layer.provide(
          SplunkStorage.layerFromClient({ ...server.options, collection: collection() }),
          FetchHttpClient.layer
        )
      ),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })

  describe("by the smaller port", () => {
    const collection = resource(server.freshCollection)
    const layer = Layer.suspend(() => SplunkStorage.layerVersioned({ ...server.options, collection: collection() }))
    Conformance.versionedSuite({ name: "SplunkStorage.layerVersioned", layer })
    Conformance.suite({
      name: "SplunkStorage.layerVersioned, over compare-and-set",
      layer: Layer.provide(VersionedStore.layerStorage(), layer),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })
})

await describeServer(
  "SplunkStorage on Splunk",
  Splunk.scoped,
  (server) => {
    const collection = resource(server.freshCollection)
    const options = () => ({ ...server.options, collection: collection() })
    Conformance.suite({
      name: "SplunkStorage.layer",
      layer: Layer.suspend(() => SplunkStorage.layer(options())),
      versioned: Layer.suspend(() => SplunkStorage.layerVersioned(options())),
      hooks: { shiftClient }
    })
    Conformance.versionedSuite({
      name: "SplunkStorage.layerVersioned",
      layer: Layer.suspend(() => SplunkStorage.layerVersioned(options()))
    })
  },
  { optional: true }
)
