/** What DynamoDbStorage takes as options, refuses before any I/O, and prints. */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as DynamoDbStorage from "../../src/backends/dynamodb/DynamoDbStorage.js"
import { fromDriver } from "../../src/backends/dynamodb/errors.js"
import { InvalidOptions } from "../../src/LockError.js"

const credentials = { accessKeyId: "any", secretAccessKey: Redacted.make("any") }
const right = { region: "local", endpoint: "http://127.0.0.1:1", credentials }

const fieldOf = (options: object) =>
  Effect.map(Effect.flip(DynamoDbStorage.make(options as DynamoDbStorage.Options)), (error) =>
    error instanceof InvalidOptions ? error.field : error.reason
  )

describe("options", () => {
  it.live("are checked before any I/O, and each fault names its field", () =>
    Effect.gen(function* () {
      for (const [field, options] of [
        ["table", { table: "ab" }],
        ["table", { table: "a b c" }],
        ["table", { table: 5 }],
        ["setup", { setup: "yes" }],
        ["oneRegion", { oneRegion: 1 }],
        ["operationTimeout", { operationTimeout: -1 }],
        ["versionMissRetry", { versionMissRetry: 3 }],
        ["region", { region: "EU Central" }],
        ["region", { region: "" }],
        ["endpoint", { endpoint: "localhost:8000" }],
        ["endpoint", { endpoint: "http://user:password@localhost" }],
        ["credentials", { credentials: "key" }],
        ["credentials.accessKeyId", { credentials: { ...credentials, accessKeyId: "" } }],
        ["credentials.secretAccessKey", { credentials: { ...credentials, secretAccessKey: "bare" } }],
        ["credentials.sessionToken", { credentials: { ...credentials, sessionToken: "bare" } }],
        ["credentials.token", { credentials: { ...credentials, token: "x" } }],
        ["tabel", { tabel: "x" }]
      ] as const)
        assert.strictEqual(yield* fieldOf({ ...right, ...options }), field)
    })
  )

  it.live("no secret is told by a fault", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        DynamoDbStorage.make({ ...right, credentials: { ...credentials, secretAccessKey: "secret-word" as never } })
      )
      assert.notInclude(error.message, "secret-word")
    })
  )

  it.live("without a region it is a fault of the options, and nothing is sent", () =>
    Effect.gen(function* () {
      const names = [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE"
      ]
      const before = names.map((name) => process.env[name])
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          for (const name of names) delete process.env[name]
          process.env.AWS_CONFIG_FILE = process.env.AWS_SHARED_CREDENTIALS_FILE = "/nonexistent/config"
        }),
        () =>
          Effect.sync(() =>
            names.forEach((name, i) => {
              if (before[i] === undefined) delete process.env[name]
              else process.env[name] = before[i]
            })
          )
      )
      assert.strictEqual(yield* fieldOf({ credentials, endpoint: right.endpoint }), "region")
      const client = new DynamoDBClient({ endpoint: right.endpoint })
      const error = yield* Effect.flip(DynamoDbStorage.makeFromClient({ client }))
      assert.deepStrictEqual(["field" in error && error.field], ["client"])
      process.env.AWS_REGION = "eu-central-1"
      assert.strictEqual(yield* fieldOf({ credentials, endpoint: right.endpoint }), "Connection")
    })
  )

  it.live("a client has to be one", () =>
    Effect.gen(function* () {
      for (const client of [undefined, {}, { send: () => {} }]) {
        const error = yield* Effect.flip(DynamoDbStorage.makeFromClient({ client: client as never }))
        assert.deepStrictEqual(["field" in error && error.field], ["client"])
      }
    })
  )
})

describe("the table as text", () => {
  it("is a resource of CloudFormation, and a construct of the CDK", () => {
    assert.include(DynamoDbStorage.ddl(), "TableName: storage_lock")
    const text = DynamoDbStorage.ddl({ table: "locks" })
    for (const part of [
      "AWS::DynamoDB::Table",
      "TableName: locks",
      "PAY_PER_REQUEST",
      "AttributeName: id",
      "KeyType: HASH"
    ])
      assert.include(text, part)
    for (const part of ['tableName: "locks"', 'name: "id"', "AttributeType.STRING", "RETAIN"])
      assert.include(DynamoDbStorage.cdk({ table: "locks" }), part)
    assert.throws(() => DynamoDbStorage.ddl({ table: "a b" }), InvalidOptions)
    assert.throws(() => DynamoDbStorage.cdk({ tabel: "locks" } as never), InvalidOptions)
  })
})

describe("errors", () => {
  it("are judged by their codes", () => {
    const judged = (error: object, kind: "reads" | "writes" = "writes") => {
      const { applied, isRetryable, reason } = fromDriver("claim", error, kind)
      return [reason, isRetryable, applied]
    }
    for (const [name, expected] of [
      ["ProvisionedThroughputExceededException", ["Timeout", true, "no"]],
      ["TransactionConflictException", ["Conflict", true, "no"]],
      ["InternalServerError", ["Connection", true, "unknown"]],
      ["ResourceNotFoundException", ["Schema", false, "no"]],
      ["ValidationException", ["Unknown", false, "no"]],
      ["AccessDeniedException", ["Permission", false, "no"]],
      ["UnrecognizedClientException", ["Permission", false, "no"]],
      ["SomethingNew", ["Unknown", false, "unknown"]]
    ] as const)
      assert.deepStrictEqual(judged({ name }), [...expected])
    // The SDK calls a connection that was reset a TimeoutError.
    assert.deepStrictEqual(judged({ name: "TimeoutError", code: "ECONNRESET" }), ["Connection", true, "unknown"])
    assert.deepStrictEqual(judged({ name: "Error", code: "ECONNREFUSED" }), ["Connection", true, "no"])
    assert.deepStrictEqual(judged({ name: "New", $metadata: { httpStatusCode: 429 } }), ["Timeout", true, "no"])
    assert.deepStrictEqual(judged({ name: "New", $metadata: { httpStatusCode: 418 } }), ["Unknown", false, "no"])
    assert.deepStrictEqual(judged({ name: "New", $metadata: { httpStatusCode: 599 } }), ["Connection", true, "unknown"])
    assert.deepStrictEqual(judged({ name: "InternalServerError" }, "reads"), ["Connection", true, "no"])
    for (const odd of [null, undefined, "text", 5])
      assert.strictEqual(fromDriver("claim", odd, "writes").reason, "Unknown")
  })
})
