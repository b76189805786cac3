/** A file that cannot be watched: waiters poll, and the log says so. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as wakeUps from "../../src/backends/sqlite/wakeUps.js"
import { at, heard } from "../support/logged.js"

it.effect("a file that cannot be watched is warned of once, until it can be", () =>
  heard((lines) =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "storage-lock-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
      const file = join(folder, "locks.db")
      const handle = { run: () => Effect.succeed([{ data_version: 1 }]) } as never
      const hints = yield* Effect.forkChild(Stream.runDrain(wakeUps.make(handle, file, "SqliteStorage")))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(at(lines, "Warning"), [])
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(at(lines, "Warning").length, 1)
      assert.match(at(lines, "Warning")[0]!.message, /SqliteStorage: no wake-ups for now, waiters poll: .*ENOENT/)
      writeFileSync(`${file}-wal`, "")
      yield* TestClock.adjust("10 seconds")
      assert.match(at(lines, "Info")[0]!.message, /wake-ups are heard again/)
      yield* Fiber.interrupt(hints)
    })
  )
)
