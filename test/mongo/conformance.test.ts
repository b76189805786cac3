/**
 * MongoStorage keeps every promise: by compare-and-set on mongo-java-server, which speaks the protocol and knows no update pipelines; and in every way on a real
 * MongoDB, if `EFFECT_STORAGE_LOCK_MONGO_URL` names one. There is none to be fetched, so without it the pipelines are only evaluated, in `mongoPipelines.test.ts`.
 */
import { describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Mongo from "../harness/mongo.js"
import * as Proxy from "../harness/proxy.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const shiftClient = Conformance.shiftDate

/** `versioned` where a trial would only say so again, with a warning each time. */
const suites = (mode: "auto" | "versioned", effort: number) => (server: Mongo.MongoServer) => {
  /** A list of hosts cannot be led through a proxy. */
  const direct = !server.url.startsWith("mongodb+srv:") && !/^[^/]*\/\/[^/]*,/.test(server.url)

  if (direct) {
    const link = resource(
      Effect.gen(function* () {
        const proxy = yield* Proxy.make({ host: server.host, port: server.port }, { protocol: "bytes" })
        const url = new URL(proxy.url(yield* server.freshDatabase))
        // Nor would the members that a replica set names be reached through it.
        url.searchParams.delete("replicaSet")
        url.searchParams.set("directConnection", "true")
        return { proxy, url: Mongo.watchedSeldom(url.toString()) }
      })
    )
    Conformance.suite({
      name: "MongoStorage.layer, over a link that fails",
      layer: Layer.suspend(() => MongoStorage.layer({ url: Redacted.make(link().url), wakeUps: false, mode })),
      versioned: Layer.suspend(() =>
        MongoStorage.layerVersioned({ url: Redacted.make(link().url), wakeUps: false, mode: "versioned" })
      ),
      effort,
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
  }

  // Set to what would be wrong for locks.
  const client = resource(
    Effect.flatMap(server.freshDatabase, (url) =>
      Mongo.client(url, {
        readPreference: "secondaryPreferred",
        writeConcern: { w: 1 },
        promoteLongs: false,
        ignoreUndefined: true,
        maxPoolSize: 8
      })
    )
  )
  /** Not by a session of ours: there is none. By another use of the client while the transaction is open. */
  const inTransaction: Conformance.Hooks["inTransaction"] = (effect) =>
    Effect.acquireUseRelease(
      Effect.promise(async () => {
        const session = client().startSession()
        session.startTransaction({ readPreference: "primary" })
        await client().db().collection("theirs").insertOne({ in: "doubt" }, { session })
        return session
      }),
      () => effect,
      (session) => Effect.promise(() => session.abortTransaction().finally(() => session.endSession()))
    )
  Conformance.suite({
    name: "MongoStorage.layerFromClient, on a client set otherwise",
    layer: Layer.suspend(() =>
      MongoStorage.layerFromClient({ client: client(), database: client().options.dbName, mode })
    ),
    effort: 0.2,
    hooks: { shiftClient, ...(server.replicated ? { inTransaction } : {}) }
  })
}

await describeServer("MongoStorage on mongo-java-server", Shared.mongo, (server) => {
  suites("versioned", 0.5)(server)
  Conformance.versionedSuite({
    name: "by the smaller port",
    layer: Layer.suspend(() =>
      MongoStorage.layerVersioned({ url: Redacted.make(server.url), mode: "versioned", wakeUps: false })
    )
  })
})

if (Mongo.hasReal) {
  await describeServer("MongoStorage on a real MongoDB", Mongo.real, (server) => {
    suites("auto", 1)(server)

    const database = resource(server.freshDatabase)
    Conformance.suite({
      name: "MongoStorage.layerVersioned, over compare-and-set",
      layer: Layer.suspend(() =>
        Layer.provide(VersionedStore.layerStorage(), MongoStorage.layerVersioned({ url: Redacted.make(database()) }))
      ),
      hooks: { shiftClient }
    })
  })
} else {
  describe("MongoStorage on a real MongoDB", () => {
    it("not tested", (context) =>
      context.skip(`${Mongo.environmentVariable} does not name one, and none can be fetched`))
  })
}
