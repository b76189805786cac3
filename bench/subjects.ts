/** The storages that are measured, each with its floor beside it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PostgresStorage from "../src/backends/PostgresStorage.js"
import * as SqliteStorage from "../src/backends/SqliteStorage.js"
import * as MemoryStorage from "../src/MemoryStorage.js"
import * as Storage from "../src/Storage.js"
import * as StorageLock from "../src/StorageLock.js"
import type { PostgresServer } from "../test/harness/postgres.js"
import * as floors from "./floor.js"

export const table = "storage_lock"
/** Of every contender. */
export const leaseMillis = 10_000

export interface Subject {
  readonly name: string
  readonly floorName: string
  readonly floor: floors.Floor
  readonly storage: Storage.Service
  readonly context: Context.Context<StorageLock.StorageLock>
  /** What was found out about durability, for the report. */
  readonly setting: string
}

const make = (
  names: Pick<Subject, "name" | "floorName" | "setting">,
  floor: floors.Floor,
  layer: Layer.Layer<Storage.Storage, unknown>
): Effect.Effect<Subject, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    yield* Effect.addFinalizer(() => Effect.promise(floor.close))
    const context = yield* Layer.build(
      Layer.provideMerge(StorageLock.layer({ leaseExpireAfter: leaseMillis }), layer)
    )
    return { ...names, floor, storage: Context.get(context, Storage.Storage), context }
  })

export const memory = make(
  { name: "memory", floorName: "the transition on a Map", setting: "in one process" },
  floors.memory(),
  MemoryStorage.layer
)

/** In the system's folder for temporary files. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-bench-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A file each: with one file, each of the two connections would find its cache spoilt by the other. */
export const sqlite = (synchronous: "full" | "normal") =>
  Effect.gen(function*() {
    const path = yield* folder
    return yield* make(
      { name: `SQLite, ${synchronous}`, floorName: "better-sqlite3", setting: `WAL, synchronous = ${synchronous}` },
      floors.sqlite(join(path, "floor.db"), table, synchronous),
      SqliteStorage.layer({ filename: join(path, "ours.db"), table, synchronous })
    )
  })

/** One table for all: it grows under all alike. */
export const postgres = (server: PostgresServer, poolSize: number) =>
  Effect.gen(function*() {
    const url = yield* server.freshDatabase
    const pool = floors.postgresPool(url, poolSize)
    const subject = yield* make(
      { name: "PostgreSQL", floorName: "pg", setting: "" },
      floors.postgres(pool, table),
      PostgresStorage.layer({ url: Redacted.make(url), table, poolSize })
    )
    const { rows } = yield* Effect.promise(() =>
      pool.query(
        `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
        current_setting('synchronous_commit') AS commit`
      )
    )
    const [{ commit, fsync, version }] = rows
    return { ...subject, setting: `server ${version}, fsync ${fsync}, synchronous_commit ${commit}, pool of ${poolSize}` }
  })
