/** A misspelt option of a storage must not be taken for one that was left out. */
import { assert, describe, it } from "#effect/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type { InvalidOptions } from "../../src/LockError.js"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import * as MssqlStorage from "../../src/backends/mssql/MssqlStorage.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as SqlFence from "../../src/backends/sql/SqlFence.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as VersionedStore from "../../src/VersionedStore.js"

const misspelt = { operationTimeOut: "1 second", url: Redacted.make("nothing that could be reached") }
const without = { operationTimeOut: "1 second" }

const layers: Readonly<Record<string, Layer.Layer<any, unknown, any>>> = {
  "PostgresStorage.layer": PostgresStorage.layer(misspelt),
  "PostgresStorage.layerVersioned": PostgresStorage.layerVersioned(misspelt),
  "PostgresStorage.layerFromClient": PostgresStorage.layerFromClient(without as never),
  "PostgresStorage.layerFromPool": PostgresStorage.layerFromPool(without as never),
  "MysqlStorage.layer": MysqlStorage.layer(misspelt),
  "MysqlStorage.layerFromClient": MysqlStorage.layerFromClient(without as never),
  "MysqlStorage.layerFromPool": MysqlStorage.layerFromPool(without as never),
  "MssqlStorage.layer": MssqlStorage.layer(misspelt),
  "MssqlStorage.layerFromClient": MssqlStorage.layerFromClient(without as never),
  "MongoStorage.layer": MongoStorage.layer(misspelt),
  "MongoStorage.layerFromClient": MongoStorage.layerFromClient(without as never),
  "RedisStorage.layer": RedisStorage.layer(misspelt),
  "RedisStorage.layerFromClient": RedisStorage.layerFromClient(without as never),
  "EtcdStorage.layer": EtcdStorage.layer(misspelt),
  "EtcdStorage.layerFromChannel": EtcdStorage.layerFromChannel(without as never),
  "SqliteStorage.layer": SqliteStorage.layer(without as never)
}

describe("an option that a storage does not have", () => {
  for (const [name, layer] of Object.entries(layers)) {
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
    assert.throws(() => SqlFence.ddl({ tabel: "fences" } as never), /did you mean table\?/)
    assert.throws(
      () => VersionedStore.toStorage({} as never, { retry: undefined } as never),
      /did you mean versionMissRetry\?/
    )
  })
})
