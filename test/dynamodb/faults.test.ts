/** What becomes of DynamoDbStorage when things go wrong around it, and what it asks of DynamoDB, request by request. AWS itself is not to be had: what it alone says is said by a proxy in its place. */
import {
  CreateTableCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand
} from "@aws-sdk/client-dynamodb"
import { assert, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as DynamoDbStorage from "../../src/backends/dynamodb/DynamoDbStorage.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as Dynamo from "../harness/dynamodb.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as AwsProxy from "../support/awsProxy.js"
import { renewedByOneEach } from "../support/thousand.js"
import * as Logged from "../support/logged.js"

const second = 1_000_000
const id = (name: string) => name.padEnd(22, "x")
const credentials = { accessKeyId: "any", secretAccessKey: Redacted.make("any") }
const claimOf = (ownerId: string, lockId = "a", lease = 30 * second): LockRecord.Claim => ({
  lockId,
  ownerId,
  holdId: id(ownerId),
  lease
})
const tokenOf = (outcome: LockRecord.ClaimOutcome) => (outcome._tag === "Claimed" ? outcome.record.token : 0)

/** With what was logged meanwhile, from warnings on. */
const warned = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Logged.heard(
    (lines) => Effect.map(effect, (value) => ({ value, logged: lines.map(({ message }) => message).join("\n") })),
    "Warning"
  )

const created = (client: DynamoDBClient, TableName: string) =>
  client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }]
    })
  )

await describeServer("DynamoDB", Shared.dynamodb, (server) => {
  const setup = Effect.gen(function* () {
    const proxy = yield* AwsProxy.make(server)
    const table = yield* server.freshTable
    const options = { region: "local", endpoint: proxy.url, credentials, table }
    const open = (more: Partial<DynamoDbStorage.Options> = {}) => DynamoDbStorage.make({ ...options, ...more })
    return { proxy, table, options, open }
  })

  it.live("claims, free, held, taken over or repeated, renewals and releases are one request each", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      const { storage } = yield* open()
      const other = (yield* open()).storage
      assert.deepStrictEqual([...new Set(proxy.asked())], ["DescribeTable", "CreateTable"])
      const update = (n: number) =>
        assert.deepStrictEqual(
          proxy.asked(),
          Array.from({ length: n }, () => "UpdateItem")
        )
      for (let i = 0; i < 3; i++) {
        assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
        update(1)
        const held = yield* other.claim(claimOf("you"))
        assert.strictEqual(held._tag === "Held" ? held.holder?.ownerId : "", "me")
        update(1)
        yield* storage.claim(claimOf("me"))
        update(1)
        yield* storage.claim({ ...claimOf("me"), holdId: id("nested") })
        update(1)
        yield* storage.release({ lockId: "a", holdId: id("nested") })
        update(1)
        assert.strictEqual((yield* storage.renew([claimOf("me")]))[0]!._tag, "Renewed")
        update(1)
        assert.strictEqual((yield* storage.release(claimOf("me")))._tag, "Released")
        update(1)
      }
      const short = yield* storage.claim(claimOf("me", "b", second / 5))
      yield* other.claim(claimOf("you", "b"))
      yield* Effect.sleep("400 millis")
      proxy.asked()
      const taken = yield* other.claim(claimOf("you", "b"))
      assert.strictEqual(tokenOf(taken), tokenOf(short) + 1)
      update(1)
      // Its own lease is over by its own count: nothing is to be written.
      assert.strictEqual((yield* storage.renew([claimOf("me", "b")]))[0]!._tag, "NotHeld")
      assert.deepStrictEqual(proxy.asked(), ["GetItem"])
    })
  )

  it.live("a thousand renewals are a thousand requests, sixteen at once, each answered for itself", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      // However busy the machine is.
      const { storage } = yield* open({ operationTimeout: "2 minutes" })
      yield* renewedByOneEach(storage, claimOf, proxy.asked, "UpdateItem", "GetItem")
    })
  )

  it.live("in a race there is one winner and one request for each claim, of a new lock and of one that was freed", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      const racers = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, i) => `racer ${i}`),
        (name) => Effect.map(open(), ({ storage }) => ({ name, storage }))
      )
      proxy.asked()
      let last = 0
      for (let round = 0; round < 30; round++) {
        const lockId = round < 10 ? `fresh ${round}` : "again"
        const outcomes = yield* Effect.forEach(racers, ({ name, storage }) => storage.claim(claimOf(name, lockId)), {
          concurrency: 8
        })
        assert.strictEqual(proxy.asked().length, 8)
        const winners = racers.filter((_, i) => outcomes[i]!._tag === "Claimed")
        assert.strictEqual(winners.length, 1)
        for (const outcome of outcomes) {
          if (outcome._tag === "Held") assert.strictEqual(outcome.holder?.ownerId, winners[0]!.name)
          else if (lockId === "again") {
            assert.isAbove(tokenOf(outcome), last)
            last = tokenOf(outcome)
          }
        }
        yield* winners[0]!.storage.release(claimOf(winners[0]!.name, lockId))
        assert.strictEqual(proxy.asked().length, 1)
      }
    })
  )

  it.live("a reply that was lost is not asked for again by the SDK, whatever the client is set to", () =>
    Effect.gen(function* () {
      const { options, proxy, table } = yield* setup
      const client = yield* Dynamo.client(proxy.url, { maxAttempts: 5 })
      const stubborn = yield* Dynamo.client(proxy.url, {
        retryStrategy: {
          mode: "standard",
          acquireInitialRetryToken: async () => ({ getRetryCount: () => 0, getRetryDelay: () => 0 }),
          refreshRetryTokenForRetry: async (token: { getRetryCount: () => number }) => {
            const count = token.getRetryCount() + 1
            if (count > 4) throw new Error("enough")
            return { getRetryCount: () => count, getRetryDelay: () => 0 }
          },
          recordSuccess: () => {}
        } as never
      })
      for (const make of [
        DynamoDbStorage.make(options),
        DynamoDbStorage.makeFromClient({ client, table }),
        DynamoDbStorage.makeFromClient({ client: stubborn, table })
      ]) {
        const { storage } = yield* make
        proxy.asked()
        proxy.rule = () => "lost"
        const claimed = yield* Effect.flip(storage.claim(claimOf("me")))
        assert.deepStrictEqual(proxy.asked(), ["UpdateItem"])
        assert.deepStrictEqual([claimed.isRetryable, claimed.applied], [true, "unknown"])
        proxy.rule = () => "pass"
        assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
        proxy.asked()
        proxy.rule = () => "lost"
        const released = yield* Effect.flip(storage.release(claimOf("me")))
        assert.deepStrictEqual(proxy.asked(), ["UpdateItem"])
        assert.deepStrictEqual([released.isRetryable, released.applied], [true, "unknown"])
        proxy.rule = () => "pass"
        assert.strictEqual((yield* storage.claim(claimOf("you")))._tag, "Claimed")
        yield* storage.release(claimOf("you"))
      }
    })
  )

  it.live("the program's client keeps its own retries", () =>
    Effect.gen(function* () {
      const { proxy, table } = yield* setup
      const client = yield* Dynamo.client(proxy.url, { maxAttempts: 3 })
      yield* DynamoDbStorage.makeFromClient({ client, table })
      proxy.asked()
      proxy.rule = () => ({ status: 500, type: "InternalServerError" })
      yield* Effect.exit(Effect.tryPromise(() => client.send(new DescribeTableCommand({ TableName: table }))))
      assert.strictEqual(proxy.asked().length, 3)
    })
  )

  it.live("what is refused for its rate is tried again, within the time there is", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      const { storage } = yield* open()
      // It may not be ready in that time either.
      const impatient = yield* Effect.retry(open({ operationTimeout: "700 millis" }), { times: 20 })
      for (const type of [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TransactionConflictException",
        "ReplicatedWriteConflictException"
      ]) {
        proxy.asked()
        let left = 2
        proxy.rule = () => (left-- > 0 ? { status: 400, type } : "pass")
        assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
        assert.strictEqual(proxy.asked().length, 3)
        proxy.rule = () => ({ status: 400, type })
        const error = yield* Effect.flip(impatient.storage.claim(claimOf("me")))
        // The time may be over within a try, whose answer then is not known.
        const isCut = /did not answer within/.test(error.message)
        assert.deepStrictEqual([error.isRetryable, error.applied], [true, isCut ? "unknown" : "no"])
        assert.include(["Timeout", "Conflict"], error.reason)
        assert.isAbove(proxy.asked().length, 1)
      }
    })
  )

  it.live("an error of the server leaves a write in doubt, and a read is tried again", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      const { storage } = yield* open()
      for (const [status, type] of [
        [500, "InternalServerError"],
        [503, "ServiceUnavailable"],
        [502, "somethingElse"]
      ] as const) {
        proxy.asked()
        let left = 1
        proxy.rule = () => (left-- > 0 ? { status, type } : "pass")
        const error = yield* Effect.flip(storage.claim(claimOf("me")))
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "unknown"])
        left = 1
        yield* storage.get("a")
        assert.deepStrictEqual(proxy.asked(), ["UpdateItem", "GetItem", "GetItem"])
      }
    })
  )

  it.live("a server that hangs ends in a time-out, and the end of the layer ends what is under way", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      const scope = yield* Scope.make()
      const { storage } = yield* Scope.provide(open(), scope)
      const soon = Effect.provideService(Storage.TimeLimit, Duration.millis(500))
      proxy.rule = () => "silent"
      const error = yield* Effect.flip(soon(storage.claim(claimOf("me"))))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Timeout", true, "unknown"])
      const read = yield* Effect.flip(soon(storage.get("a")))
      assert.deepStrictEqual([read.reason, read.applied], ["Timeout", "no"])
      proxy.asked()
      const waiting = yield* Effect.forkChild(Effect.flip(storage.claim(claimOf("me"))))
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => proxy.asked().length > 0 })
      yield* Scope.close(scope, Exit.void)
      assert.include(["Closed", "Timeout"], (yield* Fiber.join(waiting)).reason)
      assert.strictEqual((yield* Effect.flip(storage.claim(claimOf("me")))).reason, "Closed")
    })
  )

  it.live("credentials that change are asked for again when they are refused, within the same call", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      let known = "one"
      let valid = "one"
      let asked = 0
      proxy.rule = (_operation, _body, headers) =>
        String(headers.authorization).includes(`Credential=${valid}/`)
          ? "pass"
          : { status: 400, type: "ExpiredTokenException" }
      const { storage } = yield* open({
        credentials: () => {
          asked++
          return { accessKeyId: known, secretAccessKey: Redacted.make("any") }
        }
      })
      yield* storage.claim(claimOf("me"))
      assert.strictEqual(asked, 1)
      known = valid = "two"
      assert.strictEqual((yield* storage.renew([claimOf("me")]))[0]!._tag, "Renewed")
      assert.strictEqual(asked, 2)
      valid = "three"
      const error = yield* Effect.flip(storage.claim(claimOf("me")))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Permission", true, "no"])
      const fixed = yield* Effect.flip(open())
      assert.strictEqual(fixed._tag, "StorageError")
      if (fixed._tag === "StorageError")
        assert.deepStrictEqual([fixed.reason, fixed.isRetryable], ["Permission", false])
    })
  )

  it.live("a failure to give credentials, or nonsense, is a failure to connect, and says so without telling them", () =>
    Effect.gen(function* () {
      const { open } = yield* setup
      for (const credentials of [
        () => {
          throw new Error("no vault")
        },
        () => ({ accessKeyId: "a", secretAccessKey: "secret-word" as never })
      ]) {
        const error = yield* Effect.flip(open({ credentials }))
        assert.strictEqual(error._tag, "StorageError")
        assert.notInclude(error.message, "secret-word")
      }
    })
  )

  it.live("a global table with eventual consistency is refused, unless it is used in one region", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      yield* open()
      const global = (MultiRegionConsistency?: string) => {
        proxy.rule = (operation) =>
          operation === "DescribeTable"
            ? {
                edit: (body) => ({
                  ...body,
                  Table: {
                    ...body.Table,
                    GlobalTableVersion: "2019.11.21",
                    Replicas: [{ RegionName: "us-east-1", ReplicaStatus: "ACTIVE" }],
                    MultiRegionConsistency
                  }
                })
              }
            : "pass"
      }
      for (const consistency of [undefined, "EVENTUAL"]) {
        global(consistency)
        const error = yield* Effect.flip(open())
        assert.deepStrictEqual([error._tag, "reason" in error && error.reason], ["StorageError", "Schema"])
        assert.include(error.message, "us-east-1")
        assert.include(error.message, "oneRegion")
        const { logged } = yield* warned(open({ oneRegion: true }))
        assert.include(logged, "eventual consistency")
      }
      global("STRONG")
      const { logged } = yield* warned(open())
      assert.strictEqual(logged, "")
    })
  )

  it.live("a table of another key is refused, and a missing one is told for what it is", () =>
    Effect.gen(function* () {
      const { open, table } = yield* setup
      const missing = yield* Effect.flip(open({ setup: false }))
      assert.deepStrictEqual(["reason" in missing && missing.reason], ["Schema"])
      assert.include(missing.message, "ddl")
      yield* server.admin((client) =>
        client.send(
          new CreateTableCommand({
            TableName: table,
            BillingMode: "PAY_PER_REQUEST",
            AttributeDefinitions: [{ AttributeName: "key", AttributeType: "S" }],
            KeySchema: [{ AttributeName: "key", KeyType: "HASH" }]
          })
        )
      )
      assert.include((yield* Effect.flip(open())).message, "the one key `id`")
    })
  )

  it.live("of many that make the table at once, all have it", () =>
    Effect.gen(function* () {
      const { open } = yield* setup
      const all = yield* Effect.forEach(Array.from({ length: 8 }), () => open(), { concurrency: 8 })
      const outcomes = yield* Effect.forEach(all, ({ storage }, i) => storage.claim(claimOf(`owner ${i}`)))
      assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Claimed").length, 1)
    })
  )

  it.live("a table that is being made is waited for", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      let left = 2
      proxy.rule = (operation) =>
        operation === "DescribeTable" && left-- > 0
          ? {
              edit: (body) => (body.Table === undefined ? body : { Table: { ...body.Table, TableStatus: "CREATING" } })
            }
          : "pass"
      yield* open()
      assert.isAbove(proxy.asked().filter((operation) => operation === "DescribeTable").length, 2)
    })
  )

  it.live("the rights are these, and no others", () =>
    Effect.gen(function* () {
      const { open, proxy } = yield* setup
      const allow = (...allowed: ReadonlyArray<string>) => {
        proxy.rule = (operation) =>
          allowed.includes(operation) ? "pass" : { status: 400, type: "AccessDeniedException", message: operation }
      }
      allow("DescribeTable", "CreateTable")
      yield* open()
      allow("DescribeTable", "GetItem", "UpdateItem", "Scan")
      const { storage } = yield* open({ setup: false })
      assert.strictEqual((yield* storage.claim(claimOf("me")))._tag, "Claimed")
      yield* storage.claim(claimOf("you"))
      yield* storage.renew([claimOf("me")])
      yield* storage.get("a")
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 1)
      yield* storage.revoke({ lockId: "a", token: 1, when: "leaseEnd" })
      yield* storage.release(claimOf("me"))
      // Without this one, what it would be good for is not looked at.
      allow("GetItem", "UpdateItem")
      const { logged, value } = yield* warned(open({ setup: false }))
      assert.include(logged, "DescribeTable")
      assert.strictEqual((yield* value.storage.claim(claimOf("me", "b")))._tag, "Claimed")
      const error = yield* Effect.flip(Stream.runDrain(value.storage.list))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Permission", false, "no"])
      allow("DescribeTable", "UpdateItem", "GetItem", "DeleteItem")
      const { versioned } = yield* open({ setup: false })
      yield* versioned.delete("b", 1)
    })
  )

  it.live("a table that was deleted and recreated has no hold of before, and this is told", () =>
    Effect.gen(function* () {
      const { open, proxy, table } = yield* setup
      let TableId = "one"
      // DynamoDB Local gives none.
      proxy.rule = (operation) =>
        operation === "DescribeTable"
          ? { edit: (body) => (body.Table === undefined ? body : { Table: { ...body.Table, TableId } }) }
          : "pass"
      const { storage } = yield* open()
      yield* storage.claim(claimOf("me"))
      yield* server.admin((client) => client.send(new DeleteTableCommand({ TableName: table })))
      const gone = yield* Effect.flip(storage.renew([claimOf("me")]))
      assert.deepStrictEqual([gone.reason, gone.isRetryable, gone.applied], ["Schema", false, "no"])
      yield* server.admin((client) => created(client, table))
      TableId = "two"
      const { logged, value } = yield* warned(storage.renew([claimOf("me")]))
      assert.deepStrictEqual(value, [{ _tag: "NotHeld" }])
      assert.include(logged, "another one than before")
      const again = yield* warned(storage.renew([claimOf("me")]))
      assert.strictEqual(again.logged, "")
      assert.strictEqual((yield* storage.claim(claimOf("you")))._tag, "Claimed")
    })
  )

  it.live("an item that is no record, or of a newer format, is left alone, and the others are served", () =>
    Effect.gen(function* () {
      const { open, table } = yield* setup
      const { storage } = yield* open()
      yield* storage.claim(claimOf("me", "newer"))
      yield* server.admin(async (client) => {
        await client.send(new PutItemCommand({ TableName: table, Item: { id: { S: "foreign" }, any: { S: "thing" } } }))
        await client.send(
          new UpdateItemCommand({
            TableName: table,
            Key: { id: { S: "newer" } },
            UpdateExpression: "SET #f = :f, holds = :h",
            ExpressionAttributeNames: { "#f": "format" },
            ExpressionAttributeValues: { ":f": { N: "2" }, ":h": { L: [] } }
          })
        )
      })
      for (const [lockId, words] of [
        ["foreign", "no record of a lock"],
        ["newer", "update effect-storage-lock"]
      ] as const) {
        const other = (yield* open()).storage
        const error = yield* Effect.flip(other.claim(claimOf("you", lockId)))
        assert.deepStrictEqual([error.reason, error.isRetryable], ["Schema", false])
        assert.include(error.message, words)
      }
      const found = yield* server.admin((client) =>
        client.send(new GetItemCommand({ TableName: table, Key: { id: { S: "foreign" } } }))
      )
      assert.deepStrictEqual(Object.keys(found.Item!).sort(), ["any", "id"])
      yield* storage.claim(claimOf("me"))
      const answers = yield* storage.renew([claimOf("me", "foreign"), claimOf("me")])
      assert.deepStrictEqual(
        answers.map(({ _tag }) => _tag),
        ["StorageError", "Renewed"]
      )
    })
  )

  it.live("attributes that others have added stay, and ids of 2048 bytes come back whole", () =>
    Effect.gen(function* () {
      const { open, table } = yield* setup
      const { storage } = yield* open()
      const lockId = "é".repeat(1024)
      yield* storage.claim(claimOf("me", lockId))
      yield* server.admin((client) =>
        client.send(
          new UpdateItemCommand({
            TableName: table,
            Key: { id: { S: lockId } },
            UpdateExpression: "SET note = :n",
            ExpressionAttributeValues: { ":n": { S: "ours" } }
          })
        )
      )
      yield* storage.renew([claimOf("me", lockId)])
      const [snapshot] = yield* Stream.runCollect(storage.list)
      assert.strictEqual(snapshot!.record.lockId, lockId)
      yield* storage.release(claimOf("me", lockId))
      const found = yield* server.admin((client) =>
        client.send(new GetItemCommand({ TableName: table, Key: { id: { S: lockId } } }))
      )
      assert.strictEqual(found.Item!.note?.S, "ours")
    })
  )
})
