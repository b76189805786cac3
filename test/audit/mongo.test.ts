/** The audit in MongoDB. It is the same in both ways in which locks are kept there. */
import * as Effect from "#effect/Effect"
import { MongoClient } from "mongodb"
import * as Redacted from "effect/Redacted"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { suite } from "./suite.js"

await describeServer("the audit in MongoDB", Shared.mongo, (server) => {
  const database = resource(server.freshDatabase)
  suite({
    name: "MongoDB",
    layer: () => MongoStorage.layer({ url: Redacted.make(database()), mode: "versioned", wakeUps: false }),
    nameOf: (number) => `an "audit" of ${number}`,
    needsSetup: false,
    destroy: (name) =>
      Effect.promise(async () => {
        const client = await MongoClient.connect(database())
        await client.db().dropCollection(name)
        await client.close()
      })
  })
})
