import { afterAll, beforeAll, describe, expect, it } from "#harness/vitest"
import Sqlite from "better-sqlite3"
import * as Cause from "#effect/Cause"
import * as Config from "#harness/Config"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as fibers from "#effect/fibers"
import * as configs from "#harness/configs"
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as direct from "../../src/common/direct.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import * as connection from "../../src/backends/sqlite/connection.js"
import { classify } from "../../src/backends/sqlite/errors.js"
import * as options from "../../src/backends/sqlite/options.js"
import type { InvalidOptions, StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"

let directory: string
let files = 0
const newFile = () => join(directory, `locks ${files++}.db`)
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "storage-lock-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const second = 1_000_000
const hold = (letter: string) => letter.repeat(22)
const claim = (lockId: string, ownerId: string, letter: string, lease = 60 * second): LockRecord.Claim => ({
  lockId,
  ownerId,
  holdId: hold(letter),
  lease
})

const using = <A, E>(
  layerOptions: SqliteStorage.Options,
  body: (storage: Storage.Service) => Effect.Effect<A, E>
): Effect.Effect<A, E | StorageError | InvalidOptions> =>
  Effect.provide(Effect.flatMap(Storage.Storage, body), SqliteStorage.layer(layerOptions))

/** Two connections to a new file, and, once `hear` is run, what the first is told. */
const hearing = <A, E>(
  body: (two: {
    readonly mine: Storage.Service
    readonly theirs: Storage.Service
    readonly hints: ReadonlyArray<string>
    readonly hear: Effect.Effect<void, never, Scope.Scope>
    readonly told: (count: number) => Effect.Effect<unknown>
  }) => Effect.Effect<A, E, Scope.Scope>
) => {
  const filename = newFile()
  return using({ filename }, (mine) =>
    using({ filename }, (theirs) => {
      const hints: Array<string> = []
      const hear = Effect.asVoid(
        Effect.forkScoped(Stream.runForEach(mine.wakeUps, (hint) => Effect.sync(() => hints.push(hint))))
      )
      const told = (count: number) => Effect.repeat(Effect.sleep("5 millis"), { until: () => hints.length >= count })
      return Effect.scoped(body({ mine, theirs, hints, hear, told }))
    })
  )
}

/** Somebody else's connection to the file. */
const beside = <A, E>(filename: string, body: (db: Sqlite.Database) => Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Sqlite(filename)),
    body,
    (db) => Effect.sync(() => db.close())
  )

const failure = (layerOptions: SqliteStorage.Options) =>
  Effect.flip(Effect.scoped(Layer.build(SqliteStorage.layer(layerOptions))))

const openFiles = (prefix: string) =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(prefix)
    } catch {
      return false
    }
  })

describe("SqliteStorage", () => {
  it.live("a contended claim and a repeated one write nothing", () => {
    const filename = newFile()
    return using({ filename }, (storage) =>
      beside(filename, (db) =>
        Effect.gen(function* () {
          const version = () => db.pragma("data_version", { simple: true })
          const first = version()
          yield* storage.claim(claim("a", "me", "1"))
          const written = version()
          expect(written).not.toBe(first)
          const again = yield* storage.claim(claim("a", "me", "1"))
          expect(again._tag).toBe("Claimed")
          const held = yield* storage.claim(claim("a", "you", "2"))
          expect(held._tag === "Held" && held.holder?.ownerId).toBe("me")
          expect(version()).toBe(written)
        })
      )
    )
  })

  it.live("a contended claim is answered while another connection holds the write lock", () => {
    const filename = newFile()
    return using({ filename, operationTimeout: "50 millis" }, (storage) =>
      beside(filename, (db) =>
        Effect.gen(function* () {
          yield* storage.claim(claim("a", "me", "1"))
          db.exec("BEGIN IMMEDIATE")
          expect((yield* storage.claim(claim("a", "you", "2")))._tag).toBe("Held")
          db.exec("ROLLBACK")
        })
      )
    )
  })

  it.live(
    "the program's own write transaction on the file ends in a timely error that says so, and nothing is broken after it",
    () => {
      const filename = newFile()
      return using({ filename, operationTimeout: "100 millis" }, (storage) =>
        beside(filename, (db) =>
          Effect.gen(function* () {
            db.exec("BEGIN IMMEDIATE")
            // The first preparation of this statement is under the lock: its failure must not be remembered.
            const error = yield* Effect.flip(storage.claim(claim("a", "me", "1")))
            expect(error).toMatchObject({
              reason: "Timeout",
              isRetryable: true,
              applied: "no",
              operation: "SqliteStorage.claim"
            })
            expect(error.message).toContain("a file of its own")
            expect(yield* Effect.flip(storage.release({ lockId: "a", holdId: hold("1") }))).toMatchObject({
              reason: "Timeout"
            })
            db.exec("ROLLBACK")
            expect((yield* storage.claim(claim("a", "me", "1")))._tag).toBe("Claimed")
          })
        )
      )
    }
  )

  it.live("the caller's own limit ends the waiting before operationTimeout", () => {
    const filename = newFile()
    return using({ filename, operationTimeout: "10 minutes" }, (storage) =>
      beside(filename, (db) =>
        Effect.gen(function* () {
          db.exec("BEGIN IMMEDIATE")
          const error = yield* Effect.flip(
            Effect.provideService(storage.claim(claim("a", "me", "1")), Storage.TimeLimit, Duration.millis(80))
          )
          expect(error.reason).toBe("Timeout")
          db.exec("ROLLBACK")
        })
      )
    )
  })

  it.live("a write waits for another writer to end, and the event loop turns meanwhile", () => {
    const filename = newFile()
    return using({ filename, operationTimeout: "1 minute" }, (storage) =>
      beside(filename, (db) =>
        Effect.gen(function* () {
          db.exec("BEGIN IMMEDIATE")
          const waiting = yield* Effect.forkChild(storage.claim(claim("a", "me", "1")))
          yield* Effect.sleep("50 millis")
          expect(fibers.exitOf(waiting)).toBeUndefined()
          db.exec("COMMIT")
          expect((yield* Fiber.join(waiting))._tag).toBe("Claimed")
        })
      )
    )
  })

  it.live("the file is in WAL mode and commits are synced in full, unless asked otherwise", () =>
    Effect.gen(function* () {
      for (const [synchronous, level] of [
        [undefined, 2],
        ["normal", 1]
      ] as const) {
        const resolved = options.resolve({ filename: newFile(), synchronous })
        if ("_tag" in resolved) return yield* Effect.fail(resolved)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const handle = yield* connection.open(resolved, "test")
            expect(yield* handle.run("read", "PRAGMA synchronous")).toEqual([{ synchronous: level }])
            expect(yield* handle.run("read", "PRAGMA journal_mode")).toEqual([{ journal_mode: "wal" }])
            expect(yield* handle.run("read", "PRAGMA busy_timeout")).toEqual([{ timeout: 0 }])
          })
        )
      }
    })
  )

  it.live("without setup nothing is made; a missing file or table is said, and the printed DDL is enough", () =>
    Effect.gen(function* () {
      const filename = newFile()
      expect(yield* failure({ filename, setup: false })).toMatchObject({ _tag: "StorageError", reason: "Connection" })
      expect(readdirSync(directory).map((name) => join(directory, name))).not.toContain(filename)

      writeFileSync(filename, "")
      expect(yield* failure({ filename, setup: false })).toMatchObject({ _tag: "StorageError", reason: "Schema" })

      const table = 'my "own".locks; DROP TABLE x --é🔒'
      yield* beside(filename, (db) => Effect.sync(() => db.exec(SqliteStorage.ddl({ table }))))
      yield* using({ filename, setup: false, table }, (storage) =>
        Effect.map(storage.claim(claim("a", "me", "1")), (outcome) => expect(outcome._tag).toBe("Claimed"))
      )
      yield* beside(filename, (db) =>
        Effect.sync(() => {
          expect(db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()).toEqual([{ name: table }])
          expect(db.pragma("journal_mode", { simple: true })).toBe("wal")
        })
      )
    })
  )

  it.live(
    "a table made after the first failure is found, and so is one that was dropped and made again: no failure is remembered",
    () => {
      const filename = newFile()
      return using({ filename }, (storage) =>
        beside(filename, (db) =>
          Effect.gen(function* () {
            db.exec("DROP TABLE storage_lock")
            expect(yield* Effect.flip(storage.claim(claim("a", "me", "1")))).toMatchObject({
              reason: "Schema",
              applied: "no"
            })
            db.exec(SqliteStorage.ddl())
            expect((yield* storage.claim(claim("a", "me", "1")))._tag).toBe("Claimed")
            db.exec("ALTER TABLE storage_lock ADD COLUMN note TEXT")
            expect((yield* storage.claim(claim("a", "you", "2")))._tag).toBe("Held")
            expect((yield* storage.release({ lockId: "a", holdId: hold("1") }))._tag).toBe("Released")
            db.exec("DROP TABLE storage_lock")
            expect(yield* Effect.flip(storage.claim(claim("a", "me", "1")))).toMatchObject({
              reason: "Schema",
              applied: "no"
            })
            db.exec(SqliteStorage.ddl())
            expect((yield* storage.claim(claim("a", "me", "1")))._tag).toBe("Claimed")
          })
        )
      )
    }
  )

  it.live("ids that a collation would fold, and hostile ones, are locks of their own", () => {
    const ids = [
      "foo",
      "Foo",
      "foo ",
      "é",
      "e\u0301",
      "🔒",
      "a'b",
      'a"b',
      "a,b",
      "%",
      "_",
      "\\",
      "x'; DROP TABLE storage_lock; --",
      "\u001f",
      '["a"]',
      "null"
    ]
    return using({ filename: newFile() }, (storage) =>
      Effect.gen(function* () {
        for (const id of ids) expect((yield* storage.claim(claim(id, `owner of ${id}`, "1")))._tag).toBe("Claimed")
        const renewed = yield* storage.renew(ids.map((lockId) => ({ lockId, holdId: hold("1"), lease: 90 * second })))
        expect(renewed.map((outcome) => outcome._tag)).toEqual(ids.map(() => "Renewed"))
        const listed = yield* Stream.runCollect(storage.list)
        expect(new Set(listed.map(({ record }) => `${record.lockId}|${record.ownerId}`))).toEqual(
          new Set(ids.map((id) => `${id}|owner of ${id}`))
        )
      })
    )
  })

  it.live("all held locks are listed over several pages", () =>
    using({ filename: newFile(), synchronous: "normal" }, (storage) =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 600 }, (_, i) => `lock ${i}`)
        for (const id of ids) yield* storage.claim(claim(id, "me", "1"))
        yield* storage.release({ lockId: "lock 7", holdId: hold("1") })
        const listed = (yield* Stream.runCollect(storage.list)).map(({ record }) => record.lockId)
        expect(listed).toEqual(ids.filter((id) => id !== "lock 7").sort())
      })
    )
  )

  it.live(
    "a free record is forgotten after an hour, not before; one of a newer format never, and none may touch it",
    () => {
      const filename = newFile()
      return using({ filename }, (storage) =>
        beside(filename, (db) =>
          Effect.gen(function* () {
            for (const id of ["old", "young", "newer"]) {
              yield* storage.claim(claim(id, "me", "1", second))
              yield* storage.release({ lockId: id, holdId: hold("1") })
            }
            const age = db.prepare(
              "UPDATE storage_lock SET lease_expire_time = lease_expire_time - ? WHERE lock_id = ?"
            )
            age.run(3_700 * second, "old")
            age.run(3_500 * second, "young")
            age.run(9_000 * second, "newer")
            db.exec("UPDATE storage_lock SET format = 2 WHERE lock_id = 'newer'")
            expect(yield* storage.purge(0)).toBe(1)
            expect(yield* storage.purge(Duration.infinity)).toBe(0)
            expect(db.prepare("SELECT lock_id FROM storage_lock ORDER BY 1").pluck().all()).toEqual(["newer", "young"])

            const row = () => db.prepare("SELECT * FROM storage_lock WHERE lock_id = 'newer'").get()
            const before = row()
            const one = { lockId: "newer", holdId: hold("1") }
            const operations: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
              storage.claim(claim("newer", "me", "2")),
              storage.renew([{ ...one, lease: second }]),
              storage.release(one),
              storage.revoke({ lockId: "newer", token: 1, when: "now" })
            ]
            for (const operation of operations)
              expect(yield* Effect.flip(operation)).toMatchObject({ reason: "Schema" })
            expect(row()).toEqual(before)
          })
        )
      )
    }
  )

  it.live(
    "a live lock of another kind in the same table keeps an exclusive one out, and is replaced whole when it is over",
    () => {
      const filename = newFile()
      const both = Layer.merge(SqliteStorage.layer({ filename }), SqliteStorage.layerVersioned({ filename }))
      return Effect.provide(
        Effect.gen(function* () {
          const storage = yield* Storage.Storage
          const store = yield* VersionedStore.VersionedStore
          const now = yield* store.time!
          const permits: LockRecord.LockRecord = {
            lockId: "a",
            kind: "permits",
            format: 1,
            ownerId: "me",
            holds: [hold("1")],
            token: now,
            version: now,
            lockBeginTime: now,
            leaseExpireTime: now + 60 * second,
            data: '{"limit":3}'
          }
          yield* store.create("a", permits.version, permits)
          expect(yield* Effect.flip(store.create("a", permits.version, permits))).toMatchObject({ _tag: "VersionMiss" })
          expect(yield* storage.claim(claim("a", "me", "2"))).toMatchObject({
            _tag: "Held",
            holder: { kind: "permits", data: '{"limit":3}' }
          })

          expect(yield* Effect.flip(store.update("a", now - 1, permits))).toMatchObject({ _tag: "VersionMiss" })
          yield* store.update("a", now, { ...permits, version: now + 1, leaseExpireTime: now - 1 })
          const claimed = yield* storage.claim(claim("a", "me", "2"))
          expect(claimed).toMatchObject({
            _tag: "Claimed",
            record: { kind: "exclusive", data: "", holds: [hold("2")], version: now + 2 }
          })
          expect(claimed._tag === "Claimed" && claimed.record.token > now).toBe(true)
          expect(yield* Effect.flip(store.delete("a", now))).toMatchObject({ _tag: "VersionMiss" })
          yield* store.delete("a", now + 2)
          expect((yield* Stream.runCollect(store.list)).length).toBe(0)
        }),
        both
      )
    }
  )

  it.live(
    "a commit of another connection wakes waiters; a refused claim does not",
    () =>
      hearing(({ hear, hints, mine, theirs, told }) =>
        Effect.gen(function* () {
          yield* hear
          yield* told(1)
          yield* theirs.claim(claim("a", "them", "1"))
          yield* told(2)
          yield* Effect.sleep("150 millis")
          const quiet = hints.length
          yield* mine.claim(claim("a", "me", "2"))
          yield* theirs.claim(claim("a", "someone", "3"))
          yield* Effect.sleep("150 millis")
          expect(hints.length).toBe(quiet)
          expect(new Set(hints)).toEqual(new Set(["all"]))
        })
      ),
    { timeout: 20_000 }
  )

  it.live(
    "who waits for a lock is told of that one alone, when it was freed: also if it is taken again already, and not of what was given back here",
    () =>
      hearing(({ hear, hints, mine, theirs, told }) =>
        Effect.gen(function* () {
          yield* theirs.claim(claim("a", "them", "1"))
          yield* theirs.claim(claim("b", "them", "2"))
          yield* mine.claim(claim("a", "me", "3"))
          yield* hear
          yield* Effect.sleep("150 millis")
          yield* theirs.release({ lockId: "b", holdId: hold("2") })
          yield* theirs.claim(claim("c", "them", "4"))
          yield* Effect.sleep("150 millis")
          expect(hints).toEqual([])
          yield* theirs.release({ lockId: "a", holdId: hold("1") })
          yield* theirs.claim(claim("a", "them", "5"))
          yield* told(1)
          yield* Effect.sleep("150 millis")
          yield* theirs.release({ lockId: "a", holdId: hold("5") })
          yield* told(2)
          yield* Effect.sleep("150 millis")
          expect(hints).toEqual(["a", "a"])

          // It has had it, and waits again.
          yield* mine.claim(claim("a", "me", "6"))
          yield* mine.release({ lockId: "a", holdId: hold("6") })
          direct.hintsOf(mine.wakeUps).expects?.("a")
          yield* theirs.claim(claim("a", "them", "7"))
          yield* Effect.sleep("150 millis")
          expect(hints).toEqual(["a", "a"])
          yield* theirs.release({ lockId: "a", holdId: hold("7") })
          yield* told(3)
        })
      )
  )

  it.live("nonsense is refused before any I/O", () =>
    Effect.gen(function* () {
      const filename = join(directory, "never made.db")
      const nonsense: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
        ["filename", { filename: "" }],
        ["filename", { filename: " locks.db" }],
        ["filename", { filename: "a\0b" }],
        ["filename", { filename: "file:locks.db?nolock=1" }],
        ["filename", { filename: undefined }],
        ["table", { filename, table: "" }],
        ["table", { filename, table: "a\0b" }],
        ["table", { filename, table: "x".repeat(129) }],
        ["table", { filename, table: "sqlite_locks" }],
        ["synchronous", { filename, synchronous: "off" }],
        ["setup", { filename, setup: "yes" }],
        ["operationTimeout", { filename, operationTimeout: 0 }],
        ["operationTimeout", { filename, operationTimeout: "soon" }],
        ["operationTimeout", { filename, operationTimeout: "Infinity" }]
      ]
      for (const [field, wrong] of nonsense) {
        expect(yield* failure(wrong as never)).toMatchObject({ _tag: "InvalidOptions", field })
      }
      expect(readdirSync(directory)).not.toContain("never made.db")
    })
  )

  it.live("a file that cannot be opened is an error, never a defect", () =>
    Effect.gen(function* () {
      const noDatabase = newFile()
      writeFileSync(noDatabase, "this is a letter, not a database\n".repeat(100))
      const folder = newFile()
      mkdirSync(folder)
      for (const [filename, reason] of [
        [join(directory, "no such directory", "locks.db"), "Connection"],
        [folder, "Connection"],
        [noDatabase, "Schema"]
      ] as const) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(SqliteStorage.layer({ filename }))))
        if (Exit.isSuccess(exit)) return expect.unreachable()
        expect(Option.getOrThrow(Cause.findErrorOption(exit.cause))).toMatchObject({
          _tag: "StorageError",
          reason,
          operation: "SqliteStorage.open"
        })
      }
    })
  )

  // Root may write everywhere.
  it.live.skipIf(process.getuid?.() === 0)("a directory or a file that may not be written is said to be so", () =>
    Effect.gen(function* () {
      const folder = newFile()
      mkdirSync(folder, { mode: 0o555 })
      expect(yield* failure({ filename: join(folder, "locks.db") })).toMatchObject({
        reason: "Connection",
        applied: "no"
      })
      const filename = newFile()
      writeFileSync(filename, "", { mode: 0o444 })
      expect(yield* failure({ filename })).toMatchObject({ reason: "Permission", applied: "no" })
    })
  )

  it.live("a connection that may not write is a matter of permission", () => {
    const filename = newFile()
    return Effect.gen(function* () {
      yield* using({ filename }, () => Effect.void)
      const db = new Sqlite(filename, { readonly: true })
      const refused = yield* Effect.flip(
        Effect.try({
          try: () => db.exec("DELETE FROM storage_lock"),
          catch: (cause) => classify("test", cause)
        })
      )
      db.close()
      expect(refused).toMatchObject({ reason: "Permission", isRetryable: false, applied: "no" })
    })
  })

  it.live("closing the layer closes every handle of the file", () => {
    const filename = newFile()
    return Effect.gen(function* () {
      yield* using({ filename }, (storage) =>
        Effect.gen(function* () {
          yield* storage.claim(claim("a", "me", "1"))
          expect(openFiles(filename).length).toBeGreaterThan(0)
        })
      )
      expect(openFiles(filename)).toEqual([])
      // The log is merged into the file, so the file alone is the whole.
      expect(readdirSync(directory).filter((name) => join(directory, name).startsWith(`${filename}-`))).toEqual([])
    })
  })

  it.live("both ports of one connection see one record, and close with their scope", () =>
    Effect.gen(function* () {
      const filename = newFile()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { storage, versioned } = yield* SqliteStorage.make({ filename })
          yield* storage.claim(claim("a", "me", "h"))
          const record = yield* versioned.get("a")
          expect(Option.isSome(record) && record.value.ownerId).toBe("me")
        })
      )
      expect(openFiles(filename)).toEqual([])
      const error = yield* Effect.flip(Effect.scoped(SqliteStorage.make({ filename, tabel: "t" } as never)))
      expect(error._tag).toBe("InvalidOptions")
    })
  )

  it.live("options come from the configuration, and a bad value is an error of its own", () =>
    Effect.gen(function* () {
      const configured = SqliteStorage.layerConfig({ filename: Config.String("LOCK_FILE"), table: Config.succeed("t") })
      const build = (entries: ReadonlyArray<readonly [string, string]>) =>
        Effect.scoped(Layer.build(configured)).pipe(Effect.provide(configs.from(Object.fromEntries(entries))))
      yield* build([["LOCK_FILE", ":memory:"]])
      expect(String(yield* Effect.flip(build([])))).toContain("LOCK_FILE")
    })
  )
})
