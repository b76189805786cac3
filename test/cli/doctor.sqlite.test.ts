/** Each misconfiguration is made, found, and its cure is named. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { describe } from "vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ofFileSystem } from "../../src/backends/sqlite/checkup.js"
import { doctor, read } from "../support/doctor.js"

const folder = (parent: string) =>
  Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(parent, "storage-lock-doctor-"))),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
  )

/** By itself none of those for temporary files. */
const here = folder(process.cwd())

describe("doctor at SQLite", () => {
  it.live("finds nothing where nothing is wrong", () =>
    Effect.gen(function* () {
      const well = yield* doctor(`sqlite:${yield* here}/locks.db`)
      // Where the tests run is not up to them.
      const where = ["folder", "file system"]
      assert.deepStrictEqual(
        well.said.filter(({ check, severity }) => severity !== "ok" && !where.includes(check)),
        []
      )
      assert.strictEqual(well.of("file system").length > 0 ? 1 : 0, well.code)
    })
  )

  it.live("synchronous is normal", () =>
    Effect.gen(function* () {
      const { code, of } = yield* doctor(`sqlite:${yield* here}/locks.db`, ["-o", "synchronous=normal"])
      assert.strictEqual(code, 1)
      assert.deepInclude(of("synchronous")[0], { severity: "error", wrong: "synchronous is normal" })
    })
  )

  it.live("a file in memory, of one process alone, or of a folder that is cleared", () =>
    Effect.gen(function* () {
      assert.deepInclude((yield* doctor("sqlite::memory:")).of("file")[0], { severity: "error" })
      assert.deepInclude((yield* doctor("memory:")).of("storage")[0], { severity: "error" })
      const cleared = yield* doctor(`sqlite:${yield* folder("/tmp")}/locks.db`)
      assert.deepInclude(cleared.of("folder")[0], { severity: "note" })
      if (!Fs.existsSync("/dev/shm")) return
      const gone = yield* doctor(`sqlite:${yield* folder("/dev/shm")}/locks.db`)
      assert.deepInclude(gone.of("file system")[0], {
        severity: "warning",
        wrong: "the file is in memory (tmpfs)"
      })
    })
  )

  it.live("a folder that is not there, or that nobody can write", () =>
    Effect.gen(function* () {
      const path = `${yield* here}/none`
      const { code, of, said } = yield* doctor(`sqlite:${path}/locks.db`)
      assert.strictEqual(code, 1)
      assert.deepInclude(of("file")[0], { severity: "error", cure: `mkdir -p ${path}` })
      assert.isTrue(said.some(({ check, severity }) => check === "connects" && severity === "error"))
      const text = yield* read("sqlite:/proc/locks.db")
      assert.match(text, /cannot be written|connects/)
    })
  )

  it.live("a file that may not be written", () =>
    Effect.gen(function* () {
      // An administrator may write everything.
      if (process.getuid?.() === 0) return
      const path = `${yield* here}/locks.db`
      yield* doctor(`sqlite:${path}`)
      Fs.chmodSync(path, 0o444)
      const { of } = yield* doctor(`sqlite:${path}`)
      assert.include(of("file")[0]!.cure, `chmod u+rw ${path}`)
    })
  )

  it.live("network file systems, by their numbers", () =>
    Effect.sync(() => {
      // As Node gives them: signed or not.
      for (const type of [0x6969, 0xff534d42, 0xff534d42 | 0, 0x01021997])
        assert.deepInclude(ofFileSystem(type)[0], { severity: "error", check: "file system" })
      assert.deepStrictEqual(ofFileSystem(0xef53), [])
    })
  )
})
