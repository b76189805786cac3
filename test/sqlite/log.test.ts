/** The log of a SQLite file (`-wal`, `-shm`) that is deleted under a holder, before another process takes its lock. */
import { assert, describe, it } from "#harness/vitest"
import Sqlite from "better-sqlite3"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as program from "../support/program.js"

const file = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => Fs.realpathSync(Fs.mkdtempSync(join(tmpdir(), "storage-lock-")))),
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => join(folder, "locks.db")
)

const ours = (filename: string) =>
  Layer.build(
    StorageLock.layer({ leaseExpireAfter: "3 seconds" }).pipe(Layer.provide(SqliteStorage.layer({ filename })))
  )

const deleteLog = (filename: string, suffixes: ReadonlyArray<string> = ["-wal", "-shm"]) => {
  for (const suffix of suffixes) Fs.rmSync(filename + suffix)
}

const takerFile = program.bundled(new URL("./taker.ts", import.meta.url))

const taker = (filename: string, lockId: string) =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [takerFile(), filename, lockId], {
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const said = (yield* Effect.promise(() => lines.next())).value as string
    const leave = Effect.promise(async () => {
      child.stdin.end()
      if (child.exitCode === null) await once(child, "exit")
    })
    return { said, leave }
  })

const ownerIn = (filename: string): unknown => {
  const database = new Sqlite(filename)
  try {
    assert.strictEqual(database.pragma("integrity_check", { simple: true }), "ok")
    return database.prepare("SELECT owner_id FROM storage_lock WHERE lock_id = 'job' AND holds <> ''").pluck().get()
  } finally {
    database.close()
  }
}

describe("a log that was deleted alone", () => {
  for (const takerLeaves of [true, false]) {
    it.live(
      `ends its holds at their next renewal, and is never written over what others did (the other process ${takerLeaves ? "is gone" : "stays"})`,
      () =>
        Effect.gen(function* () {
          const filename = yield* file
          const scope = yield* Scope.make()
          const locks = yield* Scope.provide(ours(filename), scope)
          const lock = yield* Effect.provide(Scope.provide(StorageLock.acquire("job"), scope), locks)
          deleteLog(filename)
          const other = yield* taker(filename, "job")
          assert.strictEqual(other.said, "Claimed", "else there is nothing to see here")
          if (takerLeaves) yield* other.leave
          yield* Effect.flip(lock.lost)
          const got = yield* Effect.provide(Effect.scoped(StorageLock.tryAcquire("job")), locks)
          assert.isTrue(Option.isNone(got))
          yield* Scope.close(scope, Exit.void)
          yield* other.leave
          assert.strictEqual(ownerIn(filename), "taker")
        })
    )
  }

  it.live("is not written over what others did by a layer that only ends", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const scope = yield* Scope.make()
      const locks = yield* Scope.provide(ours(filename), scope)
      yield* Effect.provide(Effect.scoped(StorageLock.acquire("job")), locks)
      deleteLog(filename)
      const other = yield* taker(filename, "job")
      yield* other.leave
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(ownerIn(filename), "taker")
    })
  )

  for (const suffixes of [["-wal"], ["-shm"]]) {
    it.live(`also if only ${suffixes[0]} is gone`, () =>
      Effect.gen(function* () {
        const filename = yield* file
        const [one, two] = [yield* ours(filename), yield* ours(filename)]
        yield* Effect.provide(StorageLock.acquire("another"), two)
        const lock = yield* Effect.provide(StorageLock.acquire("job"), one)
        deleteLog(filename, suffixes)
        yield* Effect.provide(StorageLock.isLocked("another"), two)
        // Both layers of this process are in the files that stand there now, and so is another process.
        const other = yield* taker(filename, "seen by all")
        assert.strictEqual(other.said, "Claimed")
        assert.isTrue(yield* Effect.provide(StorageLock.isLocked("seen by all"), one))
        assert.isTrue(yield* Effect.provide(StorageLock.isLocked("seen by all"), two))
        // The holder hears of it at the next renewal.
        yield* Effect.exit(lock.renew)
        const held = yield* Effect.isSuccess(lock.check)
        assert.strictEqual(yield* Effect.provide(StorageLock.isLocked("job"), two), held)
      })
    )
  }

  it.live("and that another connection of the program still has open fails each call until that one is closed", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const locks = yield* ours(filename)
      yield* Effect.provide(Effect.scoped(StorageLock.acquire("job")), locks)
      const foreign = new Sqlite(filename)
      foreign.prepare("SELECT count(*) FROM storage_lock").get()
      deleteLog(filename)
      if (process.platform === "linux") {
        const failed = yield* Effect.flip(Effect.provide(StorageLock.isLocked("job"), locks))
        assert.strictEqual(failed._tag, "StorageError")
        assert.match(failed.message, /a connection of this program that is not the library's still has it open/)
      }
      foreign.close()
      const other = yield* taker(filename, "job")
      assert.strictEqual(other.said, "Claimed")
      assert.isTrue(yield* Effect.provide(StorageLock.isLocked("job"), locks))
    })
  )
})

describe("wake-ups", () => {
  it.live("come from the file that stands at the path now", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const storage = yield* Effect.map(Layer.build(SqliteStorage.layer({ filename })), Context.get(Storage.Storage))
      const hint = yield* Effect.forkChild(Stream.runHead(Stream.drop(storage.wakeUps, 10)))
      const other = yield* ours(filename)
      const work = Effect.provide(Effect.scoped(StorageLock.acquire("job")), other)
      yield* work
      for (const suffix of ["", "-wal", "-shm"]) Fs.rmSync(filename + suffix)
      // More than can be left of the log before. The watch of the new one begins a moment later.
      yield* work.pipe(Effect.delay("100 millis"), Effect.forever, Effect.raceFirst(Fiber.join(hint)))
    })
  )
})

describe("a path", () => {
  it.live("is that of the directory in which the layer began, and a link that leads elsewhere is another storage", () =>
    Effect.gen(function* () {
      const filename = yield* file
      const before = process.cwd()
      yield* Effect.addFinalizer(() => Effect.sync(() => process.chdir(before)))
      process.chdir(join(filename, ".."))
      Fs.symlinkSync("first.db", "locks.db")
      const locks = yield* ours("locks.db")
      const lock = yield* Effect.provide(StorageLock.acquire("job"), locks)
      process.chdir("/")
      yield* lock.check
      assert.isTrue(yield* Effect.provide(StorageLock.isLocked("job"), locks))
      Fs.rmSync(filename)
      Fs.symlinkSync("second.db", filename)
      assert.strictEqual((yield* Effect.flip(lock.lost)).reason, "Vanished")
      assert.isFalse(Fs.existsSync("/locks.db"))
    })
  )
})
