/** SQLite keeps every promise, by its own statements and over compare-and-set. Each build of a layer is a connection of its own to one file. */
import Database from "better-sqlite3"
import { afterAll } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"

const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-conformance-"))
afterAll(() => Fs.rmSync(directory, { recursive: true, force: true }))

/** The program has a transaction open on the very file, in its context as `@effect/sql` puts it there, and rolls it back. */
/** Of a connection of the program. */
const inTransaction =
  (filename: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => new Database(filename).exec("BEGIN")),
      () => effect,
      (program) =>
        Effect.sync(() => {
          program.exec("ROLLBACK")
          program.close()
        })
    )

for (const synchronous of ["full", "normal"] as const) {
  const filename = Path.join(directory, `native-${synchronous}.db`)
  Conformance.suite({
    name: `SqliteStorage, synchronous ${synchronous}`,
    layer: SqliteStorage.layer({ filename, synchronous }),
    versioned: SqliteStorage.layerVersioned({ filename, synchronous }),
    hooks: { shiftClient: Conformance.shiftDate, inTransaction: inTransaction(filename) }
  })
}

const filename = Path.join(directory, "versioned.db")
Conformance.suite({
  name: "SqliteStorage.layerVersioned, over compare-and-set",
  effort: 0.2,
  layer: Layer.provide(VersionedStore.layerStorage(), SqliteStorage.layerVersioned({ filename })),
  versioned: SqliteStorage.layerVersioned({ filename }),
  hooks: { shiftClient: Conformance.shiftDate, inTransaction: inTransaction(filename) }
})
