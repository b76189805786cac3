/** The records of free locks are dropped: late enough, by one process at a time, in the background. */
import { assert, describe, it } from "#harness/vitest"
import Database from "better-sqlite3"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import * as logs from "#harness/logs"
import { monotonicNanos } from "#effect/clocks"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import { publicId, purgeKey, storedId } from "../../src/common/ids.js"
import { resolve } from "../../src/core/options.js"
import { InvalidOptions, StorageError } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Faulty from "../support/faulty.js"
import * as Logged from "../support/logged.js"
import * as Process from "../support/process.js"

const start = Date.parse("2026-01-01")

/** A storage whose purges are told. */
const counted = Effect.map(MemoryStorage.make(), (storage) => {
  const dropped: Array<number> = []
  const told: Storage.Service = {
    ...storage,
    purge: (olderThan) => Effect.tap(storage.purge(olderThan), (count) => Effect.sync(() => dropped.push(count)))
  }
  return { storage: told, dropped }
})

const logging = <A, E, R>(self: (said: ReadonlyArray<string>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const said: Array<string> = []
    return Effect.provide(
      self(said),
      logs.to(({ message }) => void said.push(message))
    )
  })

describe("purgeAfter", () => {
  it.effect("20 000 free records are dropped after a day; what is held, and what was free for less, stays", () =>
    Effect.gen(function* () {
      const { dropped, storage } = yield* counted
      const { locks } = yield* Process.make(storage, { leaseExpireAfter: "10 minutes" })
      yield* Effect.forEach(
        Array.from({ length: 20_000 }, (_, i) => i),
        (i) => storage.claim({ lockId: `order-${i}`, ownerId: "o", holdId: `${i}`.padEnd(22, "h"), lease: 1_000_000 }),
        { discard: true }
      )
      const held = yield* locks.acquire("held")
      yield* TestClock.adjust("23 hours")
      assert.isAbove(dropped.length, 10)
      assert.isTrue(dropped.every((count) => count === 0))
      const young = yield* locks.withLock((lock) => Effect.succeed(lock.token), "young")
      yield* TestClock.adjust("3 hours")
      assert.strictEqual(
        dropped.reduce((sum, count) => sum + count, 0),
        20_000
      )
      yield* held.check
      assert.isAbove(yield* locks.withLock((lock) => Effect.succeed(lock.token), "young"), young)
      // Only people's locks are told of.
      const shown = Array.from(yield* Stream.runCollect(locks.list), ({ lockId }) => lockId)
      assert.deepStrictEqual(shown, ["held"])
    })
  )

  it.effect("of several processes over one storage, whatever their namespaces, one purges at a time", () =>
    Effect.gen(function* () {
      const { dropped, storage } = yield* counted
      for (const namespace of [undefined, "a", "b", undefined]) yield* Process.make(storage, { namespace })
      yield* TestClock.adjust("10 hours")
      // One an hour, or a little less.
      assert.isAtLeast(dropped.length, 6)
      assert.isAtMost(dropped.length, 10)
    })
  )

  it.effect('"infinity" and false switch it off', () =>
    Effect.gen(function* () {
      const { dropped, storage } = yield* counted
      for (const purgeAfter of ["infinity", false, Duration.infinity] as const)
        yield* Process.make(storage, { purgeAfter })
      yield* TestClock.adjust("3 days")
      assert.deepStrictEqual(dropped, [])
    })
  )

  it.effect(
    "a purge that fails harms nobody, and is warned of once until it works again",
    () =>
      logging((said) =>
        Effect.gen(function* () {
          const storage = yield* MemoryStorage.make()
          let fails = true
          let tries = 0
          const broken: Storage.Service = {
            ...storage,
            purge: (olderThan) =>
              Effect.suspend(() => {
                tries++
                return fails
                  ? new StorageError({
                      reason: "Permission",
                      operation: "Test.purge",
                      isRetryable: false,
                      applied: "no",
                      message: "DELETE is not granted"
                    })
                  : storage.purge(olderThan)
              })
          }
          const { locks } = yield* Process.make(broken)
          yield* TestClock.adjust("10 hours")
          assert.isAbove(tries, 5)
          assert.strictEqual(said.length, 1)
          assert.include(said[0], "DELETE is not granted")
          assert.include(said[0], "purgeAfter")
          yield* locks.withLock(() => Effect.void, "x")
          fails = false
          yield* TestClock.adjust("2 hours")
          fails = true
          yield* TestClock.adjust("2 hours")
          assert.strictEqual(said.length, 2)
        })
      ),
    60_000
  )

  it.effect("who could not purge lets another try, and says so at debug level if even that fails", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const link = Faulty.make(yield* MemoryStorage.make())
        let tries = 0
        const broken: Storage.Service = {
          ...link.storage,
          purge: () =>
            Effect.suspend(() => {
              tries++
              return Faulty.failure("Connection", "no")
            })
        }
        for (let i = 0; i < 2; i++) yield* Process.make(broken)
        yield* TestClock.adjust("10 hours")
        // Each of them once an hour, or a little less.
        assert.isAtLeast(tries, 12)
        assert.deepStrictEqual(Logged.at(lines, "Debug"), [])
        yield* link.set(["release"], Faulty.refuse)
        tries = 0
        yield* TestClock.adjust("10 hours")
        assert.isAtMost(tries, 11)
        assert.match(
          Logged.at(lines, "Debug")[0]!.message,
          /^effect-storage-lock: after a clean-up that failed its lock .* could not be given back either/
        )
      })
    )
  )

  it.effect("a purge that hangs does not keep the layer from closing", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const begun = yield* Deferred.make<void>()
      const hanging = { ...storage, purge: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) }
      const process = yield* Process.make(hanging)
      yield* TestClock.adjust("1 hour")
      yield* Deferred.await(begun)
      // Nobody moves the clock any more.
      yield* process.close
    })
  )

  it.effect("has no effect on a store without a clock, which is said to who asks for it", () =>
    logging((said) =>
      Effect.gen(function* () {
        const observed = VersionedStore.toStorage(yield* MemoryStorage.makeVersioned({ time: "none" }))
        yield* Process.make(observed)
        assert.deepStrictEqual(said, [])
        yield* Process.make(observed, { purgeAfter: "2 hours" })
        assert.strictEqual(said.length, 1)
        assert.include(said[0], "purgeAfter")
      })
    )
  )

  it.effect("goes by a clock that a store was given", () =>
    Effect.gen(function* () {
      const now = Effect.clockWith((clock) => Effect.sync(() => start + Number(monotonicNanos(clock)) / 1e6))
      const inner = yield* MemoryStorage.makeVersioned({ time: "none" })
      const store = yield* VersionedStore.withTime(inner, { name: "a test's", now })
      const { locks } = yield* Process.make(VersionedStore.toStorage(store), { purgeAfter: "2 hours" })
      yield* locks.withLock(Effect.void, "old")
      assert.isTrue(Option.isSome(yield* inner.get("old")))
      for (let i = 0; i < 50; i++) yield* TestClock.adjust("10 minutes")
      assert.isTrue(Option.isNone(yield* inner.get("old")))
    })
  )

  it.effect("is at least an hour, and of the layer", () =>
    Effect.gen(function* () {
      const { guarantees } = yield* MemoryStorage.make()
      for (const purgeAfter of ["59 minutes", 0, -1, "soon", null, true, {}]) {
        const refused = resolve({ purgeAfter } as StorageLock.Options, guarantees)
        assert.instanceOf(refused, InvalidOptions, String(purgeAfter))
        assert.strictEqual(refused.field, "purgeAfter")
      }
      for (const purgeAfter of ["1 hour", "365 days", "infinity", false, undefined] as const) {
        assert.notInstanceOf(resolve({ purgeAfter }, guarantees), InvalidOptions, String(purgeAfter))
      }
      const refused = yield* Effect.flip(
        Effect.scoped(StorageLock.tryAcquire("x", { purgeAfter: "2 hours" } as StorageLock.AcquireOptions))
      )
      assert.strictEqual(refused._tag === "InvalidOptions" ? refused.field : refused._tag, "purgeAfter")
    }).pipe(Effect.provide(StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer))))
  )

  it("no program has the id of its lock, with a namespace or without", () => {
    const parts = ["effect-storage-lock/purge", purgeKey, `\u001f${purgeKey}`, `${purgeKey}\u001f`, ""]
    for (const id of parts)
      for (const namespace of [undefined, "effect-storage-lock/purge", "a"])
        assert.notStrictEqual(storedId(id, namespace), purgeKey)
    for (const namespace of [undefined, "", "effect-storage-lock/purge"])
      assert.isUndefined(publicId(purgeKey, namespace))
  })

  it.effect("on a file of SQLite, the old records go and the others stay", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "purging-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      const filename = join(folder, "locks.db")
      const context = yield* Layer.build(SqliteStorage.layer({ filename }))
      const storage = Context.get(context, Storage.Storage)
      for (const lockId of ["old", "older", "young"]) {
        const holdId = lockId.padEnd(22, "h")
        yield* storage.claim({ lockId, ownerId: "o", holdId, lease: 10_000_000 })
        yield* storage.release({ lockId, holdId })
      }
      const db = yield* Effect.acquireRelease(
        Effect.sync(() => new Database(filename)),
        (db) => Effect.sync(() => db.close())
      )
      const ids = () =>
        db
          .prepare("SELECT CAST(lock_id AS TEXT) AS id FROM storage_lock ORDER BY 1")
          .all()
          .map((row) => (row as { id: string }).id)
      db.exec(
        "UPDATE storage_lock SET lease_expire_time = lease_expire_time - 90000000000 WHERE CAST(lock_id AS TEXT) LIKE 'old%'"
      )
      assert.deepStrictEqual(ids(), ["old", "older", "young"])
      // The file goes by the machine's time; only the layer shall go by the test's, or this would take hours.
      yield* Process.make({ ...storage, guarantees: { ...storage.guarantees, time: "program" } })
      yield* TestClock.adjust("1 hour")
      yield* Effect.repeat(Effect.void, { until: () => !ids().includes("old"), times: 1_000_000 })
      assert.deepStrictEqual(ids(), [purgeKey, "young"])
      assert.isTrue(Option.isNone(yield* storage.get("old")))
    })
  )
})
