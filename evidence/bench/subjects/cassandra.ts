import { Client, types } from "cassandra-driver"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as CassandraStorage from "../../../src/backends/cassandra/CassandraStorage.js"
import * as Harness from "../../../test/harness/cassandra.js"
import { library } from "./library.js"
import type { Server, StorageSubject, Way } from "./Subject.js"

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, conditional insert and delete",
    role: "floor",
    packages: ["cassandra-driver"],
    note: "less than ours does: nothing is renewed, no token is kept, and nobody is told who has the lock",
    waits: false,
    open: async ({ prefix, url }) => {
      const { host, pathname, port } = new URL(url)
      const client = new Client({
        contactPoints: [host],
        protocolOptions: { port: Number(port) },
        localDataCenter: "datacenter1",
        keyspace: pathname.slice(1),
        queryOptions: { prepare: true, consistency: types.consistencies.quorum }
      })
      await client.execute(`CREATE TABLE ${prefix} (id text PRIMARY KEY)`, [], { prepare: false })
      return {
        acquire: async (lockId) => {
          await client.execute(`INSERT INTO ${prefix} (id) VALUES (?) IF NOT EXISTS`, [lockId])
          return { release: () => client.execute(`DELETE FROM ${prefix} WHERE id = ? IF EXISTS`, [lockId]) }
        },
        close: async () => {
          await client.execute(`DROP TABLE ${prefix}`, [], { prepare: false })
          await client.shutdown()
        }
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ prefix, url }, settings) =>
      library(CassandraStorage.layer({ url: Redacted.make(url), table: `${prefix}_ours` }), settings)
  }
]

const server = Effect.gen(function* () {
  const server = yield* Harness.own()
  const [row] = yield* server.admin("SELECT release_version FROM system.local")
  return {
    setting: `server ${row!.release_version}, one node, every write on its disk before it is acknowledged`,
    fresh: Effect.sync(() => ({ url: server.url, prefix: `bench_${randomBytes(6).toString("hex")}` })),
    work: undefined,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const cassandra: StorageSubject = {
  name: "cassandra",
  title: "Cassandra",
  server,
  ways
}
