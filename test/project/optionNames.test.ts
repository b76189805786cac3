/** A misspelt option must not be taken for one that was left out, wherever options are given. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type { InvalidOptions } from "../../src/LockError.js"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import * as DynamoDbStorage from "../../src/backends/dynamodb/DynamoDbStorage.js"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import * as keys from "#effect/sql/keys"
import type * as Sql from "#effect/sql/SqlClient"
import * as StorageLock from "../../src/StorageLock.js"
import * as Conformance from "../../src/testing/index.js"
import * as VersionedStore from "../../src/VersionedStore.js"

const SqlClient = Context.Service<Sql.SqlClient>(keys.client)

const misspelt = { operationTimeOut: "1 second", url: Redacted.make("nothing that could be reached") }
const config = {
  operationTimeOut: Config.succeed("1 second"),
  url: Config.succeed(misspelt.url),
  filename: Config.succeed(":memory:")
}
const without = { operationTimeOut: "1 second" }

/** Of each, every layer is looked at. */
const modules = {
  PostgresStorage,
  MysqlStorage,
  MssqlStorage,
  OracleStorage,
  MongoStorage,
  RedisStorage,
  EtcdStorage,
  ElasticsearchStorage,
  DynamoDbStorage,
  ConsulStorage,
  CassandraStorage,
  ZookeeperStorage,
  SplunkStorage,
  SqliteStorage
}

const layers = Object.entries(modules).flatMap(([name, module]) =>
  Object.entries(module).flatMap(([each, layer]) => {
    if (!each.startsWith("layer")) return []
    const given = each === "layerConfig" ? config : each.includes("From") ? without : misspelt
    return [[`${name}.${each}`, (layer as (options: unknown) => Layer.Layer<any, unknown, any>)(given)] as const]
  })
)

describe("an option that a storage does not have", () => {
  for (const [name, layer] of layers) {
    it.effect(`${name}: refused before any I/O, with the nearest that there is`, () =>
      Effect.gen(function* () {
        const built = Layer.build(layer) as Effect.Effect<unknown, InvalidOptions>
        const error = yield* Effect.flip(Effect.scoped(built))
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(
          error.message,
          "operationTimeOut must be the name of an option (did you mean operationTimeout?), but is unknown"
        )
      })
    )
  }

  it.effect("of the memory storage: a defect, since it cannot fail", () =>
    Effect.gen(function* () {
      for (const made of [
        MemoryStorage.make({ tyme: Effect.succeed(1) } as never),
        MemoryStorage.makeVersioned({ tyme: "none" } as never)
      ]) {
        const cause = yield* Effect.flip(Effect.sandbox(made as Effect.Effect<unknown>))
        assert.include(Cause.pretty(cause), "did you mean time?")
      }
    })
  )

  it("of a function that gives no effect: thrown", () => {
    for (const { ddl } of [PostgresStorage, MysqlStorage, MssqlStorage, OracleStorage, SqliteStorage, SqlFence]) {
      assert.throws(() => ddl({ tabel: "mine" } as never), /^tabel must be .* \(did you mean table\?\)/)
      assert.throws(() => ddl("mine" as never), /^options must be an object/)
    }
    assert.throws(
      () => ElasticsearchStorage.ddl({ indx: "mine" } as never),
      /^indx must be .* \(did you mean index\?\)/
    )
    assert.throws(() => ElasticsearchStorage.ddl("mine" as never), /^options must be an object/)
    assert.throws(() => CassandraStorage.ddl({ tabel: "mine" } as never), /^tabel must be .* \(did you mean table\?\)/)
    assert.throws(() => ConsulStorage.policy({ prefx: "mine" } as never), /^prefx must be .* \(did you mean prefix\?\)/)
    assert.throws(() => ZookeeperStorage.ddl({ rot: "/mine" } as never), /^rot must be .* \(did you mean root\?\)/)
    assert.throws(() => MysqlStorage.ddl({ schema: "mine" } as never), /^schema must be the name of an option/)
    assert.throws(
      () => VersionedStore.toStorage({} as never, { retry: undefined } as never),
      /did you mean versionMissRetry\?/
    )
    const target = { name: "none", layer: MemoryStorage.layer }
    assert.throws(() => Conformance.suite({ ...target, timeOut: 1 } as never), /did you mean timeout\?/)
    assert.throws(
      () => Conformance.suite({ ...target, hooks: { advnace: () => Effect.void } as never }),
      /did you mean hooks\.advance\?/
    )
    for (const effort of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "half" as never])
      assert.throws(() => Conformance.suite({ ...target, effort }), /effort must be a number above 0/)
    const store = { name: "none", layer: MemoryStorage.layerVersioned }
    assert.throws(() => Conformance.versionedSuite({ ...store, hooks: {} } as never), /must be the name of an option/)
  })

  it.effect("of forceRelease: refused before any I/O", () =>
    Effect.gen(function* () {
      const locks = yield* StorageLock.make()
      for (const [options, message] of [
        [{ token: 1, when: "now", whenn: "leaseEnd" }, "whenn must be the name of an option (did you mean when?)"],
        [undefined, "options must be an object"],
        [{ token: 1 }, 'when must be "now" or "leaseEnd"'],
        [{ when: "now" }, "token must be the fencing token of the hold"]
      ] as const) {
        const error = yield* Effect.flip(locks.forceRelease("foo", options as never))
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.isTrue(error.message.startsWith(message), error.message)
      }
    }).pipe(Effect.scoped, Effect.provide(MemoryStorage.layer))
  )

  it.effect("of a fence: refused before any I/O", () =>
    Effect.gen(function* () {
      for (const made of [
        SqlFence.check("account 1", 1, { tabel: "mine" } as never),
        SqlFence.check("account 1", 1, { dialect: "pg" } as never),
        SqlFence.transaction(Effect.void, "account 1", 1, { tabel: "mine" } as never),
        SqlFence.setup({ tabel: "mine" } as never)
      ]) {
        const sql = { onDialectOrElse: () => "pg", withTransaction: <A>(self: A) => self }
        const error = yield* Effect.flip(Effect.provideService(made, SqlClient, sql as never))
        assert.match(error.message, /must be the name of an option \(did you mean table\?\)/)
      }
    })
  )
})

const url = Redacted.make("etcds://localhost")

/** Options within an option. */
const nested: Readonly<Record<string, Layer.Layer<any, unknown, any>>> = {
  "notify.uri, notify.url": PostgresStorage.layer({
    url: Redacted.make("postgres://localhost/app"),
    notify: { uri: "none" } as never
  }),
  "wait.replica, wait.replicas": RedisStorage.layer({
    url: Redacted.make("redis://localhost"),
    wait: { replica: 1, timeout: "1 second" } as never
  }),
  "credentials.accessKey, credentials.accessKeyId": DynamoDbStorage.layer({
    region: "local",
    credentials: { accessKey: "none" } as never
  }),
  "tls.serverName, tls.servername": CassandraStorage.layer({
    url: Redacted.make("cassandras://localhost/app"),
    tls: { serverName: "none" } as never
  }),
  "user.passwd, user.password": CassandraStorage.layer({
    url: Redacted.make("cassandra://localhost/app"),
    user: { name: "app", passwd: Redacted.make("none") } as never
  }),
  "tls.kay, tls.key": EtcdStorage.layer({ url, tls: { kay: "none" } as never }),
  "tls.crt, tls.cert": EtcdStorage.layer({ url: () => url, tls: { crt: undefined } as never }),
  "user.pasword, user.password": EtcdStorage.layer({
    url,
    user: { name: "app", pasword: Redacted.make("none") } as never
  }),
  "tls.kye, tls.key": ElasticsearchStorage.layer({
    url: Redacted.make("https://localhost"),
    tls: { kye: "none" } as never
  }),
  "user.nme, user.name": ElasticsearchStorage.layer({
    url: Redacted.make("https://localhost"),
    user: { nme: "app", password: Redacted.make("none") } as never
  }),
  "tls.certificate, tls.cert": MysqlStorage.layer({
    url: Redacted.make("mysql://localhost/app"),
    tls: { certificate: "none" } as never
  }),
  "tls.rejectUnauthorised, tls.rejectUnauthorized": MysqlStorage.layer({
    url: () => Redacted.make("mysql://localhost/app"),
    tls: { rejectUnauthorised: false } as never
  })
}

describe("an option that an option of a storage does not have", () => {
  for (const [fields, layer] of Object.entries(nested)) {
    const [field, nearest] = fields.split(", ")
    it.effect(`${field}: refused before any I/O, with the nearest that there is`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          Effect.scoped(Layer.build(layer as unknown as Layer.Layer<never, InvalidOptions>))
        )
        assert.strictEqual(
          error.message,
          `${field} must be the name of an option (did you mean ${nearest}?), but is unknown`
        )
      })
    )
  }
})
