/** The statements that all SQL storages share, on the one that needs no server, for mutants. */
import { afterAll, describe } from "#effect/vitest"
import * as Layer from "#effect/Layer"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import { skip } from "./withoutLife.js"

const directory = mkdtempSync(join(tmpdir(), "storage-lock-mutants-"))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const hooks = { shiftClient: Conformance.shiftDate }

describe("for mutants", () => {
  const filename = join(directory, "native.db")
  Conformance.suite({
    name: "SQLite",
    layer: SqliteStorage.layer({ filename, synchronous: "normal" }),
    versioned: SqliteStorage.layerVersioned({ filename, synchronous: "normal" }),
    hooks,
    skip
  })

  const versioned = join(directory, "versioned.db")
  Conformance.suite({
    name: "SQLite over compare-and-set",
    layer: Layer.provide(VersionedStore.layerStorage(), SqliteStorage.layerVersioned({ filename: versioned })),
    versioned: SqliteStorage.layerVersioned({ filename: versioned }),
    hooks,
    skip
  })
})
