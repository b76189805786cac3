/**
 * Real processes that lead: whatever befalls the leader, another leads, and no two at once. What each writes down while it surely leads has tokens that only grow.
 */
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import { eventually } from "../support/command.js"
import * as program from "../support/program.js"
import { stopBetweenWrites } from "../support/stopped.js"

const candidate = program.bundled(new URL("./leader.ts", import.meta.url))

let folder: string
let children: Array<ChildProcess>
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "storage-lock-leader-"))
  children = []
})
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    await ended
  }
  rmSync(folder, { recursive: true, force: true })
})

interface Line {
  readonly pid: number
  readonly token: number
}

const linesOf = (log: string): ReadonlyArray<Line> =>
  existsSync(log)
    ? readFileSync(log, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => {
          const [pid, token] = line.split(" ").map(Number)
          return { pid: pid!, token: token! }
        })
    : []

/** What befalls the leader, and what is done afterwards. */
const faults: Record<string, readonly [NodeJS.Signals, NodeJS.Signals?]> = {
  "is killed": ["SIGKILL"],
  "stands still, and goes on": ["SIGSTOP", "SIGCONT"],
  resigns: ["SIGUSR2"]
}

let elections = 0

const suite = (kind: string, place: () => string) => {
  for (const [what, [signal, after]] of Object.entries(faults))
    it(`another leads if the leader ${what}, and never both`, { timeout: 120_000 }, async () => {
      const log = join(folder, "log")
      const election = `job ${process.pid} ${++elections}`
      for (let i = 0; i < 3; i++) {
        const child = program.start(candidate(), [kind, place(), log, election], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        children.push(child)
        await once(child.stdout!, "data")
      }
      await eventually(() => linesOf(log).length > 0)
      const former = linesOf(log)[0]!
      const leader = children.find(({ pid }) => pid === former.pid)!
      const another = () => linesOf(log).some(({ token }) => token > former.token)
      if (signal === "SIGSTOP" && kind === "sqlite") await stopBetweenWrites(leader, place())
      else leader.kill(signal)
      await eventually(another)
      if (after !== undefined) leader.kill(after)
      // For as long as the former one needs to say something, if it does.
      const before = linesOf(log).length
      await eventually(() => linesOf(log).length > before + 20)
      const tokens = linesOf(log).map(({ token }) => token)
      const late = tokens.filter((token, index) => tokens.slice(0, index).some((earlier) => earlier > token))
      // A write that was under way when its process was stopped comes late: a resource refuses it by its token.
      assert.isAtMost(late.length, signal === "SIGSTOP" ? 1 : 0, tokens.join())
      for (const token of new Set(tokens)) {
        const pids = linesOf(log).flatMap((line) => (line.token === token ? [line.pid] : []))
        assert.strictEqual(new Set(pids).size, 1, `one process has the term ${token}`)
      }
    })
}

describe("a leader on SQLite", () => {
  suite("sqlite", () => join(folder, "locks.db"))
})

await describeServer("a leader on PostgreSQL", Shared.postgres, (server) => {
  suite("postgres", () => server.url)
})
