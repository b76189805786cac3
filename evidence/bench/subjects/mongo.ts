import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { MongoClient } from "mongodb"
import { randomBytes } from "node:crypto"
import * as peers from "../peers.js"
import * as MongoStorage from "../../../src/backends/mongo/MongoStorage.js"
import * as Harness from "../../../test/harness/mongo.js"
import { library } from "./library.js"
import type { Place, Server, Settings, StorageSubject, Way } from "./Subject.js"

const connect = async ({ url }: Place) => {
  const client = await MongoClient.connect(url, { serverSelectionTimeoutMS: 5_000 })
  return { client, collection: client.db().collection<any>("locks") }
}

const mutex = async (place: Place, settings: Settings) => {
  const { client, collection } = await connect(place)
  await collection.createIndex({ lockID: 1 }, { unique: true })
  const { RWMutex } = await peers.load("mongo-lock-node")
  return {
    acquire: async (lockId: string) => {
      const lock = new RWMutex(collection, lockId, randomBytes(16).toString("hex"), {
        sleepTime: settings.pollMillis ?? 1_000,
        expiresAt: null
      })
      await lock.lock()
      return { release: () => lock.unlock() }
    },
    close: () => client.close()
  }
}

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, insert and delete",
    role: "floor",
    packages: ["mongodb"],
    note: "less than ours does: no token, no takeover; nothing is renewed, and nothing is told",
    waits: false,
    open: async (place) => {
      const { client, collection } = await connect(place)
      return {
        acquire: async (lockId) => {
          await collection.insertOne({ _id: lockId, leaseEnd: new Date(Date.now() + 3_600_000) })
          return { release: () => collection.deleteOne({ _id: lockId }) }
        },
        close: () => client.close()
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ url }, settings) => library(MongoStorage.layer({ url: Redacted.make(url) }), settings)
  },
  {
    name: "mongo-lock-node",
    role: "peer",
    packages: ["mongo-lock-node"],
    note: "no lease: a dead holder's lock stays",
    polls: true,
    open: mutex
  }
]

const server = Effect.gen(function* () {
  const server = yield* Harness.hasReal ? Harness.real : Harness.withChangeStreams
  const version = yield* server.admin(async (db) => (await db.command({ buildInfo: 1 }))["version"] as string)
  return {
    setting: Harness.hasReal
      ? `server ${version}`
      : `mongo-java-server, as ${version}: in memory, and not MongoDB; its figures say how often it is asked, and not how long MongoDB takes`,
    fresh: Effect.map(server.freshDatabase, (url) => ({ url, prefix: "" })),
    work: undefined,
    stall: server.owned ? () => Effect.acquireRelease(server.suspend, () => server.resume) : undefined,
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const mongo: StorageSubject = {
  name: "mongo",
  title: "MongoDB",
  server,
  ways,
  absent: [{ name: "mongodb-lock", reason: "needs the callbacks that the driver has no longer since its version 5" }]
}
