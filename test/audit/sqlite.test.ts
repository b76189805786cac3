/** The audit in a file of SQLite. */
import { afterAll, assert, describe, it } from "#harness/vitest"
import Database from "better-sqlite3"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as LockAudit from "../../src/LockAudit.js"
import { StorageLock } from "../../src/index.js"
import * as Storage from "../../src/Storage.js"
import { suite } from "./suite.js"

const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "storage-lock-audit-"))
afterAll(() => Fs.rmSync(directory, { recursive: true, force: true }))

const exec = (text: string) =>
  Effect.sync(() => {
    const database = new Database(filename)
    database.exec(text)
    database.close()
  })
const filename = Path.join(directory, "locks.db")
suite({
  name: "SQLite",
  layer: () => SqliteStorage.layer({ filename }),
  make: (table) => exec(SqliteStorage.ddlAudit({ table })),
  destroy: (name) => exec(`DROP TABLE "${name}"`)
})

describe("a file of SQLite that somebody else writes to", () => {
  it.live("keeps the audit out; afterwards all is there", () =>
    Effect.gen(function* () {
      const file = Path.join(directory, "busy.db")
      const context = yield* Layer.build(SqliteStorage.layer({ filename: file, operationTimeout: "300 millis" }))
      const storage = Context.get(context, Storage.Storage)
      const events = yield* Layer.build(
        LockAudit.layer({ every: "10 millis" }).pipe(
          Layer.provideMerge(StorageLock.layer()),
          Layer.provide(Layer.succeed(Storage.Storage, storage))
        )
      )
      const audit = Context.get(events, LockAudit.LockAudit)
      const locks = Context.get(events, StorageLock.StorageLock)
      const other = new Database(file)
      other.exec("BEGIN IMMEDIATE")
      // It is as stuck as the audit is, and is told of it.
      const refused = yield* Effect.flip(Effect.scoped(locks.tryAcquire("stuck")))
      assert.strictEqual(refused._tag, "StorageError")
      yield* Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), audit.counts), {
        while: ({ waiting }) => waiting === 0
      })
      other.exec("ROLLBACK")
      yield* locks.withLock(Effect.void, "free")
      yield* Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), audit.counts), {
        while: ({ waiting }) => waiting > 0
      })
      const rows = other.prepare("SELECT event FROM storage_lock_audit WHERE lock_id <> '' ORDER BY entry_id").all()
      assert.deepStrictEqual(rows, [{ event: "AcquireFailed" }, { event: "Acquired" }, { event: "Released" }])
      assert.strictEqual((yield* audit.counts).dropped, 0)
      other.close()
    }).pipe(Effect.scoped)
  )
})
