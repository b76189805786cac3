import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import Pg from "pg"
import * as PostgresStorage from "../../../src/backends/postgres/PostgresStorage.js"
import * as pgNames from "../../../src/backends/postgres/names.js"
import * as pgStatements from "../../../src/backends/postgres/statements.js"
import * as Postgres from "../../../test/harness/postgres.js"
import { postgresPool } from "../floor.js"
import * as peers from "../peers.js"
import { library } from "./library.js"
import type { Locker, Server, StorageSubject, Way } from "./Subject.js"
import * as verrou from "./verrou.js"

export const table = "storage_lock"
/** Of every way that has a pool. */
export const poolSize = 4

/** LISTEN, NOTIFY and the library's own statements on `pg`. No lease is renewed, and nothing is tried again but for a notification. */
const bare = async (url: string): Promise<Locker> => {
  const sql = pgStatements.make(pgNames.qualified(table, undefined), true)
  const channel = pgNames.channel("public", table)
  const pool = postgresPool(url, poolSize)
  await pool.query(PostgresStorage.ddl({ table })).catch(async (error: unknown) => {
    // Somebody else was making it.
    await pool.query(`SELECT 1 FROM ${table} LIMIT 1`).catch(() => Promise.reject(error))
  })
  const listener = new Pg.Client({ connectionString: url })
  await listener.connect()
  await listener.query(`LISTEN ${Pg.escapeIdentifier(channel)}`)
  const waiting = new Set<() => void>()
  listener.on("notification", () => waiting.forEach((wake) => wake()))
  const query = async (statement: pgStatements.Statement, values: Array<unknown>) =>
    (await pool.query({ name: statement.name, text: statement.text, values })).rows[0]
  let made = 0
  return {
    acquire: async (lockId) => {
      const holdId = `${process.pid}x${made++}`.padEnd(22, "0")
      const ownerId = `owner ${holdId}`
      for (;;) {
        let wake = () => {}
        const notified = new Promise<void>((resolve) => (wake = resolve))
        waiting.add(wake)
        try {
          const row = await query(sql.claim, [lockId, ownerId, holdId, 3_600_000_000, ""])
          if (row.owner_id === ownerId) return { release: () => query(sql.release, [lockId, holdId, channel]) }
          await notified
        } finally {
          waiting.delete(wake)
        }
      }
    },
    close: () => Promise.all([pool.end(), listener.end()])
  }
}

const ours =
  (notify: boolean): Way["open"] =>
  ({ url }, settings) =>
    library(PostgresStorage.layer({ url: Redacted.make(url), table, notify, poolSize }), settings)

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, LISTEN and NOTIFY",
    role: "floor",
    packages: ["pg"],
    note: "the same statements; nothing is renewed, and nothing is told",
    open: ({ url }) => bare(url)
  },
  { name: "StorageLock", role: "ours", packages: [], tells: true, open: ours(true) },
  { name: "StorageLock, polling alone", role: "ours", packages: [], variant: true, open: ours(false) },
  {
    name: "@verrou/core",
    role: "peer",
    packages: ["@verrou/core", "knex"],
    note: verrou.note,
    polls: true,
    open: ({ url }, settings) =>
      verrou.verrouKnex({ client: "pg", connection: url, pool: { min: 1, max: poolSize } }, settings)
  },
  {
    name: "advisory-lock",
    role: "peer",
    packages: ["advisory-lock"],
    note: "a session lock: no lease, no row, nothing is written; a connection for each lock",
    many: false,
    open: async ({ url }) => {
      const makeMutex = (await peers.main("advisory-lock"))(url)
      return {
        acquire: async (lockId) => ({ release: await makeMutex(lockId).lock() }),
        close: async () => {}
      }
    }
  }
]

const server = Effect.gen(function* () {
  const server = yield* Postgres.own
  const [{ commit, fsync, version }] = yield* server.admin(
    `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit`
  )
  return {
    setting: `server ${version}, fsync ${fsync}, synchronous_commit ${commit}, pools of ${poolSize}`,
    fresh: Effect.map(server.freshDatabase, (url) => ({ url, prefix: "" })),
    work: server.countsStatements
      ? ({ url }) =>
          Effect.map(
            server.admin(
              `SELECT coalesce(sum(calls), 0)::int AS requests, coalesce(sum(total_exec_time), 0)::float8 AS millis FROM pg_stat_statements
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1)`,
              [new URL(url).pathname.slice(1)]
            ),
            ([row]) => row as { readonly requests: number; readonly millis: number }
          )
      : undefined,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "postgres" }
  } satisfies Server
})

export const postgres: StorageSubject = {
  name: "postgres",
  title: "PostgreSQL",
  server,
  ways,
  absent: [{ name: "syncguard", reason: "npm found no such package (E404) when the lock file of the peers was made" }]
}
