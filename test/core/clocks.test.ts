/** A lock over a storage that lives in real time is not fooled by a program's clock that stands still. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as logs from "#harness/logs"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import { MemoryStorage, StorageLock } from "../../src/index.js"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-clocks-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const listening = () => {
  const lines: Array<string> = []
  return { lines, layer: logs.to(({ message }) => void lines.push(message)) }
}

describe("a lock under a clock that stands still", () => {
  it.effect("over a file: a waiter times out in real time, a hold is renewed, and a warning says so once", () =>
    Effect.gen(function* () {
      const heard = listening()
      const filename = join(yield* directory, "locks.db")
      const locks = StorageLock.layer({ leaseExpireAfter: "1 second" }).pipe(
        Layer.provide(SqliteStorage.layer({ filename })),
        Layer.provideMerge(heard.layer)
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* StorageLock.acquire("j", "one")
          const waited = yield* Effect.result(StorageLock.acquire("j", "two", { acquireTimeout: "1500 millis" }))
          assert.strictEqual(waited._tag === "Failure" && waited.failure._tag, "LockTimeout")
          assert.isAbove(Duration.toMillis(yield* lock.check), 0)
        })
      ).pipe(Effect.provide(locks))
      assert.strictEqual(heard.lines.filter((line) => line.includes("go by the real clock")).length, 1)
    })
  )

  it.effect("over memory: goes by that clock, and nothing is said", () =>
    Effect.gen(function* () {
      const heard = listening()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* StorageLock.acquire("j", "one")
          const before = Duration.toMillis(yield* lock.check)
          yield* TestClock.adjust("1 second")
          assert.isAtMost(Duration.toMillis(yield* lock.check), before)
          assert.isTrue(Option.isNone(yield* StorageLock.tryAcquire("j", "two")))
        })
      ).pipe(
        Effect.provide(StorageLock.layer().pipe(Layer.provide(MemoryStorage.layer), Layer.provideMerge(heard.layer)))
      )
      assert.deepStrictEqual(heard.lines, [])
    })
  )
})
