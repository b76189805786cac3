import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import mysql2 from "mysql2/promise"
import * as peers from "../peers.js"
import * as MysqlStorage from "../../../src/backends/mysql/MysqlStorage.js"
import * as Harness from "../../../test/harness/mysql.js"
import { library } from "./library.js"
import type { Locker, Server, StorageSubject, Way } from "./Subject.js"
import * as verrou from "./verrou.js"

const poolSize = 4

/** A row for each lock that is held: INSERT and DELETE. */
const bare = async (url: string): Promise<Locker> => {
  const pool = mysql2.createPool({ uri: url, connectionLimit: poolSize })
  await pool.query(
    "CREATE TABLE IF NOT EXISTS bench_floor (lock_id VARBINARY(255) PRIMARY KEY, hold_id VARBINARY(22) NOT NULL, lease_end DATETIME(6) NOT NULL)"
  )
  let made = 0
  return {
    acquire: async (lockId) => {
      const holdId = `${process.pid}x${made++}`
      await pool.execute("INSERT INTO bench_floor VALUES (?, ?, UTC_TIMESTAMP(6) + INTERVAL 1 HOUR)", [lockId, holdId])
      return {
        release: () => pool.execute("DELETE FROM bench_floor WHERE lock_id = ? AND hold_id = ?", [lockId, holdId])
      }
    },
    close: () => pool.end()
  }
}

/** Questions of our own counting. */
let asked = 1

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver, INSERT and DELETE",
    role: "floor",
    packages: ["mysql2"],
    note: "less than ours does: no token, no takeover; nothing is renewed, and nothing is told",
    waits: false,
    open: ({ url }) => bare(url)
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ url }, settings) => library(MysqlStorage.layer({ url: Redacted.make(url), poolSize }), settings)
  },
  {
    name: "mysql2-semaphore",
    role: "peer",
    packages: ["mysql2-semaphore", "mysql2"],
    note: "a session lock (GET_LOCK): no lease, no row, nothing is written; a connection for each lock",
    many: false,
    open: async ({ url }) => {
      const make = await peers.main("mysql2-semaphore")
      const { hostname, password, pathname, port, username } = new URL(url)
      const config = { host: hostname, port: Number(port), user: username, password, database: pathname.slice(1) }
      // It is reentrant by connection, and its lock call ends the wait of the connection: so one for each lock that is held at a time, used again.
      const free: Array<any> = []
      const all: Array<any> = []
      return {
        acquire: async (lockId) => {
          const semaphore = free.pop() ?? make(config)
          if (!all.includes(semaphore)) all.push(semaphore)
          // It asks whether the lock is used before it waits for it: a held lock is refused at once.
          while (!(await semaphore.lock(lockId, 60))) await new Promise((resolve) => setTimeout(resolve, 10))
          return {
            release: async () => {
              await semaphore.unlock(lockId)
              free.push(semaphore)
            }
          }
        },
        close: async () => {}
      }
    }
  },
  {
    name: "@verrou/core",
    role: "peer",
    packages: ["@verrou/core", "knex", "mysql2"],
    note: verrou.note,
    polls: true,
    open: ({ url }, settings) =>
      verrou.verrouKnex({ client: "mysql2", connection: url, pool: { min: 1, max: poolSize } }, settings)
  }
]

const server = Effect.gen(function* () {
  const server = yield* Effect.catch(Harness.mysql9, () => Harness.mariadb10)
  const admin = yield* Effect.acquireRelease(
    Effect.promise(() => mysql2.createConnection({ uri: server.url })),
    (connection) => Effect.sync(() => connection.destroy())
  )
  const query = (text: string) => Effect.promise(async () => (await admin.query(text))[0] as Array<any>)
  const [found] = yield* query("SELECT version() AS version, @@innodb_flush_log_at_trx_commit AS flush")
  return {
    setting: `server ${found.version}, innodb_flush_log_at_trx_commit ${found.flush}, pools of ${poolSize}; each statement of a text of several counts`,
    fresh: Effect.map(server.freshDatabase, (url) => ({ url, prefix: "" })),
    // Of all databases: nobody else speaks to it.
    work: () =>
      Effect.map(query("SHOW GLOBAL STATUS LIKE 'Questions'"), ([row]) => ({
        requests: Number(row.Value) - asked++,
        millis: undefined
      })),
    countsStatements: true,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const mysql: StorageSubject = { name: "mysql", title: "MySQL or MariaDB", server, ways }
