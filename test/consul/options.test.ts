/** What ConsulStorage refuses before any I/O, and what it says of it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as configs from "#harness/configs"
import * as FetchHttpClient from "#harness/http/FetchHttpClient"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import { refusals } from "../support/refusals.js"

const secret = "sesame"
/** Nothing listens there, so what tried to connect would fail otherwise, and later. */
const url = Redacted.make("http://127.0.0.1:1")

const { refuse, refused } = refusals(secret, ConsulStorage.make)

describe("options", () => {
  it.effect("a URL that cannot be one is told without what stands in it", () =>
    Effect.gen(function* () {
      for (const text of ["", "localhost:8500", "consul://a", "https://u:se/same@h", "https://h:0", "https://h?sesame"])
        yield* refuse({ url: Redacted.make(text) }, "url")
      yield* refuse({}, "url")
      yield* refuse({ url: `https://u:${secret}@h` }, "url")
    })
  )

  it.effect("a token is a secret that a header can bear, also where the url is not known yet", () =>
    Effect.gen(function* () {
      for (const token of [secret, Redacted.make(""), Redacted.make(`${secret}\r\nx: y`), Redacted.make(5)]) {
        yield* refuse({ url, token }, "token")
        yield* refuse({ url: () => url, token }, "token")
      }
    })
  )

  it.effect("certificates that can be read, and only where there is TLS", () =>
    Effect.gen(function* () {
      yield* refuse({ url, tls: {} }, "tls")
      const secure = Redacted.make("https://127.0.0.1:1")
      yield* refuse({ url: secure, tls: { ca: 5 } }, "tls.ca")
      yield* refuse({ url: secure, tls: { cert: "x", key: secret } }, "tls.key")
      yield* refuse({ url: secure, tls: { cert: "x", key: Redacted.make(secret) } }, "tls")
      yield* refuse({ url: secure, tls: { keys: 1 } }, "tls.keys")
    })
  )

  it.effect("prefixes, places, numbers and times", () =>
    Effect.gen(function* () {
      for (const prefix of ["", "/a", "a//b", "a/../b", ".a/", "a b", "é", "a%2F", "a\n", "x".repeat(256), 5])
        yield* refuse({ url, prefix }, "prefix")
      for (const name of ["", "a b", "a&ns=b", 5, "x".repeat(129)]) {
        yield* refuse({ url, datacenter: name }, "datacenter")
        yield* refuse({ url, namespace: name }, "namespace")
      }
      for (const waits of [-1, 101, 1.5, "2"]) yield* refuse({ url, waits }, "waits")
      for (const operationTimeout of [0, Number.NaN, "soon", "2 days"])
        yield* refuse({ url, operationTimeout }, "operationTimeout")
      yield* refuse({ url, versionMissRetry: 3 }, "versionMissRetry")
      yield* refuse({ url, poolSize: 0 }, "poolSize")
      yield* refuse({ url, prefx: "a" }, "prefx")
    })
  )

  it.effect("the same for the program's client, which has no certificates and no pool of ours", () =>
    Effect.gen(function* () {
      for (const [options, field] of [
        [{ tls: {} }, "tls"],
        [{ poolSize: 4 }, "poolSize"],
        [{ prefix: "" }, "prefix"],
        [{ token: secret }, "token"],
        [{ url: "http://h" }, "url"]
      ] as const)
        refused(yield* Effect.flip(Effect.scoped(ConsulStorage.makeFromClient(options as never))), field)
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.effect("the rules of a policy are for a prefix that can be one", () =>
    Effect.sync(() => {
      assert.strictEqual(ConsulStorage.policy(), 'key_prefix "effect-storage-lock/" {\n  policy = "write"\n}\n')
      assert.strictEqual(
        ConsulStorage.policy({ prefix: "a/", namespace: "team" }),
        'namespace "team" {\n  key_prefix "a/" {\n    policy = "write"\n  }\n}\n'
      )
      assert.throws(() => ConsulStorage.policy({ prefix: 'a" {' }), /prefix/)
    })
  )

  it.effect("layerConfig reads URL and token as secrets", () =>
    Effect.gen(function* () {
      const Config = yield* Effect.promise(() => import("#harness/Config"))
      const exit = yield* Effect.exit(
        Effect.scoped(
          Layer.build(
            ConsulStorage.layerConfig({ url: Config.Redacted("CONSUL_URL"), token: Config.Redacted("CONSUL_TOKEN") })
          )
        )
      ).pipe(Effect.provide(configs.from({ CONSUL_URL: "http://host:0", CONSUL_TOKEN: secret })))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "host or port")
      assert.notInclude(JSON.stringify(exit), secret)
    })
  )
})
