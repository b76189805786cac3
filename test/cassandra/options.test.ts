/** What CassandraStorage takes as options, refuses before any I/O, and prints; and how errors are judged that no server can be made to give. */
import { Client, errors as driver } from "cassandra-driver"
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import { because, fromDriver } from "../../src/backends/cassandra/errors.js"
import { InvalidOptions } from "../../src/LockError.js"

const url = Redacted.make("cassandra://127.0.0.1:1/locks")

const fieldOf = (made: Effect.Effect<unknown, unknown, never>) =>
  Effect.map(Effect.flip(made), (error) => (error instanceof InvalidOptions ? error.field : error))

const opened = (options: object) => Effect.scoped(CassandraStorage.make(options as CassandraStorage.Options))

describe("options", () => {
  it.live("are checked before any I/O, and each fault names its field", () =>
    Effect.gen(function* () {
      const password = Redacted.make("word")
      for (const [field, options] of [
        ["table", { table: "" }],
        ["table", { table: "a.b" }],
        ["table", { table: 'a"b' }],
        ["table", { table: "x".repeat(49) }],
        ["table", { table: 5 }],
        ["setup", { setup: "yes" }],
        ["serialConsistency", { serialConsistency: "QUORUM" }],
        ["serialConsistency", { serialConsistency: 8 }],
        ["localDataCenter", { serialConsistency: "LOCAL_SERIAL" }],
        ["localDataCenter", { localDataCenter: "" }],
        ["localDataCenter", { localDataCenter: 1 }],
        ["operationTimeout", { operationTimeout: -1 }],
        ["versionMissRetry", { versionMissRetry: 3 }],
        ["user", { user: "me" }],
        ["user", { user: { name: "", password } }],
        ["user", { user: { name: "me", password: "bare" } }],
        ["user.passwort", { user: { name: "me", password, passwort: password } }],
        ["user", { url: Redacted.make("cassandra://a:b@h/locks"), user: { name: "me", password } }],
        ["tls", { tls: {} }],
        ["tls", { tls: { cert: "a" }, url: Redacted.make("cassandras://h/locks") }],
        ["tls.ca", { tls: { ca: 5 }, url: Redacted.make("cassandras://h/locks") }],
        ["tls.key", { tls: { cert: "a", key: "bare" }, url: Redacted.make("cassandras://h/locks") }],
        ["tls.servername", { tls: { servername: "" }, url: Redacted.make("cassandras://h/locks") }],
        ["tls.cacert", { tls: { cacert: "a" }, url: Redacted.make("cassandras://h/locks") }],
        ["keyspce", { keyspce: "x" }],
        ["url", { url: undefined }],
        ["url", { url: "cassandra://h/locks" }]
      ] as const)
        assert.strictEqual(yield* fieldOf(opened({ url, ...options })), field, JSON.stringify(options))
    })
  )

  it.live("a url that is none is refused with what is wrong with it, and nothing of it is told", () =>
    Effect.gen(function* () {
      for (const [text, words] of [
        ["", "empty"],
        ["http://h/locks", "not a URL of Cassandra"],
        ["cassandra://h", "without a keyspace"],
        ["cassandra://h/", "without a keyspace"],
        ["cassandra://h/a-b", "no name"],
        ["cassandra://h/locks/more", "not a URL of Cassandra"],
        ["cassandra://h:0/locks", "host or port"],
        ["cassandra://h:99999/locks", "host or port"],
        ["cassandra://h,/locks", "host or port"],
        ["cassandra://a:9042,b:9043/locks", "several ports"],
        ["cassandra://a,b:9043/locks", "several ports"],
        ["cassandra://me@h/locks", "no password"],
        ["cassandra://me:%zz@h/locks", "percent-encoded"],
        ["cassandra://h/locks?consistency=ONE", '"consistency"'],
        ["cassandra://me:secret-word@h?/locks", "not a URL of Cassandra"]
      ] as const) {
        const error = yield* Effect.flip(opened({ url: Redacted.make(text) }))
        assert.instanceOf(error, InvalidOptions)
        assert.include(error.message, words, text)
        assert.notInclude(error.message, "secret-word")
      }
      // All of these are looked for, and not found.
      for (const text of [
        "cassandra://[::1]:1/locks",
        "cassandra://me:pass%40word@127.0.0.1:1,127.0.0.1:1/Locks",
        "CASSANDRAS://127.0.0.1:1/locks"
      ]) {
        const error = yield* fieldOf(opened({ url: () => Redacted.make(text), operationTimeout: "30 seconds" }))
        assert.propertyVal(error, "reason", "Connection", text)
      }
    })
  )

  it.live("a client has to be one, with a keyspace, and for locks of a data centre with its name", () =>
    Effect.gen(function* () {
      const from = (options: object) =>
        Effect.scoped(CassandraStorage.makeFromClient(options as CassandraStorage.ClientOptions))
      for (const client of [undefined, {}, { execute: () => {}, connect: () => {} }])
        assert.strictEqual(yield* fieldOf(from({ client })), "client")
      const client = new Client({ contactPoints: ["127.0.0.1:1"], localDataCenter: "x" })
      assert.strictEqual(yield* fieldOf(from({ client })), "keyspace")
      assert.strictEqual(yield* fieldOf(from({ client, keyspace: "a.b" })), "keyspace")
      assert.strictEqual(yield* fieldOf(from({ client, localDataCenter: "x" })), "localDataCenter")
      const error = yield* fieldOf(from({ client, keyspace: "locks", operationTimeout: "30 seconds" }))
      assert.propertyVal(error, "reason", "Connection")
      const nowhere = new Client({ contactPoints: ["127.0.0.1:1"], keyspace: "locks" })
      assert.strictEqual(yield* fieldOf(from({ client: nowhere, serialConsistency: "LOCAL_SERIAL" })), "client")
    })
  )
})

describe("the table as text", () => {
  it("is a statement for cqlsh, with the names as they are written", () => {
    assert.match(
      CassandraStorage.ddl(),
      /^CREATE TABLE IF NOT EXISTS "storage_lock" \(id text PRIMARY KEY, record text\) WITH comment = '[^']+';$/
    )
    assert.include(CassandraStorage.ddl({ keyspace: "App", table: "locks" }), '"App"."locks"')
    assert.throws(() => CassandraStorage.ddl({ table: "a b" }), InvalidOptions)
    assert.throws(() => CassandraStorage.ddl({ keyspace: 'a"b' }), InvalidOptions)
    assert.throws(() => CassandraStorage.ddl({ tabel: "locks" } as never), InvalidOptions)
  })
})

describe("errors", () => {
  const judged = (error: unknown, kind: "reads" | "writes" = "writes") => {
    const { applied, isRetryable, reason } = fromDriver("claim", error, kind)
    return [reason, isRetryable, applied]
  }
  const socket = (more: object) => Object.assign(new Error("Socket was closed"), { isSocketError: true, ...more })

  it("of the driver are judged by their names and flags", () => {
    for (const [error, expected] of [
      [new driver.OperationTimedOutError("late"), ["Timeout", true, "unknown"]],
      [socket({}), ["Connection", true, "unknown"]],
      [socket({ requestNotWritten: true }), ["Connection", true, "no"]],
      [new driver.NoHostAvailableError({}), ["Connection", true, "no"]],
      [new driver.BusyConnectionError("h", 1, 1), ["Timeout", true, "no"]],
      [new driver.AuthenticationError("who"), ["Permission", false, "no"]],
      [new driver.ArgumentError("what"), ["Schema", false, "no"]],
      [new driver.NotSupportedError("what"), ["Schema", false, "no"]],
      [new driver.DriverInternalError("what"), ["Unknown", false, "unknown"]],
      [new TypeError("what"), ["Unknown", false, "no"]],
      [new Error("what"), ["Unknown", false, "unknown"]]
    ] as const) {
      assert.deepStrictEqual([String(error), judged(error)], [String(error), [...expected]])
      assert.strictEqual(judged(error, "reads")[2], "no")
    }
    for (const odd of [null, undefined, "text", 5])
      assert.strictEqual(fromDriver("claim", odd, "writes").reason, "Unknown")
  })

  it("of nodes that could not be asked are judged by what was found at each", () => {
    const of = (...inner: ReadonlyArray<unknown>) => new driver.NoHostAvailableError({ ...inner })
    const network = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
    const notNow = ["Connection", true, "no"]
    for (const [error, expected] of [
      [of("Host considered as DOWN"), notNow],
      [of(null), notNow],
      [of(new Error("No connection available")), notNow],
      [of(network, "Host considered as DOWN"), notNow],
      [of(Object.assign(new Error("certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" })), notNow],
      [of(new driver.BusyConnectionError("h", 1, 1)), notNow],
      [of(new driver.ResponseError(0x2500, "unprepared")), notNow],
      [of(network, new driver.AuthenticationError("who")), ["Permission", false, "no"]],
      [of(new driver.ArgumentError("no such data centre"), network), ["Schema", false, "no"]]
    ] as const)
      assert.deepStrictEqual(judged(error), [...expected])
  })

  it("of nodes that are down tell why, and who is asked for again may be another the next time", () => {
    const down = fromDriver("claim", new driver.NoHostAvailableError({ a: "Host considered as DOWN" }), "writes")
    const who = new driver.AuthenticationError("who")
    assert.strictEqual(because("claim", down, undefined, false), down)
    const fixed = because("claim", down, who, false)
    assert.deepStrictEqual([fixed.reason, fixed.isRetryable, fixed.applied], ["Permission", false, "no"])
    const asked = because("claim", down, who, true)
    assert.deepStrictEqual([asked.reason, asked.isRetryable, asked.applied], ["Connection", true, "no"])
    assert.include(asked.message, "who")
    const silent = because("claim", down, new Error("Connection timeout"), false)
    assert.deepStrictEqual([silent.reason, silent.isRetryable], ["Connection", true])
    assert.include(silent.message, "Connection timeout")
  })

  it("hang on to nothing that was given", () => {
    const thrown = Object.assign(new driver.ResponseError(0x2200, "at cassandra://me:secret-word@h"), {
      query: "secret-word",
      coordinator: "secret-word"
    })
    const error = fromDriver("claim", thrown, "writes")
    assert.notInclude(
      JSON.stringify([error.message, error.cause, Object.entries(error.cause as object)]),
      "secret-word"
    )
  })
})
