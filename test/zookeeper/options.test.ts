/** What ZookeeperStorage refuses before any I/O, and what it says of it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as configs from "#harness/configs"
import * as options from "../../src/backends/zookeeper/options.js"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import type { StorageError } from "../../src/LockError.js"
import { refusals } from "../support/refusals.js"

const secret = "sesame"
/** Nothing listens there, so what tried to connect would fail otherwise, and later. */
const url = Redacted.make("zookeeper://127.0.0.1:1")
const secure = Redacted.make("zookeepers://127.0.0.1:1")
const user = { name: "me", password: Redacted.make(secret) }

const { refuse } = refusals(secret, ZookeeperStorage.make)

describe("options", () => {
  it.effect("a URL that cannot be one is told without what stands in it", () =>
    Effect.gen(function* () {
      for (const text of [
        "",
        "localhost:2181",
        "http://a",
        "zookeeper://",
        "zookeeper://a,,b",
        "zookeeper://a:0",
        "zookeeper://a:65536",
        "zookeeper://sesame@a",
        "zookeeper://:sesame@a",
        "zookeeper://u:se/same@a",
        "zookeeper://u:%zz@a",
        "zookeeper://u%3Ax:sesame@a",
        "zookeeper://a/b//c",
        "zookeeper://a/../c",
        "zookeeper://a?timeout=5",
        "zookeeper://u:sesame?x=1@a"
      ])
        yield* refuse({ url: Redacted.make(text) }, "url")
      yield* refuse({}, "url")
      yield* refuse({ url: `zookeeper://u:${secret}@h` }, "url")
      yield* refuse({ url: Redacted.make(5) }, "url")
    })
  )

  it("a URL is read: servers, user, path", () => {
    const found = options.url(Redacted.make("zookeepers://a%2Fb:c%3Ad@one,two:2182,[::1]:2183/some/where/"))
    assert.isFalse("field" in found)
    if ("field" in found) return
    assert.deepStrictEqual(
      [found.servers, found.tls, found.chroot, found.user?.name],
      [
        [
          { host: "one", port: 2181 },
          { host: "two", port: 2182 },
          { host: "::1", port: 2183 }
        ],
        true,
        "/some/where",
        "a/b"
      ]
    )
    assert.strictEqual(Redacted.value(found.user!.password), "c:d")
  })

  it.effect("a parameter is named", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(ZookeeperStorage.make({ url: Redacted.make("zookeeper://a,b/c?sessionTimeout=5") }))
      )
      assert.include(error.message, '"sessionTimeout"')
    })
  )

  it.effect("a user has a name and a secret, once", () =>
    Effect.gen(function* () {
      for (const [given, field] of [
        ["me", "user"],
        [null, "user"],
        [{ ...user, name: "" }, "user.name"],
        [{ ...user, name: "a:b" }, "user.name"],
        [{ ...user, password: secret }, "user.password"],
        [{ ...user, password: Redacted.make("") }, "user.password"],
        [{ ...user, pass: 1 }, "user.pass"]
      ] as const) {
        yield* refuse({ url, user: given }, field)
        // Also where the url is not known yet.
        yield* refuse({ url: () => url, user: given }, field)
      }
      yield* refuse({ url: Redacted.make(`zookeeper://me:${secret}@127.0.0.1:1`), user }, "user")
    })
  )

  it.effect("certificates that can be read, and only where there is TLS", () =>
    Effect.gen(function* () {
      yield* refuse({ url, tls: {} }, "tls")
      yield* refuse({ url, tls: () => ({}) }, "tls")
      yield* refuse({ url: secure, tls: { ca: 5 } }, "tls.ca")
      yield* refuse({ url: secure, tls: { cert: "x", key: secret } }, "tls.key")
      yield* refuse({ url: secure, tls: { cert: "x", key: Redacted.make(secret) } }, "tls")
      yield* refuse({ url: secure, tls: { cert: "x" } }, "tls")
      yield* refuse({ url: secure, tls: { keys: 1 } }, "tls.keys")
    })
  )

  it.effect("roots, rights, numbers and times", () =>
    Effect.gen(function* () {
      for (const root of [
        "",
        "/",
        "a",
        "/a/",
        "//a",
        "/a/./b",
        "/a/..",
        "/a b",
        "/é",
        "/a\u0000",
        "/zookeeper",
        "/zookeeper/a",
        `/${"x".repeat(255)}`,
        5
      ])
        yield* refuse({ url, root }, "root")
      for (const acl of ["", "all", 31, null]) yield* refuse({ url, acl }, "acl")
      // Of a creator there is none.
      yield* refuse({ url, acl: "creator" }, "acl")
      yield* refuse({ url, setup: 1 }, "setup")
      for (const operationTimeout of [0, Number.NaN, "soon", "2 days"])
        yield* refuse({ url, operationTimeout }, "operationTimeout")
      yield* refuse({ url, versionMissRetry: 3 }, "versionMissRetry")
      yield* refuse({ url, rot: "/a" }, "rot")
      yield* refuse({ url, sessionTimeout: 5 }, "sessionTimeout")
    })
  )

  it.effect("layerConfig reads the URL as a secret", () =>
    Effect.gen(function* () {
      const Config = yield* Effect.promise(() => import("#harness/Config"))
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(ZookeeperStorage.layerConfig({ url: Config.Redacted("ZOOKEEPER_URL") })))
      ).pipe(Effect.provide(configs.from({ ZOOKEEPER_URL: `zookeeper://u:${secret}@host:0` })))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(JSON.stringify(exit), "host or port")
      assert.notInclude(JSON.stringify(exit), secret)
    })
  )

  it.effect("what is asked for, and gives nonsense, is another try, and tells no secret", () =>
    Effect.gen(function* () {
      for (const given of [
        { url: () => Redacted.make(`http://${secret}`) },
        { url, user: () => ({ name: "a:b", password: Redacted.make(secret) }) },
        { url: secure, tls: () => ({ ca: secret.length as never }) },
        { url: () => url, tls: { ca: "x" } },
        {
          url: () => {
            throw new Error("not now")
          }
        }
      ]) {
        const error = yield* Effect.flip(Effect.scoped(ZookeeperStorage.make(given)))
        assert.strictEqual((error as StorageError)._tag, "StorageError", String(error))
        assert.deepStrictEqual([(error as StorageError).isRetryable, (error as StorageError).applied], [true, "no"])
        assert.notInclude(String(error) + JSON.stringify(error), secret)
      }
    })
  )
})

it("ddl says how to make what setup makes", () => {
  assert.strictEqual(ZookeeperStorage.ddl(), 'create /effect-storage-lock "" world:anyone:rwca\n')
  assert.strictEqual(
    ZookeeperStorage.ddl({ root: "/a/b/c", acl: "creator" }),
    'addauth digest USER:PASSWORD\ncreate /a\ncreate /a/b\ncreate /a/b/c "" auth::rwca\n'
  )
  for (const options of [{ root: "a" }, { acl: "all" }, { rot: "/a" }, 5])
    assert.throws(() => ZookeeperStorage.ddl(options as never))
})
