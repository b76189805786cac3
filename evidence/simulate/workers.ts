/** Seeds over processes, one per core: a run is one thread's work from its begin to its end. */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { add, emptyTally, type Share, type Tally } from "./shard.js"

export interface Asked {
  readonly from: number
  readonly schedules: number
  readonly workers: number
  readonly stop: boolean
  readonly budget?: number | undefined
  /** The checkout whose code is run. */
  readonly folder: string
  readonly progress: (tally: Tally) => void
}

const one = (folder: string, share: Share, tell: (tally: Tally) => void, children: Set<() => void>): Promise<void> =>
  new Promise((resolve, reject) => {
    // Short-lived objects are most of the work: room for them halves the collector's, and its helper threads would only take the other workers' cores.
    const child = spawn(
      process.execPath,
      [
        "--max-semi-space-size=64",
        "--single-threaded-gc",
        "--import",
        "tsx",
        "evidence/simulate/main.ts",
        "--share",
        JSON.stringify(share)
      ],
      {
        cwd: folder,
        stdio: ["ignore", "pipe", "inherit"]
      }
    )
    let stopped = false
    const stop = () => {
      stopped = true
      child.kill()
    }
    children.add(stop)
    createInterface({ input: child.stdout }).on("line", (line) => tell(JSON.parse(line) as Tally))
    child.once("error", reject)
    child.once("close", (code) => {
      children.delete(stop)
      if (code === 0 || stopped) resolve()
      else reject(new Error(`a worker ended with ${code}`))
    })
  })

export const runAll = async ({ budget, folder, from, progress, schedules, stop, workers }: Asked): Promise<Tally> => {
  const all = emptyTally()
  const children = new Set<() => void>()
  const tell = (tally: Tally) => {
    add(all, tally)
    progress(all)
    if (stop && all.failures.length > 0) for (const end of children) end()
  }
  const step = Math.max(1, Math.min(workers, schedules))
  await Promise.all(
    Array.from({ length: step }, (_, offset) =>
      one(folder, { from, schedules, step, offset, stop, budget }, tell, children)
    )
  )
  all.failures.sort((a, b) => a.seed - b.seed)
  return all
}
