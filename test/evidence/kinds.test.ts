/** Random schedules of the kinds of lock find nothing in the library, and every seeded bug in a copy of it. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { mutants } from "../../evidence/kinds/mutants.js"
import { withMutant } from "../../evidence/simulate/mutate.js"

const root = fileURLToPath(new URL("../../", import.meta.url))
const schedules = Number(process.env.EFFECT_STORAGE_LOCK_SCHEDULES ?? 2_000)

const run = async (folder: string) => {
  const args = ["--import", "tsx", "evidence/kinds/main.ts", String(schedules)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder }).catch(
    (error: { readonly stdout: string }) => error
  )
  return stdout
}

describe("kinds of lock", () => {
  it("random schedules overlap nothing that must not", async () => {
    expect(await run(root)).toContain("0 violations")
  }, 300_000)

  for (const mutant of mutants)
    it(`a seeded bug is found: ${mutant.name}`, async () => {
      expect(await withMutant(root, mutant, run)).toMatch(/^Error: seed|^Violation/m)
    }, 300_000)
})
