/** DynamoDbStorage keeps every promise on DynamoDB Local: over a link that fails, over the program's client, and over compare-and-set alone. */
import { describe } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as DynamoDbStorage from "../../src/backends/dynamodb/DynamoDbStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Dynamo from "../harness/dynamodb.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const shiftClient = Conformance.shiftDate

const credentials = { accessKeyId: "any", secretAccessKey: Redacted.make("any") }

await describeServer("DynamoDbStorage on DynamoDB Local", Shared.dynamodb, (server) => {
  describe("with a client of its own", () => {
    const link = resource(Effect.all({ table: server.freshTable, proxy: Proxy.make(server, { protocol: "bytes" }) }))
    const reach = () => ({ region: "local", credentials, table: link().table })
    Conformance.suite({
      name: "DynamoDbStorage.layer, over a link that fails",
      effort: 0.4,
      layer: Layer.suspend(() =>
        DynamoDbStorage.layer({ ...reach(), endpoint: `http://127.0.0.1:${link().proxy.port}` })
      ),
      versioned: Layer.suspend(() => DynamoDbStorage.layerVersioned({ ...reach(), endpoint: server.url })),
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

  describe("over the program's client", () => {
    // With the SDK's own retries, as it comes.
    const own = resource(Effect.all({ table: server.freshTable, client: Dynamo.client(server.url) }))
    Conformance.suite({
      name: "DynamoDbStorage.layerFromClient",
      layer: Layer.suspend(() => DynamoDbStorage.layerFromClient(own())),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })

  describe("by the smaller port", () => {
    const table = resource(server.freshTable)
    const versioned = Layer.suspend(() =>
      DynamoDbStorage.layerVersioned({ region: "local", credentials, endpoint: server.url, table: table() })
    )
    Conformance.versionedSuite({ name: "DynamoDbStorage.layerVersioned", layer: versioned })
    Conformance.suite({
      name: "DynamoDbStorage.layerVersioned, over compare-and-set",
      layer: Layer.provide(VersionedStore.layerStorage(), versioned),
      effort: 0.2,
      hooks: { shiftClient }
    })
  })
})
