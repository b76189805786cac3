/** The same on real storages, by their URLs alone. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Pg from "pg"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import { connect, type ConnectOptions, LockTimeout, type StorageOptions } from "../../src/promise/index.js"
import { describeServer, type ServerUnavailable } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Splunk from "../harness/splunk.js"
import { rejected, until } from "../support/promises.js"
import * as unhandled from "../support/unhandled.js"

unhandled.refused()

/** As two processes would. */
const roundTrip = async (url: string, storage?: StorageOptions): Promise<void> => {
  const options: ConnectOptions = { log: false, namespace: "promises", storage, acquireTimeout: "20 seconds" }
  await using one = await connect(url, options)
  await using two = await connect(url, options)
  const events = two.events()
  const first = await one.withLock("a", async (lock, signal) => {
    assert.isUndefined(await two.tryAcquire("a"))
    assert.deepStrictEqual(await two.withLockIfAvailable("a", () => assert.fail("it ran")), { ran: false })
    const error = await rejected(two.acquire("a", { acquireTimeout: "2 seconds" }))
    assert.instanceOf(error, LockTimeout)
    assert.strictEqual(error.heldBy?.token, lock.token)
    assert.strictEqual((await two.get("a"))?.ownerId, lock.ownerId)
    const ids: Array<string> = []
    for await (const { lockId } of two.list()) ids.push(lockId)
    assert.deepStrictEqual(ids, ["a"])
    assert.isAbove(await lock.renew(), 0)
    assert.isFalse(signal.aborted)
    return lock.token
  })
  const lock = await two.acquire("a")
  assert.isAbove(lock.token, first)
  const waiting = one.acquire("a")
  assert.isTrue(await one.forceRelease("a", { token: lock.token, when: "now" }))
  const next = await waiting
  assert.isAbove(next.token, lock.token)
  await rejected(lock.renew())
  await until(() => lock.signal.aborted)
  await next.release()
  assert.isUndefined(await two.get("a"))
  await two.close()
  const types = new Set<string>()
  for await (const { type } of events) types.add(type)
  for (const type of ["Refused", "TimedOut", "Acquired", "Lost"]) assert.isTrue(types.has(type), type)
}

const each = (url: Effect.Effect<string, never, Scope.Scope>, storage?: StorageOptions) =>
  it.live("a round trip", () => Effect.flatMap(url, (_) => Effect.promise(() => roundTrip(_, storage))))

const withScheme = (url: string, scheme: string): string => url.replace(/^[a-z+]+(?=:)/, scheme)

type Named = Effect.Effect<
  { readonly freshDatabase: Effect.Effect<string, never, Scope.Scope> },
  ServerUnavailable,
  Scope.Scope
>

const databases: ReadonlyArray<readonly [string, string, Named]> = [
  ["PostgreSQL", "postgres", Shared.postgres],
  ["MySQL", "mysql", Shared.mysql("mysql8")],
  ["MariaDB", "mariadb", Shared.mysql("mariadb10")],
  ["MongoDB", "mongodb", Shared.mongo]
]

for (const [name, scheme, server] of databases)
  await describeServer(name, server, ({ freshDatabase }) =>
    each(Effect.map(freshDatabase, (url) => withScheme(url, scheme)))
  )

await describeServer("Redis", Shared.redis, ({ url }) => {
  each(Effect.succeed(url), { prefix: "promises-1:" })
  each(Effect.succeed(withScheme(url, "valkey")), { prefix: "promises-2:" })
})

await describeServer("etcd", Shared.etcd, ({ url }) =>
  each(Effect.succeed(withScheme(url, "etcd")), { prefix: "promises/" })
)

await describeServer("Consul", Shared.consul, ({ url }) =>
  each(Effect.succeed(withScheme(url, "consul")), { prefix: "promises/" })
)

await describeServer("a stand-in for Splunk", Splunk.double(), ({ url }) =>
  each(Effect.succeed(withScheme(url, "splunk+http").replace("//", "//locks:sesame@")))
)

await describeServer("Cassandra", Shared.cassandra, ({ freshTable, url }) =>
  it.live("a round trip", () =>
    Effect.flatMap(freshTable, (table) => Effect.promise(() => roundTrip(withScheme(url, "scylla"), { table })))
  )
)

await describeServer("OpenSearch", Shared.opensearch, ({ url }) =>
  each(Effect.succeed(withScheme(url, "opensearch+http")), { index: "promises" })
)

await describeServer("DynamoDB", Shared.dynamodb, ({ freshTable, url }) =>
  each(
    Effect.map(
      freshTable,
      (table) => `dynamodb://key:secret@local/${table}?endpoint=${encodeURIComponent(url.replace(/\/$/, ""))}`
    )
  )
)

describe("SQLite", () => {
  it("a round trip", async () => {
    const folder = mkdtempSync(join(tmpdir(), "storage-lock-"))
    try {
      await roundTrip(`sqlite:${folder}/locks.db`)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

await describeServer("PostgreSQL, by the pool of the program", Shared.postgres, ({ url }) => {
  it("a layer of this library is taken, and the pool stays open", async () => {
    const pool = new Pg.Pool({ connectionString: url })
    try {
      {
        await using locks = await connect(PostgresStorage.layerFromPool({ pool }), { log: false })
        assert.strictEqual(await locks.withLock("a", () => 7), 7)
      }
      assert.strictEqual((await pool.query("SELECT 7 AS n")).rows[0].n, 7)
    } finally {
      await pool.end()
    }
  })
})
