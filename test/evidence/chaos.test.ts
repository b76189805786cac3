import { afterAll, beforeAll, describe, expect, it } from "#harness/vitest"
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { judge } from "../../evidence/chaos/judge.js"
import { type Line, parse, toHistory } from "../../evidence/chaos/log.js"
import type { Part } from "../../evidence/simulate/history.js"
import * as Binaries from "../harness/postgresBinaries.js"
import { describeServer } from "../harness/server.js"
import * as program from "../support/program.js"

const main = program.bundled(
  ...["main", "resource", "sqliteWriter", "worker"].map(
    (name) => new URL(`../../evidence/chaos/${name}.ts`, import.meta.url)
  )
)
const seconds = process.env["CHAOS_SECONDS"] ?? "15"

const violated = (lines: ReadonlyArray<Line>, highest = new Map<string, number>()): ReadonlyArray<string> => {
  const text = lines.map((line) => JSON.stringify(line)).join("\n") + "\n"
  const found = judge(toHistory(parse(text)), { lease: 1000, margin: 100, slack: 20, longestFinalizer: 0, highest })
  return [...new Set(found.map(({ property }) => property))].sort()
}

const want = (t: number, p: string, n: number, more: Partial<Extract<Line, { type: "want" }>> = {}): Line => ({
  type: "want",
  t,
  p,
  n,
  lock: "L",
  owner: undefined,
  wait: true,
  timeout: undefined,
  within: undefined,
  ...more
})
const got = (
  t: number,
  p: string,
  n: number,
  hold: string,
  token: number,
  until: number,
  owner = `owner of ${hold}`
): Line => ({
  type: "got",
  t,
  p,
  n,
  lock: "L",
  owner,
  hold,
  token,
  until
})
const look = (t: number, p: string, hold: string, until: number): Line => ({ type: "look", t, p, hold, until })
const end = (t: number, p: string, hold: string): Line => ({ type: "end", t, p, hold })
const lost = (t: number, p: string, hold: string, reason = "Expired"): Line => ({ type: "lost", t, p, hold, reason })
const done = (t: number, p: string, n: number, exit: string, body?: string): Line => ({
  type: "done",
  t,
  p,
  n,
  body,
  exit
})
const judged = (t: number, p: string, hold: string, token: number, accepted: boolean, sent = t - 1): Line => ({
  type: "judged",
  t,
  p,
  id: t,
  lock: "L",
  hold,
  token,
  sent,
  accepted
})
const stop = (t: number, p: string, until: number): Line => ({ type: "stop", t, p, until, suspended: false })

/** One after the other, as it should be. The lines need not be in order: several processes wrote them. */
const good: ReadonlyArray<Line> = [
  want(0, "a", 1),
  got(10, "a", 1, "A", 7, 900),
  { type: "asked", t: 11, p: "a", id: 12, lock: "L", hold: "A", token: 7 },
  { type: "answered", t: 13, p: "a", id: 12, accepted: true, highest: 7 },
  look(20, "a", "A", 900),
  end(30, "a", "A"),
  done(32, "a", 1, "ok", "ok"),
  want(1, "b", 2),
  got(33, "b", 2, "B", 8, 900),
  end(40, "b", "B"),
  done(41, "b", 2, "ok", "ok"),
  judged(12, "a", "A", 7, true),
  judged(35, "b", "B", 8, true)
]

/** `a` loses the lock, and `b` gets it at 1000. */
const takenOver = (told: number): ReadonlyArray<Line> => [
  got(0, "a", 1, "A", 7, 900),
  lost(told, "a", "A"),
  end(told + 1, "a", "A"),
  got(1000, "b", 2, "B", 8, 1900)
]

/** With a hold for reading, or some of the permits. */
const as = (line: Line, part: Part): Line => ({ ...line, part }) as Line
const reads: Part = { mode: "read" }
const writes: Part = { mode: "write" }
const accessed = (line: Line, access: "read" | "write"): Line => ({ ...line, access }) as Line

describe("what the logs of a run show of locks that several may hold", () => {
  const two = (one: Part, other: Part, owner = "owner of B"): ReadonlyArray<Line> => [
    as(got(0, "a", 1, "A", 7, 900), one),
    as(got(100, "b", 2, "B", 8, 900, owner), other),
    look(150, "a", "A", 900),
    end(200, "a", "A"),
    end(200, "b", "B")
  ]

  it("reads go together, a write with nobody", () => {
    expect(violated(two(reads, reads))).toEqual([])
    expect(violated(two(reads, { mode: "upgradable" }))).toEqual([])
    expect(violated(two(reads, writes))).toEqual(["exclusion", "superseded", "toldBefore"])
    expect(violated(two({ mode: "upgradable" }, { mode: "upgradable" }))).toContain("exclusion")
    expect(violated(two(writes, reads, "owner of A"))).toEqual([])
  })

  it("permits are never more than the limit of any of those who have them", () => {
    const some = (permits: number, limit: number): Part => ({ permits, limit })
    expect(violated(two(some(1, 3), some(2, 3)))).toEqual([])
    expect(violated(two(some(2, 3), some(2, 3)))).toEqual(["exclusion", "toldBefore"])
    expect(violated(two(some(2, 3), some(2, 5)))).toContain("exclusion")
    expect(violated(two(some(1, 3), reads))).toContain("exclusion")
  })

  it("a writer that is told of its loss when a reader is in already", () => {
    const late = (told: number) => [
      as(got(0, "a", 1, "A", 7, 900), writes),
      lost(told, "a", "A"),
      end(told + 1, "a", "A"),
      as(got(1000, "b", 2, "B", 8, 1900), reads),
      end(1200, "b", "B")
    ]
    expect(violated(late(901))).toEqual([])
    expect(violated(late(1100))).toEqual(["toldBefore"])
  })

  it("a fence of two numbers that lets in who is older", () => {
    const read = (t: number, hold: string, token: number, accepted: boolean) =>
      accessed(judged(t, "a", hold, token, accepted), "read")
    const write = (t: number, hold: string, token: number, accepted: boolean) =>
      accessed(judged(t, "a", hold, token, accepted), "write")
    expect(violated([read(10, "A", 8, true), read(20, "B", 7, true), write(30, "C", 9, true)])).toEqual([])
    expect(violated([read(10, "A", 8, true), write(20, "B", 7, true)])).toEqual(["fencing"])
    expect(violated([write(10, "A", 8, true), read(20, "B", 7, true)])).toEqual(["fencing"])
    expect(violated([as(got(0, "a", 1, "A", 7, 900), reads), read(10, "A", 7, false), end(20, "a", "A")])).toEqual([
      "fencing"
    ])
  })
})

describe("what the logs of a run show", () => {
  it("a good run violates nothing", () => expect(violated(good)).toEqual([]))

  it("two who surely have one lock", () =>
    expect(
      violated([got(0, "a", 1, "A", 7, 900), got(100, "b", 2, "B", 8, 900), end(200, "a", "A"), end(200, "b", "B")])
    ).toContain("exclusion"))

  it("one who is still sure of it when it has been given to another, and no longer says so", () =>
    expect(
      violated([
        got(0, "a", 1, "A", 7, 50),
        got(100, "b", 2, "B", 8, 101),
        end(102, "b", "B"),
        look(150, "a", "A", 900),
        end(160, "a", "A")
      ])
    ).toContain("superseded"))

  it("a token that is lower than one that was given before", () => {
    expect(
      violated([got(0, "a", 1, "A", 8, 900), end(10, "a", "A"), got(20, "b", 2, "B", 7, 900), end(30, "b", "B")])
    ).toEqual(["growing"])
    expect(violated([got(0, "a", 1, "A", 8, 900), end(10, "a", "A")], new Map([["L", 9]]))).toEqual(["growing"])
  })

  it("a token that was given to two", () =>
    expect(
      violated([got(0, "a", 1, "A", 7, 900), end(10, "a", "A"), got(20, "b", 2, "B", 7, 900), end(30, "b", "B")])
    ).toEqual(["tokens"]))

  it("a write that was rejected while its writer surely had the lock", () =>
    expect(violated([got(0, "a", 1, "A", 7, 900), judged(10, "a", "A", 7, false), end(20, "a", "A")])).toEqual([
      "fencing"
    ]))

  it("a write that was sent after its writer had been told", () =>
    expect(
      violated([
        got(0, "a", 1, "A", 7, 900),
        lost(901, "a", "A"),
        judged(920, "a", "A", 7, true, 910),
        end(930, "a", "A")
      ])
    ).toEqual(["fencing"]))

  it("a lower token that was accepted after a higher one", () =>
    expect(violated([judged(10, "a", "A", 8, true), judged(20, "b", "B", 7, true)])).toEqual(["fencing"]))

  it("a loss that was told after another had the lock, or never", () => {
    expect(violated(takenOver(901))).toEqual([])
    expect(violated(takenOver(1001))).toEqual(["toldBefore"])
    expect(violated([got(0, "a", 1, "A", 7, 900), got(1000, "b", 2, "B", 8, 1900)])).toEqual(["toldBefore"])
  })

  it("who stood still is told as soon as it goes on, and not later", () => {
    expect(violated([...takenOver(1510), stop(880, "a", 1500)])).toEqual([])
    expect(violated([...takenOver(1600), stop(880, "a", 1500)])).toEqual(["toldBefore"])
    expect(violated([...takenOver(1510), stop(880, "b", 1500)])).toEqual(["toldBefore"])
  })

  it("who is given the processor for moments has its time in these, and no more", () => {
    const pauses = [stop(880, "a", 1500), stop(1510, "a", 1700)]
    expect(violated([...takenOver(1709), ...pauses])).toEqual([])
    expect(violated([...takenOver(1715), ...pauses])).toEqual(["toldBefore"])
    expect(violated([...takenOver(1709), stop(880, "a", 1500), stop(1530, "a", 1700)])).toEqual(["toldBefore"])
  })

  it("who was killed need not be told, from the signal on", () => {
    const killed = [got(0, "a", 1, "A", 7, 900), got(1000, "b", 2, "B", 8, 1900)]
    expect(violated([...killed, stop(899, "a", 1005), { type: "crash", t: 1005, p: "a" }])).toEqual([])
  })

  it("a hold that was taken away from who surely had it", () => {
    const early = [got(0, "a", 1, "A", 7, 900), lost(500, "a", "A", "Taken"), end(501, "a", "A")]
    expect(violated(early)).toEqual(["kept"])
    expect(violated([...early, { type: "jump", t: 400, p: "a", by: 3_600_000 }])).toEqual([])
  })

  it("a body whose end is not the end of its withLock; a defect; an error that was logged", () => {
    expect(
      violated([
        want(0, "a", 1),
        got(1, "a", 1, "A", 7, 900),
        end(2, "a", "A"),
        done(3, "a", 1, "StorageError Timeout", "ok")
      ])
    ).toEqual(["result"])
    expect(violated([want(0, "a", 1), done(3, "a", 1, "died: TypeError")])).toEqual(["result"])
    expect(violated([{ type: "log", t: 1, p: "a", text: "ERROR" }])).toEqual(["result"])
  })

  it("a time-out and an interruption that are heeded late", () => {
    expect(violated([want(0, "a", 1, { timeout: 100 }), done(160, "a", 1, "LockTimeout")])).toEqual(["prompt"])
    expect(
      violated([want(0, "a", 1), { type: "interrupt", t: 100, p: "a", n: 1 }, done(160, "a", 1, "interrupted")])
    ).toEqual(["prompt"])
    expect(violated([want(0, "a", 1, { timeout: 100 }), done(160, "a", 1, "LockTimeout"), stop(99, "a", 159)])).toEqual(
      []
    )
  })

  it("one of a process who has the lock before another that came earlier", () =>
    expect(
      violated([
        want(-50, "a", 1),
        want(1, "a", 2),
        got(10, "a", 2, "B", 7, 900),
        end(20, "a", "B"),
        got(21, "a", 1, "A", 8, 900),
        end(30, "a", "A")
      ])
    ).toEqual(["order"]))

  it("two who came at nearly the same time have no order", () =>
    expect(
      violated([
        want(0, "a", 1),
        want(1, "a", 2),
        got(10, "a", 2, "B", 7, 900),
        end(20, "a", "B"),
        got(21, "a", 1, "A", 8, 900),
        end(30, "a", "A")
      ])
    ).toEqual([]))

  it("who does not get on, and what is left", () => {
    expect(violated([{ type: "stuck", t: 1, p: "a", text: "" }])).toEqual(["progress"])
    expect(violated([{ type: "leak", t: 1, p: "a", text: "" }])).toEqual(["nothingLeft"])
  })

  it("half a line at the end is of one who was killed; anywhere else the log is broken", () => {
    const line = JSON.stringify(end(1, "a", "A"))
    expect(parse(`${line}\n{"type":"e`)).toHaveLength(1)
    expect(() => parse(`${line}\n{"type":"e\n${line}\n`)).toThrow("line 2")
  })
})

let directory: string
/** Servers run as another user than root, and must reach theirs. */
const folderIn = (parent: string, name: string): string => {
  const folder = mkdtempSync(join(parent, name))
  chmodSync(folder, 0o755)
  return folder
}
beforeAll(() => {
  directory = folderIn(tmpdir(), "storage-lock-")
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Its temporary files go where the test can look for what was left. */
const start = (folder: string, ...args: ReadonlyArray<string>) =>
  program.start(main(), args, { env: { ...process.env, TMPDIR: folder } })

const ended = async (child: ReturnType<typeof start>) => {
  const { code, stderr, stdout } = await program.ended(child)
  return { code, output: stdout + stderr }
}

const left = (folder: string) =>
  readdirSync(folder).filter((name) => !name.startsWith("tsx-") && !name.startsWith("node-compile-cache"))

const short = (storage: string) =>
  it(`keeps every promise for ${seconds} seconds of chaos`, { timeout: 1000 * (Number(seconds) + 240) }, async () => {
    const folder = folderIn(directory, "run-")
    const files = folderIn(directory, "result-")
    const json = join(files, "result.json")
    const { code, output } = await ended(
      start(folder, "--storage", storage, "--seconds", seconds, "--spacing", "1000", "--json", json)
    )
    expect({ code, output: code === 0 ? "" : output }).toEqual({ code: 0, output: "" })
    const result = JSON.parse(readFileSync(json, "utf8"))
    expect(result).toMatchObject({ ok: true, storage, violations: 0, findings: [] })
    const counts = Object.values(result.faults as Record<string, { count: number }>).map(({ count }) => count)
    expect(counts.filter((count) => count > 0).length).toBeGreaterThan(3)
    expect(result.acquisitions).toBeGreaterThan(20)
    expect(result.writesAccepted).toBeGreaterThan(20)
    expect(left(folder)).toEqual([])
  })

await describeServer("chaos over PostgreSQL", Binaries.find, () => short("postgres"))

describe("chaos over SQLite", () => {
  short("sqlite")

  it.each([
    ["readWrite", "sneaks", /^exclusion$/],
    ["semaphore", "sneaks", /^exclusion$/],
    // Which of the two depends on whether it looks at what it has in the meantime.
    ["exclusive", "deaf", /^(toldBefore|exclusion)$/]
    // A fault must come at the right moment for it: five runs of fifteen seconds have enough of them on any machine.
  ])("%s: workers that are %s are found out", { timeout: 300_000, retry: 4 }, async (kind, wrong, property) => {
    const json = join(folderIn(directory, "result-"), "result.json")
    const few = ["--seconds", "15", "--spacing", "1000", "--workers", "2", "--fibers", "4", "--locks", "1"]
    const all = ["--storage", "sqlite", "--kind", kind, "--wrong", wrong, "--json", json, ...few]
    const { code } = await ended(start(folderIn(directory, "run-"), ...all))
    expect(code).toBe(1)
    const { findings } = JSON.parse(readFileSync(json, "utf8")) as { findings: ReadonlyArray<{ property: string }> }
    expect(findings.map(({ property }) => property)).toContainEqual(expect.stringMatching(property))
  })

  it("Ctrl-C ends every process and leaves no file", async () => {
    const folder = folderIn(directory, "run-")
    const child = start(folder, "--storage", "sqlite", "--seconds", "600")
    const over = ended(child)
    // Its first line of progress comes when all workers are up.
    await new Promise<void>((resolve) =>
      child.stdout!.on("data", (chunk) => String(chunk).includes(" of 600 s") && resolve())
    )
    child.kill("SIGINT")
    expect((await over).code).toBe(130)
    expect(left(folder)).toEqual([])
  })

  it("a storage that nobody knows is a wrong option", async () => {
    const { code, output } = await ended(start(directory, "--storage", "paper"))
    expect(code).toBe(2)
    expect(output).toContain("--storage must be one of")
  })
})
