/** Writes of one turn of the event loop commit together, and none of them can fail or change another. */
import { assert, describe, it } from "#harness/vitest"
import Sqlite from "better-sqlite3"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import { live } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import * as Result from "#effect/Result"
import * as Stream from "#effect/Stream"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as direct from "../../src/common/direct.js"
import * as Connection from "../../src/backends/sqlite/connection.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Native from "../../src/backends/sqlite/storage.js"
import * as Versioned from "../../src/backends/sqlite/versioned.js"

const lease = 30_000_000
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
const atOnce = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) => Effect.all(effects, { concurrency: "unbounded" })
const id = (name: string) => name.padEnd(22, "x")

const eventLoop = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

const made = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sqlite-grouping-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const filename = join(directory, "locks.db")
  const table = "storage_lock"
  const options = { filename, table, setup: true, synchronous: "full", timeoutMillis: 5000 } as const
  const handle = yield* Connection.open(options, "SqliteStorage")
  const storage = Native.make(handle, table, Stream.empty)
  const versioned = Versioned.make(handle, table, Stream.empty)
  const other = yield* Effect.acquireRelease(
    Effect.sync(() => new Sqlite(filename)),
    (database) => Effect.sync(() => database.close())
  )
  return {
    other,
    storage,
    versioned,
    claim: (lockId: string, ownerId = "me", holdId = "h") =>
      storage.claim({ lockId, ownerId, holdId: id(holdId), lease }),
    release: (lockId: string, holdId = "h") => storage.release({ lockId, holdId: id(holdId) }),
    /** Counted in the log, where the last frame of each says so. */
    commits: Effect.sync(() => {
      const log = readFileSync(`${filename}-wal`)
      const frame = log.readUInt32BE(8) + 24
      let count = 0
      // Frames of before the log was begun again have other salts.
      for (let at = 32; at + frame <= log.length; at += frame)
        if (log.readUInt32BE(at + 8) === log.readUInt32BE(16) && log.readUInt32BE(at + 4) !== 0) count++
      return count
    })
  }
})

describe("SQLite at once", () => {
  /** Whether the answer came before the question returned, and whether it is one, and no effect that must yet be run. */
  const asked = <A extends { readonly _tag: string }>(
    ask: (done: (answer: Effect.Effect<A, unknown>) => void) => void
  ): A | undefined => {
    let answer: Effect.Effect<A, unknown> | undefined
    ask((given) => (answer = given))
    return answer !== undefined && Exit.isExit(answer) && Exit.isSuccess(answer) ? (answer.value as A) : undefined
  }

  it.live("a claim, one that is refused, and a release are answered within the call", () =>
    Effect.gen(function* () {
      const { commits, other, storage } = yield* made
      const { claim, release } = direct.of(storage)!
      const request = { lockId: "a", ownerId: "me", holdId: id("h"), lease }
      const before = yield* commits
      assert.strictEqual(asked<LockRecord.ClaimOutcome>((done) => claim(request, 1_000, done, live))?._tag, "Claimed")
      yield* eventLoop
      assert.strictEqual((yield* commits) - before, 1)
      // It only reads: nobody's writing is in its way.
      other.exec("BEGIN IMMEDIATE")
      assert.strictEqual(
        asked<LockRecord.ClaimOutcome>((done) => claim({ ...request, ownerId: "you" }, 1_000, done, live))?._tag,
        "Held"
      )
      other.exec("ROLLBACK")
      assert.strictEqual((yield* commits) - before, 1)
      yield* eventLoop
      assert.deepStrictEqual(
        asked<LockRecord.ReleaseOutcome>((done) => release({ lockId: "a", holdId: id("h") }, 1_000, done, live)),
        { _tag: "Released", remaining: 0 }
      )
      assert.strictEqual((yield* commits) - before, 2)
    })
  )

  it.live("where somebody writes, it is tried again, and nothing is done twice", () =>
    Effect.gen(function* () {
      const { other, storage } = yield* made
      const claim = storage.claim({ lockId: "a", ownerId: "me", holdId: id("h"), lease })
      const release = storage.release({ lockId: "a", holdId: id("h") })
      for (const [ask, tag] of [
        [claim, "Claimed"],
        [release, "Released"]
      ] as const) {
        other.exec("BEGIN IMMEDIATE")
        const waiting = yield* Effect.forkChild(
          Effect.map(ask as Effect.Effect<{ readonly _tag: string }, StorageError>, (outcome) => outcome._tag)
        )
        yield* Effect.sleep(20)
        assert.isUndefined(fibers.exitOf(waiting))
        other.exec("ROLLBACK")
        assert.strictEqual(yield* Fiber.join(waiting), tag)
      }
    })
  )
})

describe("grouping on SQLite", () => {
  it.live("a hundred locks are claimed and released by few commits, each for its owner", () =>
    Effect.gen(function* () {
      const { claim, commits, release } = yield* made
      const before = yield* commits
      const mine = yield* atOnce(numbers(100).map((i) => claim(`l${i}`, "me", `m${i}`)))
      // The first of them goes at once.
      assert.strictEqual((yield* commits) - before, 2)
      mine.forEach((outcome, i) => {
        assert(outcome._tag === "Claimed")
        assert.strictEqual(outcome.record.lockId, `l${i}`)
        assert.deepStrictEqual(outcome.record.holds, [id(`m${i}`)])
      })
      const yours = yield* atOnce(numbers(100).map((i) => claim(`l${i}`, "you")))
      assert.isTrue(yours.every((outcome) => outcome._tag === "Held" && outcome.holder?.ownerId === "me"))
      assert.strictEqual((yield* commits) - before, 2)
      const released = yield* atOnce(numbers(100).map((i) => release(`l${i}`, i % 2 === 0 ? `m${i}` : "none")))
      released.forEach((outcome, i) =>
        assert.deepStrictEqual(outcome, i % 2 === 0 ? { _tag: "Released", remaining: 0 } : { _tag: "NotHeld" })
      )
      assert.strictEqual((yield* commits) - before, 3)
    }).pipe(Effect.scoped)
  )

  it.live("who is alone has the answer at once, without a turn of the event loop", () =>
    Effect.gen(function* () {
      const { claim, release } = yield* made
      yield* Effect.sleep(1)
      const outcomes = yield* Effect.sync(() => [Effect.runSync(claim("a"))._tag])
      yield* Effect.sleep(1)
      assert.deepStrictEqual([...outcomes, Effect.runSync(release("a"))._tag], ["Claimed", "Released"])
    }).pipe(Effect.scoped)
  )

  it.live("one lock at once is claimed by one owner alone", () =>
    Effect.gen(function* () {
      const { claim } = yield* made
      yield* atOnce(numbers(3).map((i) => claim(`warm${i}`)))
      const outcomes = yield* atOnce(numbers(20).map((i) => claim("one", `owner${i}`, `h${i}`)))
      assert.strictEqual(outcomes.filter(({ _tag }) => _tag === "Claimed").length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("one that the database refuses fails alone, and nothing is done twice or lost", () =>
    Effect.gen(function* () {
      const { claim, other, storage } = yield* made
      other.exec(
        "CREATE TRIGGER refused BEFORE INSERT ON storage_lock WHEN NEW.lock_id = 'bad' BEGIN SELECT RAISE(ABORT, 'not this one'); END"
      )
      const outcomes = yield* atOnce(["first", "a", "bad", "b"].map((lockId) => Effect.result(claim(lockId))))
      assert.deepStrictEqual(
        outcomes.map((one) => (Result.isSuccess(one) ? one.success._tag : one.failure.applied)),
        ["Claimed", "Claimed", "no", "Claimed"]
      )
      for (const lockId of ["first", "a", "b"]) {
        const found = yield* storage.get(lockId)
        assert(found._tag === "Some")
        // One write each.
        assert.strictEqual(found.value.record.version, found.value.record.token)
      }
      assert.strictEqual((yield* storage.get("bad"))._tag, "None")
    }).pipe(Effect.scoped)
  )

  it.live("writes wait together for another process that writes, and all are done", () =>
    Effect.gen(function* () {
      const { claim, other } = yield* made
      other.exec("BEGIN IMMEDIATE")
      const waiting = yield* Effect.forkChild(atOnce(numbers(10).map((i) => claim(`l${i}`))))
      yield* Effect.sleep(20)
      other.exec("COMMIT")
      assert.isTrue((yield* Fiber.join(waiting)).every(({ _tag }) => _tag === "Claimed"))
    }).pipe(Effect.scoped)
  )

  it.live("compare-and-set commits together, too", () =>
    Effect.gen(function* () {
      const { claim, commits, storage, versioned } = yield* made
      yield* atOnce(numbers(10).map((i) => claim(`l${i}`)))
      const records = yield* Effect.forEach(numbers(10), (i) => storage.get(`l${i}`))
      const before = yield* commits
      yield* atOnce(
        records.map((found) => {
          assert(found._tag === "Some")
          const { record } = found.value
          return versioned.update(record.lockId, record.version, { ...record, version: record.version + 1 })
        })
      )
      assert.isAtMost((yield* commits) - before, 2)
    }).pipe(Effect.scoped)
  )
})
