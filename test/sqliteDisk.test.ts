/** A full disk: a file system of one megabyte, where the operating system lets an ordinary user mount one. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const mounted = (script: string, ...args: ReadonlyArray<string>) =>
  spawnSync("unshare", ["-rm", "sh", "-ec", `mount -t tmpfs -o size=1m none "$0"; ${script}`, ...args], { encoding: "utf8", timeout: 60_000 })

describe("SqliteStorage on a full disk", () => {
  const directory = mkdtempSync(join(tmpdir(), "storage-lock-"))
  const possible = mounted("true", directory).status === 0

  it("keeps and frees what is held, and refuses new locks with a message that says what to do", ({ skip }) => {
    if (!possible) return skip("an ordinary user may mount no file system here (unshare -rm)")
    const child = fileURLToPath(new URL("./sqliteFull.ts", import.meta.url))
    const run = mounted("exec \"$1\" --import tsx \"$2\" \"$0\"", directory, process.execPath, child)
    rmdirSync(directory)
    assert.strictEqual(run.status, 0, run.stderr)
    const said = JSON.parse(run.stdout) as { readonly failed?: string; readonly renewed?: Array<string>; readonly releases?: Array<string>; readonly refused?: { readonly message: string } }
    assert.isUndefined(said.failed)
    assert.deepStrictEqual(said.renewed, ["Renewed"])
    assert.deepStrictEqual(said.releases, Array.from({ length: 20 }, () => "Released"))
    assert.match(said.refused!.message, /the disk of the file is full: make room/)
  })
})
