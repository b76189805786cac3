/** What SplunkStorage refuses before any I/O, what it says of it, and what it prints. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as configs from "#harness/configs"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import { refusals } from "../support/refusals.js"

const secret = "sesame"
/** Nothing listens there, so what tried to connect would fail otherwise, and later. */
const url = Redacted.make("http://127.0.0.1:1")

const { refuse, refused } = refusals(secret, SplunkStorage.make)

describe("options", () => {
  it.effect("a URL is of HTTP and of one host, and is told without what stands in it", () =>
    Effect.gen(function* () {
      for (const text of [
        "",
        "localhost:8089",
        "splunk://a",
        "https://u@h",
        `https://u:${secret}@x@h`,
        "https://h:0",
        "https://a,b",
        "https://h?sesame",
        `https://u:${secret}@h/?sslmode=off`
      ])
        yield* refuse({ url: Redacted.make(text) }, "url")
      yield* refuse({}, "url")
      yield* refuse({ url: `https://u:${secret}@h` }, "url")
      yield* refuse({ url: Redacted.make("https://a,b"), user: () => ({}) }, "url")
    })
  )

  it.effect("one way to say who asks", () =>
    Effect.gen(function* () {
      const user = { name: "u", password: Redacted.make(secret) }
      const token = Redacted.make(secret)
      yield* refuse({ url: Redacted.make(`http://u:${secret}@h`), user }, "user")
      yield* refuse({ url: Redacted.make(`http://u:${secret}@h`), token }, "token")
      yield* refuse({ url, user, token }, "token")
      for (const bad of [5, { name: "u" }, { name: "", password: user.password }, { name: "u", password: secret }])
        yield* refuse({ url, user: bad }, "user")
      yield* refuse({ url, user: { ...user, nick: "x" } }, "user.nick")
      for (const bad of [secret, Redacted.make(""), Redacted.make(`${secret}\r\nx: y`)])
        yield* refuse({ url, token: bad }, "token")
    })
  )

  it.effect("names, certificates, times and flags", () =>
    Effect.gen(function* () {
      for (const app of ["", "-", "a/b", "..", "x".repeat(101), 5]) yield* refuse({ url, app }, "app")
      for (const owner of ["", "-", "a b", "a/b", "é"]) yield* refuse({ url, owner }, "owner")
      for (const collection of ["", "_x", "a.b", "a/b", "x".repeat(65), 5])
        yield* refuse({ url, collection }, "collection")
      yield* refuse({ url, setup: "no" }, "setup")
      yield* refuse({ url, tls: {} }, "tls")
      yield* refuse({ url: Redacted.make("https://127.0.0.1:1"), tls: { ca: 5 } }, "tls.ca")
      for (const operationTimeout of [0, -1, Number.NaN, "soon", "2 days"])
        yield* refuse({ url, operationTimeout }, "operationTimeout")
      yield* refuse({ url, versionMissRetry: 3 }, "versionMissRetry")
      yield* refuse({ url, poolSize: 0 }, "poolSize")
      yield* refuse({ url, colection: "a" }, "colection")
    })
  )

  it.effect("the same for the program's client, which has no certificates and no pool of ours", () =>
    Effect.gen(function* () {
      for (const [options, field] of [
        [{ tls: {} }, "tls"],
        [{ poolSize: 4 }, "poolSize"],
        [{ app: "-" }, "app"],
        [{ url: "http://h" }, "url"]
      ] as const)
        refused(yield* Effect.flip(Effect.scoped(SplunkStorage.makeFromClient(options as never))), field)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.effect("layerConfig reads URL and token as secrets", () =>
    Effect.gen(function* () {
      const Config = yield* Effect.promise(() => import("#harness/Config"))
      const exit = yield* Effect.exit(
        Effect.scoped(
          Layer.build(
            SplunkStorage.layerConfig({ url: Config.Redacted("SPLUNK_URL"), token: Config.Redacted("SPLUNK_TOKEN") })
          )
        )
      ).pipe(Effect.provide(configs.from({ SPLUNK_URL: "http://host:0", SPLUNK_TOKEN: secret })))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "host or port")
      assert.notInclude(JSON.stringify(exit), secret)
    })
  )
})

describe("what is printed", () => {
  it("is the collection as files have it, and who may use it", () => {
    assert.strictEqual(
      SplunkStorage.ddl(),
      [
        "[storage_lock]",
        "enforceTypes = true",
        "replicate = false",
        "field.lock = string",
        "field.seq = number",
        "field.id = string",
        "field.record = string",
        "field.by = string",
        "field.at = number",
        'accelerated_fields.newest = {"lock":1,"seq":-1}',
        ""
      ].join("\n")
    )
    assert.strictEqual(
      SplunkStorage.metadata({ collection: "locks" }, "lock_user"),
      "[collections/locks]\naccess = read : [ lock_user ], write : [ lock_user ]\nexport = none\n"
    )
  })

  it("for names alone", () => {
    assert.throws(() => SplunkStorage.ddl({ collection: "a]\n[b" }), /collection/)
    assert.throws(() => SplunkStorage.ddl({ colection: "a" } as never), /did you mean collection/)
    for (const role of ["", "*", "a ], write : [ *", undefined])
      assert.throws(() => SplunkStorage.metadata({}, role as never), /role/)
  })
})
