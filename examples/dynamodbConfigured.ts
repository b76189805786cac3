/** DynamoDB in detail: every option of the storage, and the program's own client of `@aws-sdk/client-dynamodb`. `DYNAMODB_URL` leads to DynamoDB Local. */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { Config, Effect, Layer, Redacted } from "effect"
import { StorageLock, VersionedStore } from "effect-storage-lock"
import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"

// For locks alone. Its template, for those who make it by their own means: then set `setup: false`.
const table = "app_locks"
console.log(DynamoDbStorage.ddl({ table }))

const region = "eu-central-1"

const Locks = Layer.unwrapEffect(
  Effect.gen(function* () {
    const endpoint = yield* Config.string("DYNAMODB_URL")
    // DynamoDB Local takes any. Elsewhere leave `credentials` out: the SDK finds and renews them.
    const secret = yield* Config.withDefault(Config.redacted("AWS_SECRET_ACCESS_KEY"), Redacted.make("any"))
    return StorageLock.layer({ leaseExpireAfter: "20 seconds" }).pipe(
      Layer.provide(
        DynamoDbStorage.layer({
          region,
          endpoint,
          table,
          // Asked for again when they are refused.
          credentials: () => ({ accessKeyId: "any", secretAccessKey: secret }),
          setup: true,
          // Only for a global table of which one region alone is used.
          oneRegion: false,
          operationTimeout: "4 seconds",
          // Others change the same item at the same time: how often to try again.
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        })
      )
    )
  })
)

/** The same locks, over a client that the program has anyway. Its own retries do not apply to locks. */
const overClient = (client: DynamoDBClient) =>
  StorageLock.layer().pipe(Layer.provide(DynamoDbStorage.layerFromClient({ client, table, setup: false })))

const program = Effect.gen(function* () {
  const info = yield* StorageLock.withLock((lock) => lock.info, "nightly-report", { ownerLabel: "worker-1" }).pipe(
    Effect.provide(Locks)
  )
  console.log(`${info.ownerLabel} held ${info.lockId}`)
  const client = new DynamoDBClient({
    region,
    endpoint: yield* Config.string("DYNAMODB_URL"),
    credentials: { accessKeyId: "any", secretAccessKey: "any" }
  })
  const held = yield* StorageLock.isLocked("nightly-report").pipe(Effect.provide(overClient(client)))
  console.log(`and gave it back: ${!held}`)
  client.destroy()
})

await Effect.runPromise(program)
