/** What ElasticsearchStorage refuses before any I/O, and what it says of it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as configs from "#harness/configs"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import { refusals } from "../support/refusals.js"

const secret = "sesame"
/** Nothing listens there, so what tried to connect would fail otherwise, and later. */
const url = Redacted.make("http://127.0.0.1:1")

const { refuse, refused } = refusals(secret, ElasticsearchStorage.make)

describe("options", () => {
  it.effect("a URL that cannot be one is told without what stands in it", () =>
    Effect.gen(function* () {
      for (const text of [
        "",
        "localhost:9200",
        "http://",
        "etcd://a",
        "https://u@h",
        "https://:sesame@h",
        "https://u:se/same@h",
        "https://u:sesame@x@h",
        "https://u:%zz@h",
        "https://h:0",
        "https://h:99999",
        "https://a,,b",
        "https://h?sesame",
        "https://h#sesame"
      ])
        yield* refuse({ url: Redacted.make(text) }, "url")
      yield* refuse({}, "url")
      yield* refuse({ url: `https://u:${secret}@h` }, "url")
      yield* refuse({ url: Redacted.make(7) }, "url")
      const error = yield* Effect.flip(
        Effect.scoped(ElasticsearchStorage.make({ url: Redacted.make(`https://u:${secret}@h:9200/?sslmode=off`) }))
      )
      assert.include(String(error), '"sslmode"')
      assert.notInclude(String(error), secret)
    })
  )

  it.effect("one way to say who asks", () =>
    Effect.gen(function* () {
      const user = { name: "u", password: Redacted.make(secret) }
      const apiKey = Redacted.make(secret)
      yield* refuse({ url: Redacted.make(`http://u:${secret}@h`), user }, "user")
      yield* refuse({ url: Redacted.make(`http://u:${secret}@h`), apiKey }, "apiKey")
      yield* refuse({ url, user, apiKey }, "apiKey")
      for (const bad of [5, { name: "u" }, { name: "", password: user.password }, { name: "u", password: secret }])
        yield* refuse({ url, user: bad }, "user")
      yield* refuse({ url, user: { ...user, nick: "x" } }, "user.nick")
      for (const bad of [secret, Redacted.make(""), Redacted.make(`${secret}\r\nx: y`)])
        yield* refuse({ url, apiKey: bad }, "apiKey")
    })
  )

  it.effect("certificates that can be read, and only where there is TLS", () =>
    Effect.gen(function* () {
      yield* refuse({ url, tls: {} }, "tls")
      yield* refuse({ url, tls: () => ({}) }, "tls")
      const secure = Redacted.make("https://127.0.0.1:1")
      yield* refuse({ url: secure, tls: { ca: 5 } }, "tls.ca")
      yield* refuse({ url: secure, tls: { ca: "x", cert: "x" } }, "tls")
      yield* refuse({ url: secure, tls: { cert: "x", key: secret } }, "tls.key")
      yield* refuse({ url: secure, tls: { cert: "x", key: Redacted.make(secret) } }, "tls")
      yield* refuse({ url: secure, tls: { keys: 1 } }, "tls.keys")
    })
  )

  it.effect("names, modes, times and flags", () =>
    Effect.gen(function* () {
      for (const index of ["", "Upper", "_x", "a*", "a,b", "a/b", "x".repeat(241), 5, "é"])
        yield* refuse({ url, index }, "index")
      yield* refuse({ url, mode: "fast" }, "mode")
      yield* refuse({ url, setup: "no" }, "setup")
      for (const operationTimeout of [0, -1, Number.NaN, "soon", "2 days"])
        yield* refuse({ url, operationTimeout }, "operationTimeout")
      yield* refuse({ url, versionMissRetry: 3 }, "versionMissRetry")
      yield* refuse({ url, poolSize: 0 }, "poolSize")
      yield* refuse({ url, indx: "a" }, "indx")
      assert.throws(() => ElasticsearchStorage.ddl({ index: "A" }), /index/)
    })
  )

  it.effect("the same for the program's client, which has no certificates and no pool of ours", () =>
    Effect.gen(function* () {
      for (const [options, field] of [
        [{ tls: {} }, "tls"],
        [{ poolSize: 4 }, "poolSize"],
        [{ index: "A" }, "index"],
        [{ url: "http://h" }, "url"]
      ] as const)
        refused(yield* Effect.flip(Effect.scoped(ElasticsearchStorage.makeFromClient(options as never))), field)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.effect("layerConfig reads the URL as a secret", () =>
    Effect.gen(function* () {
      const Config = yield* Effect.promise(() => import("#harness/Config"))
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(ElasticsearchStorage.layerConfig({ url: Config.Redacted("SEARCH_URL") })))
      ).pipe(Effect.provide(configs.from({ SEARCH_URL: `https://app:${secret}@host:0` })))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "host or port")
      assert.notInclude(JSON.stringify(exit), secret)
    })
  )
})
