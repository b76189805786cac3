import Database from "better-sqlite3"
import * as Effect from "#effect/Effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteStorage from "../../../src/backends/sqlite/SqliteStorage.js"
import * as floors from "../floor.js"
import { library } from "./library.js"
import type { Server, StorageSubject, Way } from "./Subject.js"
import * as verrou from "./verrou.js"

export const table = "storage_lock"

/** In the system's folder for temporary files. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-bench-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const ways: ReadonlyArray<Way> = [
  {
    name: "bare driver",
    role: "floor",
    packages: ["better-sqlite3"],
    note: "the same statements, without waiting; nothing is renewed, and nothing is told",
    waits: false,
    open: async ({ url }) => {
      const floor = floors.sqlite(url, table, "full")
      let made = 0
      return {
        acquire: async (lockId) => {
          const holdId = `${process.pid}x${made++}`.padEnd(22, "0")
          if (!(await floor.claim(lockId, `owner ${holdId}`, holdId, 3_600_000_000))) throw new Error("not claimed")
          return { release: async () => floor.release(lockId, holdId) }
        },
        close: floor.close
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: ["better-sqlite3"],
    tells: true,
    open: ({ url }, settings) => library(SqliteStorage.layer({ filename: url, table }), settings)
  },
  {
    name: "@verrou/core",
    role: "peer",
    packages: ["@verrou/core", "knex"],
    note: `${verrou.note}; one connection that blocks the process while another writes`,
    polls: true,
    open: ({ url }, settings) =>
      verrou.verrouKnex(
        {
          client: "better-sqlite3",
          connection: { filename: url },
          useNullAsDefault: true,
          pool: {
            min: 1,
            max: 1,
            afterCreate: (connection: Database.Database, done: (error: unknown, connection: unknown) => void) => {
              connection.pragma("journal_mode = WAL")
              connection.pragma("synchronous = full")
              connection.pragma("busy_timeout = 5000")
              done(undefined, connection)
            }
          }
        },
        settings
      )
  }
]

const server = Effect.gen(function* () {
  const path = yield* folder
  let made = 0
  return {
    setting:
      "WAL, synchronous = full; there is no server: the program that stalls is another one that has the file's write lock",
    fresh: Effect.sync(() => ({ url: join(path, `locks-${made++}.db`), prefix: "" })),
    work: undefined,
    stall: (places) =>
      Effect.asVoid(
        Effect.forEach(places, ({ url }) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const other = new Database(url)
              other.exec("BEGIN IMMEDIATE")
              return other
            }),
            (other) => Effect.sync(() => void other.close())
          )
        )
      ),
    wire: undefined
  } satisfies Server
})

export const sqlite: StorageSubject = { name: "sqlite", title: "SQLite", server, ways }
