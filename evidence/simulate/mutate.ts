/** Runs the simulation over a copy of the library in which one thing is wrong. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Mutant } from "./mutants.js"
import type { Tally } from "./shard.js"
import { runAll } from "./workers.js"

/** The text with the one change; throws unless the place is there exactly once, however its lines are broken. */
export const mutate = (text: string, { name, replace, by }: Mutant): string => {
  const words = replace.split(/\s+|(?<=[([{])|(?=[)\]}])/).filter((word) => word !== "")
  const place = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s*"), "g")
  const found = text.match(place)?.length ?? 0
  if (found !== 1)
    throw new Error(`the mutant ${name} fits ${found} times, not once: the code has changed, change the mutant`)
  return text.replace(place, () => by)
}

/** A copy with the mutant in it, for as long as it is used. */
export const withMutant = async <A>(root: string, mutant: Mutant, use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "storage-lock-mutant-"))
  try {
    for (const name of [
      "src",
      "evidence/simulate",
      "evidence/kinds",
      "evidence/soak",
      "evidence/arguments.ts",
      "test/harness",
      "package.json",
      "tsconfig.json"
    ])
      cpSync(join(root, name), join(folder, name), { recursive: true })
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
    const file = join(folder, mutant.file)
    writeFileSync(file, mutate(readFileSync(file, "utf8"), mutant))
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface Hunt {
  readonly mutant: Mutant
  readonly tally: Tally
  /** How many schedules it took, counted by seeds; `undefined`: it was not found. */
  readonly found: number | undefined
}

export const hunt = (root: string, mutant: Mutant, from: number, schedules: number, workers: number): Promise<Hunt> =>
  withMutant(root, mutant, async (folder) => {
    const tally = await runAll({ folder, from, schedules, workers, stop: true, progress: () => {} })
    const [first] = tally.failures
    return { mutant, tally, found: first === undefined ? undefined : first.seed - from + 1 }
  })
