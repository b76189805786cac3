/** What MongoStorage refuses before it does anything, what it finds out at start, and what it makes of the driver's errors. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as configs from "#harness/configs"
import * as logs from "#harness/logs"
import { BSON, MongoClient, MongoNetworkError, MongoServerError } from "mongodb"
import { Aggregator } from "mingo/aggregator"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as errors from "../../src/backends/mongo/errors.js"
import type { Document } from "../../src/backends/mongo/executor.js"
import * as ports from "../../src/backends/mongo/ports.js"
import * as wakeUps from "../../src/backends/mongo/wakeUps.js"
import * as Evaluator from "../harness/mongoEvaluator.js"

const secret = "s3cr3t-pass"
/** Nothing listens there, so what tried to connect would fail otherwise, and later. */
const url = Redacted.make(`mongodb://app:${secret}@127.0.0.1:1/app`)

describe("options", () => {
  const refused = (name: string, field: string, options: object) =>
    it.effect(name, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Effect.scoped(MongoStorage.make({ url, ...options })))
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual((error as { field?: string }).field, field)
        assert.notInclude(String(error) + JSON.stringify(error), secret)
      })
    )
  refused("a URL that is not Redacted", "url", { url: `mongodb://app:${secret}@host/app` })
  refused("a Redacted of something else", "url", { url: Redacted.make(7) })
  refused("no URL at all", "url", { url: undefined })
  refused("a URL of something else", "url", { url: Redacted.make(`postgres://app:${secret}@host/app`) })
  refused("a URL that the driver cannot read", "url", {
    url: Redacted.make(`mongodb://app:${secret}@host:99999999/app?w=`)
  })
  refused("a URL with an unknown parameter", "url", {
    url: Redacted.make(`mongodb://app:${secret}@host/app?nonsense=1`)
  })
  refused("a raw @ in the password", "url", { url: Redacted.make(`mongodb://app:${secret}@@host/app`) })
  refused("no database", "database", { url: Redacted.make(`mongodb://app:${secret}@host`) })
  refused("no database before parameters", "database", {
    url: Redacted.make(`mongodb://app:${secret}@host/?authSource=admin`)
  })
  refused("a database that MongoDB does not take", "database", { database: "a.b" })
  refused("a collection of the system's", "collection", { collection: "system.users" })
  refused("a collection with a dollar", "collection", { collection: "a$b" })
  refused("an empty collection", "collection", { collection: "" })
  refused("an unknown mode", "mode", { mode: "fast" })
  refused("wakeUps that are no flag", "wakeUps", { wakeUps: "yes" })
  refused("no connections", "poolSize", { poolSize: 0 })
  refused("no time", "operationTimeout", { operationTimeout: 0 })
  refused("a retry that is no Schedule", "versionMissRetry", { versionMissRetry: 3 })

  it.effect("a client that is none, and none of its databases", () =>
    Effect.gen(function* () {
      const bad = yield* Effect.flip(
        Effect.scoped(MongoStorage.makeFromClient({ client: {} as never, database: "app" }))
      )
      assert.deepInclude(bad, { _tag: "InvalidOptions", field: "client" })
      const client = new MongoClient("mongodb://127.0.0.1:1")
      const none = yield* Effect.flip(
        Effect.scoped(MongoStorage.makeFromClient({ client, database: undefined as never }))
      )
      assert.deepInclude(none, { _tag: "InvalidOptions", field: "database" })
    })
  )

  it.effect("layerConfig reads the URL as a secret", () =>
    Effect.gen(function* () {
      const Config = yield* Effect.promise(() => import("#harness/Config"))
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(MongoStorage.layerConfig({ url: Config.Redacted("MONGODB_URL") })))
      ).pipe(Effect.provide(configs.from({ MONGODB_URL: `mongodb://app:${secret}@host` })))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "database")
      assert.notInclude(JSON.stringify(exit), secret)
    })
  )
})

describe("errors", () => {
  const server = (response: object) =>
    new MongoServerError({ ok: 0, errmsg: `said of mongodb://app:${secret}@host/app`, ...response })
  const cases: ReadonlyArray<readonly [string, unknown, object]> = [
    ["no right", server({ code: 13 }), { reason: "Permission", isRetryable: false, applied: "no" }],
    ["a wrong password", server({ code: 18 }), { reason: "Permission", isRetryable: false, applied: "no" }],
    [
      "Atlas, of who we are",
      server({ code: 8000, errorLabels: ["HandshakeError"] }),
      { reason: "Permission", isRetryable: false, applied: "no" }
    ],
    ["Atlas, of a quota", server({ code: 8000 }), { reason: "Unknown", isRetryable: true, applied: "no" }],
    ["a full disk", server({ code: 14031 }), { reason: "Unknown", isRetryable: true, applied: "no" }],
    [
      "a pool that was cleared before the command went out",
      { name: "MongoPoolClearedError", message: "x" },
      { reason: "Connection", isRetryable: true, applied: "no" }
    ],
    [
      "a client that is not connected",
      { name: "MongoNotConnectedError", message: "x" },
      { reason: "Connection", isRetryable: true, applied: "no" }
    ],
    ["a duplicate key", server({ code: 11000 }), { reason: "Conflict", isRetryable: true, applied: "no" }],
    ["a write conflict", server({ code: 112 }), { reason: "Conflict", isRetryable: true, applied: "no" }],
    [
      "a new primary that does not know yet what a majority has",
      server({ code: 134 }),
      { reason: "Connection", isRetryable: true, applied: "no" }
    ],
    ["a full cache", server({ code: 365 }), { reason: "Connection", isRetryable: true, applied: "no" }],
    ["no majority reads", server({ code: 148 }), { reason: "Schema", isRetryable: false, applied: "no" }],
    ["no primary any more", server({ code: 10107 }), { reason: "Connection", isRetryable: true, applied: "no" }],
    [
      "a primary that steps down meanwhile",
      server({ code: 11602, errorLabels: ["RetryableWriteError"] }),
      { reason: "Connection", isRetryable: true, applied: "unknown" }
    ],
    ["a shutdown", server({ code: 91 }), { reason: "Connection", isRetryable: true, applied: "unknown" }],
    ["the time limit", server({ code: 50 }), { reason: "Timeout", isRetryable: true, applied: "unknown" }],
    [
      "a majority that did not answer",
      server({ code: 64 }),
      { reason: "Timeout", isRetryable: true, applied: "unknown" }
    ],
    [
      "no writes were performed",
      server({ code: 91, errorLabels: ["NoWritesPerformed"] }),
      { reason: "Connection", applied: "no" }
    ],
    ["a validator", server({ code: 121 }), { reason: "Schema", isRetryable: false, applied: "no" }],
    ["an unknown code", server({ code: 424242 }), { reason: "Unknown", isRetryable: false, applied: "unknown" }],
    [
      "an unknown code that may be repeated",
      server({ code: 424242, errorLabels: ["RetryableWriteError"] }),
      { reason: "Unknown", isRetryable: true, applied: "unknown" }
    ],
    ["no code", server({}), { reason: "Unknown", isRetryable: false, applied: "unknown" }],
    [
      "a broken connection",
      new MongoNetworkError("x"),
      { reason: "Connection", isRetryable: true, applied: "unknown" }
    ],
    [
      "a connection that did not come about",
      new MongoNetworkError("x", { beforeHandshake: true }),
      { reason: "Connection", applied: "no" }
    ],
    [
      "no server",
      { name: "MongoServerSelectionError", message: "x" },
      { reason: "Connection", isRetryable: true, applied: "no" }
    ],
    [
      "no connection free",
      { name: "MongoWaitQueueTimeoutError", message: "x" },
      { reason: "Timeout", isRetryable: true, applied: "no" }
    ],
    [
      "a silent connection",
      { name: "MongoNetworkTimeoutError", message: "x" },
      { reason: "Timeout", isRetryable: true, applied: "unknown" }
    ],
    [
      "a closed client",
      { name: "MongoClientClosedError", message: "x" },
      { reason: "Connection", isRetryable: true, applied: "unknown" }
    ],
    ["a thing that is no error", "x", { reason: "Unknown", applied: "unknown" }]
  ]
  for (const [name, thrown, expected] of cases) {
    it(name, () => {
      const error = errors.fromDriver("claim", thrown)
      assert.deepInclude({ ...error, operation: error.operation }, { operation: "MongoStorage.claim", ...expected })
      assert.notInclude(error.message + String(error.cause) + (error.cause as Error).stack, secret)
    })
  }

  it("what was done before a majority failed to acknowledge it was perhaps applied", () => {
    assert.strictEqual(errors.fromDriver("claim", server({ code: 10107 }), "afterwards").applied, "unknown")
  })
})

describe("at start", () => {
  const settings = {
    database: "app",
    collection: "locks",
    operationTimeout: 5_000,
    mode: "auto",
    wakeUps: false,
    versionMissRetry: VersionedStore.defaultVersionMissRetry
  } as const
  const start = (
    prepare: (evaluator: Evaluator.Evaluator) => void,
    change: object = {},
    config: Evaluator.Evaluator = Evaluator.make()
  ) => {
    const evaluator = Evaluator.make()
    prepare(evaluator)
    const sent: Array<Document> = []
    const recording = {
      run: (operation: string, command: Document, millis: number) => {
        sent.push(command)
        return evaluator.run(operation, command, millis)
      }
    }
    const lines: Array<string> = []
    const logger = logs.to(({ level, message }) => void lines.push(`${level} ${message}`))
    return ports.over(recording, config, { ...settings, ...change }, undefined).pipe(
      Effect.result,
      Effect.map((result) => ({ result, lines, sent, evaluator })),
      Effect.provide(logger)
    )
  }

  for (const [name, info] of [
    ["a view", { type: "view" }],
    ["a time series", { type: "timeseries" }],
    ["a capped collection", { type: "collection", options: { capped: true } }],
    ["a collation", { type: "collection", options: { collation: { locale: "de", strength: 1 } } }]
  ] as const) {
    it.effect(`${name} is refused`, () =>
      Effect.gen(function* () {
        const { evaluator, result } = yield* start(
          (evaluator) => (evaluator.collectionInfo = [{ name: "locks", ...info }])
        )
        assert.isTrue(result._tag === "Failure" && result.failure.reason === "Schema" && !result.failure.isRetryable)
        assert.strictEqual(evaluator.writes, 0)
      })
    )
  }

  it.effect("a plain collection is taken, also one with the simple collation named", () =>
    Effect.gen(function* () {
      for (const options of [{}, { collation: { locale: "simple" } }]) {
        const { lines, result } = yield* start(
          (evaluator) => (evaluator.collectionInfo = [{ name: "locks", type: "collection", options }])
        )
        assert.isTrue(result._tag === "Success" && result.success.mode === "pipeline")
        assert.deepStrictEqual(lines, [])
      }
    })
  )

  it.effect("who may not list collections is warned, and served", () =>
    Effect.gen(function* () {
      const { lines, result } = yield* start((evaluator) => {
        const run = evaluator.run
        Object.assign(evaluator, {
          run: (operation: string, command: Document, millis: number) =>
            "listCollections" in command
              ? errors.fromDriver(operation, { name: "MongoServerError", code: 13, message: "not authorized" })
              : run(operation, command, millis)
        })
      })
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warning MongoStorage: cannot check/)
    })
  )

  it.effect("through a router, only a collection that is sharded by its _id, or not at all", () =>
    Effect.gen(function* () {
      const router = (evaluator: Evaluator.Evaluator) => void (evaluator.hello = { msg: "isdbgrid" })
      const sharded = (key: object) => {
        const config = Evaluator.make()
        config.documents.set("app.locks", { _id: "app.locks", key })
        return config
      }
      const wrong = yield* start(router, {}, sharded({ tenant: 1 }))
      assert.isTrue(wrong.result._tag === "Failure" && wrong.result.failure.reason === "Schema")
      assert.strictEqual(wrong.evaluator.writes, 0)
      for (const config of [sharded({ _id: 1 }), sharded({ _id: "hashed" }), Evaluator.make()]) {
        assert.strictEqual((yield* start(router, {}, config)).result._tag, "Success")
      }
    })
  )

  it.effect("a replica set is asked for what a majority has, and writes are for a majority", () =>
    Effect.gen(function* () {
      const { result, sent } = yield* start((evaluator) => (evaluator.hello = { setName: "rs0" }))
      if (result._tag === "Failure") return assert.fail("it does not start")
      const { storage, versioned } = result.success
      yield* storage.claim({ lockId: "a", ownerId: "me", holdId: "h1", lease: 1_000_000 })
      yield* storage.renew([
        { lockId: "a", holdId: "h1", lease: 1_000_000 },
        { lockId: "b", holdId: "h1", lease: 1_000_000 }
      ])
      yield* storage.release({ lockId: "a", holdId: "h1" })
      yield* storage.get("a")
      yield* storage.purge(0)
      yield* versioned.get("a")
      for (const command of sent) {
        if ("find" in command) assert.deepEqual(command.readConcern, { level: "majority" })
        if (["findAndModify", "update", "insert", "delete"].some((name) => name in command)) {
          assert.deepEqual(command.writeConcern, { w: "majority", j: true })
        }
      }
    })
  )

  it.effect("the trial writes once, and not again", () =>
    Effect.gen(function* () {
      const { evaluator } = yield* start(() => {})
      assert.strictEqual(evaluator.writes, 1)
      yield* ports.over(evaluator, evaluator, settings, undefined)
      assert.strictEqual(evaluator.writes, 1)
    })
  )

  it.effect("a server that takes pipelines and does not compute with them is found out", () =>
    Effect.gen(function* () {
      const right = {
        _id: 0,
        collection: "effect-storage-lock",
        list: ["$a", "$$b"],
        now: new Date(),
        later: true,
        made: { left: 2, right: 5, none: 7 }
      }
      const wrong = [
        null,
        { _id: 0 },
        { ...right, now: "$$NOW" },
        { ...right, later: false },
        { ...right, list: ["$a"] },
        { ...right, made: { ...right.made, right: 9 } },
        { ...right, made: undefined }
      ]
      for (const value of wrong) {
        const { lines, result } = yield* start((evaluator) => {
          const run = evaluator.run
          Object.assign(evaluator, {
            run: (operation: string, command: Document, millis: number) =>
              "findAndModify" in command ? Effect.succeed({ value }) : run(operation, command, millis)
          })
        })
        assert.isTrue(result._tag === "Success" && result.success.mode === "versioned")
        assert.match(lines[0]!, /^Warning MongoStorage: this server cannot be trusted to run update pipelines/)
      }
    })
  )

  it.effect("nor may it compute otherwise when it reads", () =>
    Effect.gen(function* () {
      for (const answer of [{ cursor: { firstBatch: [] } }, { cursor: { firstBatch: [{ _id: 0, now: "$$NOW" }] } }]) {
        const { result } = yield* start((evaluator) => {
          const run = evaluator.run
          Object.assign(evaluator, {
            run: (operation: string, command: Document, millis: number) =>
              "find" in command ? Effect.succeed(answer) : run(operation, command, millis)
          })
        })
        assert.isTrue(result._tag === "Success" && result.success.mode === "versioned")
      }
    })
  )

  it.effect("what runs pipelines and is not MongoDB is not trusted with upserts that meet", () =>
    Effect.gen(function* () {
      const own = { topologyVersion: undefined }
      const router = yield* start((evaluator) => void (evaluator.hello = own))
      assert.isTrue(router.result._tag === "Success" && router.result.success.mode === "pipeline")
      for (const buildInfo of [{ version: "7.0.0" }, { gitVersion: "unknown", ferretdb: { version: "2.5.0" } }]) {
        const other = (evaluator: Evaluator.Evaluator) => void Object.assign(evaluator, { hello: own, buildInfo })
        const { evaluator, lines, result } = yield* start(other)
        assert.isTrue(result._tag === "Success" && result.success.mode === "versioned")
        assert.match(lines[0]!, /^Warning MongoStorage: .* does not show itself as MongoDB/)
        assert.strictEqual(evaluator.writes, 0)
        const forced = yield* start(other, { mode: "pipeline" })
        assert.isTrue(
          forced.result._tag === "Failure" &&
            forced.result.failure.reason === "Schema" &&
            forced.result.failure.message.includes('mode: "auto"')
        )
      }
    })
  )

  it.effect("a server that does not tell what a majority has is refused, not taken for another kind", () =>
    Effect.gen(function* () {
      const { result } = yield* start((evaluator) => {
        const run = evaluator.run
        Object.assign(evaluator, {
          hello: { setName: "rs0" },
          run: (operation: string, command: Document, millis: number) =>
            (command.readConcern as Document | undefined)?.level === "majority"
              ? errors.fromDriver(operation, { name: "MongoServerError", code: 148, message: "not enabled" })
              : run(operation, command, millis)
        })
      })
      assert.isTrue(
        result._tag === "Failure" &&
          result.failure.reason === "Schema" &&
          result.failure.message.includes("enableMajorityReadConcern")
      )
    })
  )

  it.effect("a warning says why in the server's own words", () =>
    Effect.gen(function* () {
      const { lines } = yield* start((evaluator) => {
        const run = evaluator.run
        Object.assign(evaluator, {
          run: (operation: string, command: Document, millis: number) =>
            "findAndModify" in command
              ? errors.fromDriver(operation, { name: "MongoServerError", code: 2, message: "cannot use 'j'" })
              : run(operation, command, millis)
        })
      })
      assert.match(lines[0]!, /cannot use 'j'/)
    })
  )

  it.effect("a clock that is told as milliseconds is one", () =>
    Effect.gen(function* () {
      const { result } = yield* start((evaluator) => void (evaluator.hello = { localTime: 1_700_000_000_123 }), {
        mode: "versioned"
      })
      if (result._tag === "Failure") return assert.fail("it does not start")
      assert.strictEqual(yield* result.success.versioned.time!, 1_700_000_000_123_000)
    })
  )

  it.effect("no right to write, and no answer, are told, not taken for another kind of server", () =>
    Effect.gen(function* () {
      for (const [code, reason] of [
        [13, "Permission"],
        [10107, "Connection"],
        [64, "Timeout"]
      ] as const) {
        const { result } = yield* start((evaluator) => {
          const run = evaluator.run
          Object.assign(evaluator, {
            run: (operation: string, command: Document, millis: number) =>
              "findAndModify" in command
                ? errors.fromDriver(operation, { name: "MongoServerError", code, message: "x" })
                : run(operation, command, millis)
          })
        })
        assert.isTrue(result._tag === "Failure" && result.failure.reason === reason)
      }
    })
  )

  it.effect("a server that does not tell its clock is refused", () =>
    Effect.gen(function* () {
      const { result } = yield* start((evaluator) => (evaluator.hello = { localTime: null }))
      assert.isTrue(result._tag === "Failure" && result.failure.reason === "Schema")
    })
  )
})

describe("wake-ups", () => {
  it("are told of releases alone", () => {
    const id = { _id: { _data: "82" }, documentKey: { _id: "a" } }
    const updated = (updatedFields: object, operationType = "update") => ({
      ...id,
      operationType,
      updateDescription: { updatedFields }
    })
    const replaced = (version: number, wake: number) => ({
      ...id,
      operationType: "replace",
      fullDocument: { _id: "a", version, wake }
    })
    const heard = (event: object) =>
      new Aggregator(wakeUps.pipeline as never, Evaluator.options).run([
        BSON.deserialize(BSON.serialize(event))
      ] as never).length === 1
    assert.isTrue(heard(updated({ holds: [], version: 7, wake: 7 })))
    assert.isTrue(heard(updated({ version: 7, wake: 7 })))
    assert.isTrue(heard(replaced(7, 7)))
    assert.isTrue(heard({ ...id, operationType: "drop" }))
    // A renewal, a claim, a partial release, a purge.
    assert.isFalse(heard(updated({ version: 7, expires: 8 })))
    assert.isFalse(heard(replaced(8, 7)))
    assert.isFalse(heard({ ...id, operationType: "insert", fullDocument: { _id: "a", version: 7, wake: 7 } }))
    assert.isFalse(heard({ ...id, operationType: "delete" }))
  })

  it("what frees a lock is marked so, and nothing else is", () => {
    const evaluator = Evaluator.make()
    const { storage, versioned } = Effect.runSync(
      ports.over(
        evaluator,
        evaluator,
        {
          database: "app",
          collection: "locks",
          operationTimeout: 5_000,
          mode: "auto",
          wakeUps: false,
          versionMissRetry: VersionedStore.defaultVersionMissRetry
        },
        undefined
      )
    )
    const woken = (effect: Effect.Effect<unknown, unknown>) => {
      Effect.runSync(effect)
      const { version, wake } = evaluator.documents.get("a") as { readonly version: number; readonly wake: number }
      return version === wake
    }
    const claim = (holdId: string, ownerId = "me", lease = 1_000_000) =>
      storage.claim({ lockId: "a", ownerId, holdId, lease })
    assert.isFalse(woken(claim("h1")))
    assert.isFalse(woken(claim("h2")))
    assert.isFalse(woken(storage.release({ lockId: "a", holdId: "h1" })))
    assert.isFalse(woken(storage.renew([{ lockId: "a", holdId: "h2", lease: 2_000_000 }])))
    assert.isTrue(woken(storage.release({ lockId: "a", holdId: "h2" })))
    assert.isFalse(woken(claim("h3")))
    const { token } = evaluator.documents.get("a") as { readonly token: number }
    assert.isFalse(woken(storage.revoke({ lockId: "a", token, when: "leaseEnd" })))
    assert.isTrue(woken(storage.revoke({ lockId: "a", token, when: "now" })))
    assert.isFalse(woken(claim("h4")))
    const again = VersionedStore.toStorage(versioned)
    assert.isTrue(woken(again.release({ lockId: "a", holdId: "h4" })))
    assert.isFalse(woken(again.claim({ lockId: "a", ownerId: "me", holdId: "h5", lease: 1_000_000 })))
  })
})
