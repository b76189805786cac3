/**
 * A command is ended before anybody else's begins, whatever happens to the process that holds its lock. `EFFECT_STORAGE_LOCK_TRIALS=200` makes so many trials in place of a few.
 */
import Database from "better-sqlite3"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { eventually, type Place, place, type Running } from "../support/command.js"
import { stopBetweenWrites } from "../support/stopped.js"

let at: Place
beforeEach(() => {
  at = place()
})
afterEach(() => at.clear())

const trials = Number(process.env["EFFECT_STORAGE_LOCK_TRIALS"] ?? 4)

/** Writes its token down again and again, as does what it has started. */
const loop = (log: string, deaf: boolean) => {
  const write = `while :; do echo "$STORAGE_LOCK_TOKEN" >> ${log}; sleep 0.01; done`
  return `${deaf ? "trap '' TERM; " : ""}(${write}) & ${write}`
}

const tokensIn = (log: string): ReadonlyArray<number> =>
  Fs.existsSync(log) ? Fs.readFileSync(log, "utf8").split("\n").filter(Boolean).map(Number) : []

/** What may happen to the process that holds the lock, and the exit code that it then has. */
const faults: Record<string, (running: Running, database: string) => Promise<void>> = {
  "is stopped": ({ process }, database) => stopBetweenWrites(process, database),
  "is killed": async ({ process }) => void process.kill("SIGKILL"),
  "is asked to end": async ({ process }) => void process.kill("SIGTERM"),
  "cannot reach the storage": async (_, database) => {
    const writer = new Database(database)
    writer.exec("BEGIN IMMEDIATE")
    // Beyond the lease.
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    writer.exec("ROLLBACK")
    writer.close()
  }
}

describe("a command under a lock", () => {
  for (const [what, befall] of Object.entries(faults)) {
    for (let trial = 0; trial < Math.ceil(trials / 4); trial++) {
      // One that is asked to end, and will not, keeps its lock.
      const deaf = trial % 2 === 0 && what !== "is asked to end"
      it(`has ended before the next begins, if who holds the lock ${what}: trial ${trial + 1}`, async () => {
        const log = Path.join(at.folder, "log")
        // Short only where it has to end: on a busy machine the renewals of a short one may come too late.
        const lease = what === "is asked to end" ? [] : ["--lease", "2s"]
        const first = at.start(["run", ...lease, "job", "--", "sh", "-c", loop(log, deaf)])
        await eventually(() => tokensIn(log).length > 0)
        const write = `for i in 1 2 3 4 5; do echo "$STORAGE_LOCK_TOKEN" >> ${log}; sleep 0.05; done`
        const next = (async () => {
          for (;;) {
            const ended = await at.run(["run", "job", "--", "sh", "-c", write])
            // Where it is the storage that fails, it fails for both.
            if (ended.code !== 69) return ended
          }
        })()
        await befall(first, at.database)
        const { code, err } = await next
        assert.strictEqual(code, 0, err)
        // Whoever still writes does it now.
        await new Promise((resolve) => setTimeout(resolve, 200))
        const tokens = tokensIn(log)
        assert.deepStrictEqual(
          tokens,
          [...tokens].sort((a, b) => a - b)
        )
        assert.strictEqual(new Set(tokens).size, 2)
        if (what === "is stopped") first.process.kill("SIGCONT")
        const ended = await first.ended
        const codes: Record<string, number | null> = {
          "is stopped": 70,
          "is killed": null,
          "is asked to end": 143,
          "cannot reach the storage": 70
        }
        assert.strictEqual(ended.code, codes[what], ended.err)
      })
    }
  }
})
