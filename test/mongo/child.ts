/** A process of `mongo.test.ts`: adds to a counter under the lock, by a read and a write that only the lock makes one. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import { MongoClient } from "mongodb"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import * as StorageLock from "../../src/StorageLock.js"

const [url, rounds] = process.argv.slice(2) as [string, string]
const client = await MongoClient.connect(url)
const counters = client
  .db()
  .collection<{ readonly _id: string; readonly value: number; readonly token: number }>("counters")

const add = StorageLock.withLock("counter")((lock: StorageLock.Lock) =>
  Effect.promise(async () => {
    const before = await counters.findOne({ _id: "it" })
    await new Promise((resolve) => setTimeout(resolve, 2))
    if (before !== null && before.token >= lock.token) throw new Error(`token ${lock.token} after ${before.token}`)
    await counters.replaceOne({ _id: "it" }, { value: (before?.value ?? 0) + 1, token: lock.token }, { upsert: true })
  })
)

const locks = StorageLock.layer().pipe(
  Layer.provide(
    MongoStorage.layerFromClient({ client, database: client.options.dbName, mode: "versioned", wakeUps: false })
  )
)
await Effect.runPromise(Effect.repeat(add, { times: Number(rounds) - 1 }).pipe(Effect.provide(locks)))
await client.close()
