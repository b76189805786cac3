/** What docs/break-glass.md tells an operator to type does what it says, word for word. */
import { assert, describe, it } from "#harness/vitest"
import Sqlite from "better-sqlite3"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Redis } from "ioredis"
import { MongoClient } from "mongodb"
import { createConnection } from "mysql2/promise"
import Pg from "pg"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as StorageReadWriteLock from "../../src/StorageReadWriteLock.js"
import * as StorageSemaphore from "../../src/StorageSemaphore.js"
import type * as VersionedStore from "../../src/VersionedStore.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const page = readFileSync(new URL("../../docs/break-glass.md", import.meta.url), "utf8")

/** The fenced blocks under a heading. */
const blocks = (heading: string): ReadonlyArray<string> => {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`))
  assert.isDefined(section, heading)
  return [...section.matchAll(/^```\w+\n([^]*?)^```/gm)].map(([, text]) => text!)
}

/** An operator's terminal. */
type Terminal = (text: string) => Promise<ReadonlyArray<Record<string, unknown>>>

const withToken = (text: string, token: number) => text.replaceAll("4711", String(token))

/** The lock is held, seen with its label, freed by hand; another gets it at once, and the former holder is told. */
const scenario = (
  layer: Layer.Layer<Storage.Storage, unknown>,
  see: string,
  free: string,
  open: Effect.Effect<Terminal, unknown, Scope.Scope>
) =>
  Effect.gen(function* () {
    const type = yield* open
    const process = Layer.build(
      StorageLock.layer({ leaseExpireAfter: "3 seconds", ownerLabel: "the night shift" }).pipe(Layer.provide(layer))
    )
    const [one, other] = [yield* process, yield* process]
    const lock = yield* Effect.provide(StorageLock.acquire("nightly-report"), one)
    yield* Effect.provide(Effect.scoped(StorageLock.acquire("released")), one)
    const seen = yield* Effect.promise(() => type(see))
    assert.deepStrictEqual(
      seen.map((row) => String(row.lock_id)),
      ["nightly-report"],
      "what is released is not shown"
    )
    assert.strictEqual(String(seen[0]!.owner_label), "the night shift")
    assert.strictEqual(Number(seen[0]!.token), lock.token)
    yield* Effect.promise(() => type(withToken(free, 1)))
    assert.isTrue(
      yield* Effect.provide(StorageLock.isLocked("nightly-report"), other),
      "another hold's token frees nothing"
    )
    yield* Effect.promise(() => type(withToken(free, lock.token)))
    assert.strictEqual((yield* Effect.flip(lock.lost)).reason, "Forced")
    const next = yield* Effect.provide(StorageLock.acquire("nightly-report"), other)
    assert.isAbove(next.token, lock.token)
  }).pipe(Effect.scoped)

/** Each hold is seen with its owner; one is freed by hand, its holder is told, and the others go on. */
const sharedScenario = (
  layer: Layer.Layer<VersionedStore.VersionedStore, unknown>,
  which: "PostgreSQL" | "SQLite",
  open: Effect.Effect<Terminal, unknown, Scope.Scope>
) =>
  Effect.gen(function* () {
    const [postgres, sqlite, free] = blocks("Read-write locks and semaphores") as [string, string, string]
    const type = yield* open
    const options = { leaseExpireAfter: "3 seconds", ownerLabel: "the night shift" } as const
    const store = yield* Layer.build(layer)
    const lockId = "nightly-report shared"
    const readWrite = yield* Effect.provide(StorageReadWriteLock.make(options), store)
    const semaphore = yield* Effect.provide(StorageSemaphore.make(options), store)
    const [stays, goes] = [yield* readWrite.read(lockId), yield* readWrite.read(lockId)]
    const permits = yield* semaphore.acquire(`${lockId} 2`, { limit: 5, permits: 2 })
    const see = () => Effect.promise(() => type(which === "PostgreSQL" ? postgres : sqlite))
    const told = (yield* see()).filter((row) => String(row.lock_id).startsWith(lockId))
    assert.deepStrictEqual(
      told.map((row) => [row.lock_id, row.kind, row.owner_label, row.owner_id, row.hold_id, Number(row.token)]),
      [
        [lockId, "readWrite", "the night shift", stays.ownerId, stays.holdId, stays.token],
        [lockId, "readWrite", "the night shift", goes.ownerId, goes.holdId, goes.token],
        [`${lockId} 2`, "semaphore", "the night shift", permits.ownerId, permits.holdId, permits.token]
      ]
    )
    assert.deepStrictEqual(
      told.map(({ has }) => String(has).replace(" ", "")),
      ["r", "r", "[2,5]"]
    )
    yield* Effect.promise(() =>
      type(free.replaceAll("A".repeat(22), goes.holdId).replaceAll("'nightly-report'", `'${lockId}'`))
    )
    // As it is told if another hold was renewed in between.
    assert.include(["Forced", "Vanished"], (yield* Effect.flip(goes.lost)).reason)
    yield* stays.renew
    assert.strictEqual((yield* see()).filter((row) => row.lock_id === lockId).length, 1)
  }).pipe(Effect.scoped)

const closing = <A>(open: () => Promise<A>, close: (opened: A) => unknown) =>
  Effect.acquireRelease(Effect.promise(open), (opened) => Effect.promise(async () => close(opened)))

const sqliteTerminal =
  (filename: string): Terminal =>
  async (text) => {
    const database = new Sqlite(filename)
    try {
      const statement = database.prepare(text)
      if (statement.reader) return statement.all() as Array<Record<string, unknown>>
      statement.run()
      return []
    } finally {
      database.close()
    }
  }

describe("break-glass", () => {
  it.live("SQLite: read-write locks and semaphores", () => {
    const folder = mkdtempSync(join(tmpdir(), "storage-lock-"))
    const filename = join(folder, "locks.db")
    return sharedScenario(
      SqliteStorage.layerVersioned({ filename }),
      "SQLite",
      Effect.succeed(sqliteTerminal(filename))
    ).pipe(Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true, force: true }))))
  })

  it.live("SQLite", () => {
    const folder = mkdtempSync(join(tmpdir(), "storage-lock-"))
    const filename = join(folder, "locks.db")
    const [see, free] = blocks("SQLite") as [string, string]
    return scenario(SqliteStorage.layer({ filename }), see, free, Effect.succeed(sqliteTerminal(filename))).pipe(
      Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
    )
  })
})

await describeServer("break-glass on PostgreSQL", Shared.postgres, ({ url }) => {
  const open = Effect.map(
    closing(
      async () => {
        const client = new Pg.Client(url)
        await client.connect()
        return client
      },
      (client) => client.end()
    ),
    (client): Terminal =>
      async (text) =>
        (await client.query(text)).rows as Array<Record<string, unknown>>
  )
  it.live("PostgreSQL", () => {
    const [see, free] = blocks("PostgreSQL") as [string, string]
    return scenario(PostgresStorage.layer({ url: Redacted.make(url) }), see, free, open)
  })

  it.live("PostgreSQL: read-write locks and semaphores", () =>
    sharedScenario(PostgresStorage.layerVersioned({ url: Redacted.make(url) }), "PostgreSQL", open)
  )
})

for (const name of ["mysql8", "mysql9", "mariadb11"] as const) {
  await describeServer(`break-glass on ${Shared.kinds[name].server}`, Shared.mysql(name), ({ url }) => {
    it.live("MySQL, MariaDB, TiDB", () => {
      const [see, free] = blocks("MySQL, MariaDB, TiDB") as [string, string]
      const open = Effect.map(
        closing(
          () => createConnection(url),
          (client) => client.end()
        ),
        (client): Terminal =>
          async (text) => {
            const [rows] = await client.query(text)
            return Array.isArray(rows) ? (rows as Array<Record<string, unknown>>) : []
          }
      )
      return scenario(MysqlStorage.layer({ url: Redacted.make(url) }), see, free, open)
    })
  })
}

await describeServer("break-glass on the protocol of MongoDB", Shared.mongo, ({ url }) => {
  it.live("MongoDB", () => {
    const [see, free] = blocks("MongoDB") as [string, string]
    const open = Effect.map(
      closing(
        () => new MongoClient(url).connect(),
        (client) => client.close()
      ),
      (client): Terminal =>
        async (text) => {
          const db = { storage_lock: client.db().collection("storage_lock") }
          // As the shell would run it.
          const result: unknown = new Function("db", `return (${text.replace(/^\/\/.*$/gm, "")})`)(db)
          if (!(typeof result === "object" && result !== null && "toArray" in result)) {
            await result
            return []
          }
          const found = await (result as { readonly toArray: () => Promise<Array<Record<string, unknown>>> }).toArray()
          return found.map((document) => ({ ...document, lock_id: document._id, owner_label: document.label }))
        }
    )
    return scenario(MongoStorage.layer({ url: Redacted.make(url) }), see, free, open)
  })
})

await describeServer("break-glass on Redis", Shared.redis, ({ url }) => {
  it.live("Redis, Valkey", () => {
    const [see, free] = blocks("Redis, Valkey") as [string, string]
    const run = promisify(execFile)
    const open = Effect.map(
      closing(
        async () => {
          const client = new Redis(url)
          await client.del("storage-lock:nightly-report", "storage-lock:released")
          return client
        },
        (client) => client.disconnect()
      ),
      (client): Terminal =>
        async (text) => {
          // The shell takes the line apart; the client of the tests stands for redis-cli.
          const words = async (line: string) =>
            (await run("bash", ["-c", `redis-cli() { printf '%s\\0' "$@"; }; ${line}`])).stdout.split("\0").slice(0, -1)
          const [command, ...args] = await words(text.trim())
          const reply = await client.call(command!, ...args)
          if (command !== "HGETALL") return []
          const flat = reply as ReadonlyArray<string>
          const fields = Object.fromEntries(flat.flatMap((field, i) => (i % 2 === 0 ? [[field, flat[i + 1]]] : [])))
          return [{ ...fields, lock_id: "nightly-report", owner_label: fields["label"] }]
        }
    )
    return scenario(RedisStorage.layer({ url: Redacted.make(url) }), see, free, open)
  })

  it.live("Redis, Valkey: all records, in a namespace as well", () =>
    Effect.gen(function* () {
      const all = blocks("Redis, Valkey")[2]!
      const client = yield* closing(
        () => Promise.resolve(new Redis(url)),
        (opened) => opened.disconnect()
      )
      const options = { ownerLabel: "the night shift", namespace: "break-glass" }
      const locks = yield* Layer.build(
        StorageLock.layer(options).pipe(Layer.provide(RedisStorage.layer({ url: Redacted.make(url) })))
      )
      const lock = yield* Effect.provide(StorageLock.acquire("nightly-report"), locks)
      yield* Effect.promise(async () => {
        const pattern = /--pattern '(.*?)'/.exec(all)![1]!
        const keys = (await client.keys(pattern)).filter((key) => key.includes("break-glass"))
        // The shell runs the line; for redis-cli stands what lists the keys, and else tells what it was asked.
        const cli = `redis-cli() { if [ "$1" = --scan ]; then printf '%s\\n' "$KEYS"; else printf '%s\\0' "$@"; fi; }`
        const { stdout } = await promisify(execFile)("bash", ["-c", `${cli}; ${all}`], {
          env: { ...process.env, KEYS: keys.join("\n") }
        })
        const [shown, ...asked] = stdout.split("\0").slice(0, -1)
        const [key, command] = shown!.split("\n") as [string, string]
        assert.include(page, key.replace("break-glass", "app"), "as the page says how the key is typed")
        const fields = (await client.call(command, ...asked)) as ReadonlyArray<string>
        assert.strictEqual(asked.slice(1).join(" "), "kind label holds token expires")
        assert.deepStrictEqual(
          [fields[0], fields[1], fields[2], fields[3]],
          ["exclusive", "the night shift", `,${lock.holdId}`, String(lock.token)]
        )
      })
    }).pipe(Effect.scoped)
  )
})

await describeServer("break-glass on OpenSearch", Shared.opensearch, ({ freshIndex, url }) => {
  it.live("Elasticsearch, OpenSearch", () =>
    Effect.gen(function* () {
      const [see, free] = blocks("Elasticsearch, OpenSearch") as [string, string]
      // Others have locks in the index of this name.
      const index = yield* freshIndex
      const run = promisify(execFile)
      const type: Terminal = async (text) => {
        const { stdout } = await run("bash", ["-c", text.replaceAll("storage_lock", index)], {
          env: { ...process.env, SEARCH_URL: url }
        })
        // The answers stand one behind the other.
        const last = JSON.parse(stdout.slice(Math.max(0, stdout.indexOf(`{"hits"`)))) as {
          readonly hits?: { readonly hits: ReadonlyArray<{ readonly _source: Record<string, unknown> }> }
        }
        return (last.hits?.hits ?? []).map(({ _source }) => ({
          ..._source,
          lock_id: _source.lockId,
          owner_label: _source.label
        }))
      }
      const layer = ElasticsearchStorage.layer({ url: Redacted.make(url), index })
      yield* scenario(layer, see, free, Effect.succeed(type))
    })
  )
})
