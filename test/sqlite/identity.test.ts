/** The file at the path is the storage: one that was deleted or replaced under a holder ends its holds. */
import { assert, describe, it } from "#harness/vitest"
import Sqlite from "better-sqlite3"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as StorageLock from "../../src/StorageLock.js"

const file = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(join(tmpdir(), "storage-lock-"))),
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => join(folder, "locks.db")
)

const process = (filename: string) =>
  Layer.build(
    StorageLock.layer({ leaseExpireAfter: "2 seconds" }).pipe(Layer.provide(SqliteStorage.layer({ filename })))
  )

const remove = (filename: string) => {
  for (const suffix of ["", "-wal", "-shm"]) Fs.rmSync(filename + suffix, { force: true })
}

describe("the identity of the file", () => {
  for (const how of ["deleted", "replaced by a copy of before"] as const) {
    it.live(`a file that was ${how} loses its holders at their next renewal, and serves all in the new file`, () =>
      Effect.gen(function* () {
        const filename = yield* file
        const [one, other] = [yield* process(filename), yield* process(filename)]
        yield* Effect.provide(Effect.scoped(StorageLock.acquire("job")), one)
        const copy = new Sqlite(filename)
        yield* Effect.promise(() => copy.backup(`${filename}.backup`))
        copy.close()
        const lock = yield* Effect.provide(StorageLock.acquire("job"), one)
        remove(filename)
        if (how !== "deleted") Fs.renameSync(`${filename}.backup`, filename)
        const lost = yield* Effect.flip(lock.lost)
        assert.strictEqual(lost.reason, "Vanished")
        const next = yield* Effect.provide(StorageLock.acquire("job"), other)
        assert.isAbove(next.token, lock.token)
        assert.isTrue(yield* Effect.provide(StorageLock.isLocked("job"), one), "both processes are in one file again")
      })
    )
  }

  it.live("a table from before owner labels gets their column; without set-up its ALTER is told", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const old = new Sqlite(filename)
      old.exec(SqliteStorage.ddl().replace(/,\s*owner_label [^\n]*/, ""))
      old.close()
      const refused = yield* Effect.flip(Layer.build(SqliteStorage.layer({ filename, setup: false })))
      assert.match(refused.message, /run ALTER TABLE "storage_lock" ADD COLUMN owner_label TEXT NOT NULL DEFAULT ''/)
      const locks = yield* process(filename)
      const lock = yield* Effect.provide(StorageLock.acquire("job", { ownerLabel: "the night shift" }), locks)
      assert.strictEqual((yield* lock.info).ownerLabel, "the night shift")
    })
  )

  it.live("the printed statements run in a transaction, as migrations do, and the layer finds their table", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const database = new Sqlite(filename)
      database.transaction(() => database.exec(SqliteStorage.ddl()))()
      database.close()
      const locks = yield* Layer.build(
        StorageLock.layer().pipe(Layer.provide(SqliteStorage.layer({ filename, setup: false })))
      )
      yield* Effect.provide(StorageLock.acquire("job"), locks)
    })
  )

  it.live(
    "what stands at the path and is no lock file fails each call, keeps nothing open, and is over when it is gone",
    () =>
      Effect.gen(function* () {
        const filename = yield* file
        const locks = yield* process(filename)
        const look = Effect.result(Effect.provide(StorageLock.get("job"), locks))
        const opened = () => Fs.readdirSync("/proc/self/fd").length
        remove(filename)
        Fs.symlinkSync(filename, filename)
        const loop = yield* look
        assert.strictEqual(loop._tag === "Failure" && loop.failure._tag, "StorageError")
        Fs.rmSync(filename)
        Fs.writeFileSync(filename, "no database".repeat(1000))
        yield* look
        const before = Fs.existsSync("/proc/self/fd") ? opened() : 0
        for (let i = 0; i < 20; i++) assert.strictEqual((yield* look)._tag, "Failure")
        if (before > 0) assert.isBelow(opened(), before + 10)
        remove(filename)
        assert.strictEqual((yield* look)._tag, "Success")
      })
  )
})
