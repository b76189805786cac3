/** The storages whose every operation is compared with the bare driver's, statement by statement. */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { join } from "node:path"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as floors from "./floor.js"
import { table } from "./subjects/postgres.js"
import { folder } from "./subjects/sqlite.js"
import { leaseMillis, type Server } from "./subjects/Subject.js"

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
  Effect.gen(function* () {
    yield* Effect.addFinalizer(() => Effect.promise(floor.close))
    const context = yield* Layer.build(Layer.provideMerge(StorageLock.layer({ leaseExpireAfter: leaseMillis }), layer))
    return { ...names, floor, storage: Context.get(context, Storage.Storage), context }
  })

export const memory = make(
  { name: "memory", floorName: "the transition on a Map", setting: "in one process" },
  floors.memory(),
  MemoryStorage.layer
)

/** A file each: with one file, each of the two connections would find its cache spoilt by the other. */
export const sqlite = (synchronous: "full" | "normal") =>
  Effect.gen(function* () {
    const path = yield* folder
    return yield* make(
      { name: `SQLite, ${synchronous}`, floorName: "better-sqlite3", setting: `WAL, synchronous = ${synchronous}` },
      floors.sqlite(join(path, "floor.db"), table, synchronous),
      SqliteStorage.layer({ filename: join(path, "ours.db"), table, synchronous })
    )
  })

/** One table for all: it grows under all alike. */
export const postgres = (server: Server, poolSize: number) =>
  Effect.gen(function* () {
    const { url } = yield* server.fresh
    return yield* make(
      { name: "PostgreSQL", floorName: "pg", setting: "" },
      floors.postgres(floors.postgresPool(url, poolSize), table),
      PostgresStorage.layer({ url: Redacted.make(url), table, poolSize })
    )
  })
