/** A full disk: a file system of one megabyte, where the operating system lets an ordinary user mount one. */
import { assert, describe, it } from "#harness/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as program from "../support/program.js"

const mounted = (script: string, ...args: ReadonlyArray<string>) =>
  new Promise<{ readonly failed: boolean; readonly stdout: string; readonly stderr: string }>((resolve) =>
    execFile(
      "unshare",
      ["-rm", "sh", "-ec", `mount -t tmpfs -o size=1m none "$0"; ${script}`, ...args],
      (error, stdout, stderr) => resolve({ failed: error !== null, stdout, stderr })
    )
  )

describe("SqliteStorage on a full disk", () => {
  const child = program.bundled(new URL("./full.ts", import.meta.url))
  it("keeps and frees what is held, and refuses new locks with a message that says what to do", async ({
    onTestFinished,
    skip
  }) => {
    const directory = mkdtempSync(join(tmpdir(), "storage-lock-"))
    onTestFinished(() => rmdirSync(directory))
    if ((await mounted("true", directory)).failed)
      return skip("an ordinary user may mount no file system here (unshare -rm)")
    const run = await mounted('exec "$1" "$2" "$0"', directory, process.execPath, child())
    assert.isFalse(run.failed, run.stderr)
    const said = JSON.parse(run.stdout) as {
      readonly failed?: string
      readonly renewed?: Array<string>
      readonly releases?: Array<string>
      readonly refused?: { readonly message: string }
    }
    assert.isUndefined(said.failed)
    assert.deepStrictEqual(said.renewed, ["Renewed"])
    assert.deepStrictEqual(
      said.releases,
      Array.from({ length: 20 }, () => "Released")
    )
    assert.match(said.refused!.message, /the disk of the file is full: make room/)
  })
})
