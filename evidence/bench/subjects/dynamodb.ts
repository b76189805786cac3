import {
  CreateTableCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  DynamoDBClient,
  PutItemCommand
} from "@aws-sdk/client-dynamodb"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as DynamoDbStorage from "../../../src/backends/dynamodb/DynamoDbStorage.js"
import * as Harness from "../../../test/harness/dynamodb.js"
import { library } from "./library.js"
import type { StorageSubject, Server, Way } from "./Subject.js"

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, conditional put and delete",
    role: "floor",
    packages: ["@aws-sdk/client-dynamodb"],
    note: "less than ours does: nothing is renewed, no token is kept, and nobody is told who has the lock",
    waits: false,
    open: async ({ prefix, url }) => {
      const client = new DynamoDBClient({ ...Harness.reach(url), maxAttempts: 1 })
      await client.send(
        new CreateTableCommand({
          TableName: prefix,
          BillingMode: "PAY_PER_REQUEST",
          AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
          KeySchema: [{ AttributeName: "id", KeyType: "HASH" }]
        })
      )
      return {
        acquire: async (lockId) => {
          const Key = { id: { S: lockId } }
          await client.send(
            new PutItemCommand({ TableName: prefix, Item: Key, ConditionExpression: "attribute_not_exists(id)" })
          )
          return { release: () => client.send(new DeleteItemCommand({ TableName: prefix, Key })) }
        },
        close: async () => {
          await client.send(new DeleteTableCommand({ TableName: prefix }))
          client.destroy()
        }
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ prefix, url }, settings) =>
      library(
        DynamoDbStorage.layer({
          endpoint: url,
          region: "local",
          credentials: { accessKeyId: "any", secretAccessKey: Redacted.make("any") },
          table: `${prefix}-ours`
        }),
        settings
      )
  }
]

const server = Effect.gen(function* () {
  const server = yield* Harness.own
  return {
    setting: "DynamoDB Local 3.1, in memory",
    fresh: Effect.sync(() => ({ url: server.url, prefix: `bench-${randomBytes(6).toString("hex")}` })),
    work: undefined,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: undefined
  } satisfies Server
})

export const dynamodb: StorageSubject = { name: "dynamodb", title: "DynamoDB", server, ways }
