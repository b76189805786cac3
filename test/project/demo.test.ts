import { afterAll, beforeAll, describe, expect, it } from "#harness/vitest"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { parse } from "../../examples/demo/options.js"
import type { Write } from "../../examples/demo/protocol.js"
import * as resources from "../../examples/demo/resource.js"
import type { Hold, Member, Show } from "../../examples/demo/show.js"
import { verify } from "../../examples/demo/verify.js"
import * as program from "../support/program.js"

const main = program.bundled(
  ...["main", "worker"].map((name) => new URL(`../../examples/demo/${name}.ts`, import.meta.url))
)

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "storage-lock-"))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** Its temporary files go where the test can look for what was left. */
const start = (...args: ReadonlyArray<string>) =>
  program.start(main(), args, { env: { ...process.env, TMPDIR: directory } })

describe("the demo", () => {
  it("kills one holder, freezes another, refuses its late write, and every check holds", async () => {
    const { code, stderr, stdout } = await program.ended(
      start("--json", "--workers", "4", "--turns", "3", "--lease", "3 seconds")
    )
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    const of = (name: string) => events.filter(({ event }) => event === name)
    const summary = events[events.length - 1]

    expect({ stderr, failed: of("failed"), wrong: summary.checks.filter(({ ok }: { ok: boolean }) => !ok) }).toEqual({
      stderr: "",
      failed: [],
      wrong: []
    })
    expect({ code, last: summary.event, ok: summary.ok, refused: summary.refused }).toEqual({
      code: 0,
      last: "summary",
      ok: true,
      refused: 1
    })
    expect(of("killed")).toHaveLength(1)
    expect(of("frozen")).toHaveLength(1)
    expect(of("takeover").map(({ from }) => from)).toEqual([summary.killed, summary.frozen])
    expect(of("takeover").filter(({ afterLeaseEndMillis }) => afterLeaseEndMillis < 0)).toEqual([])
    expect(of("write").filter(({ accepted }) => !accepted)).toMatchObject([
      { worker: summary.frozen, token: of("frozen")[0].token }
    ])
    expect(of("lost")).toMatchObject([{ worker: summary.frozen, token: of("frozen")[0].token }])
  })

  it("Ctrl-C ends every process and leaves no file", async () => {
    const child = start("--json")
    const ended = program.ended(child)
    for await (const line of createInterface({ input: child.stdout! })) {
      if (JSON.parse(line).event === "acquired") break
    }
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ")
    expect(children.length).toBeGreaterThanOrEqual(10)
    child.kill("SIGINT")
    expect((await ended).code).toBe(130)
    const alive = () => children.filter((pid) => existsSync(`/proc/${pid}`))
    // A killed process is seen for a moment, until its exit is collected.
    for (let i = 0; i < 200 && alive().length > 0; i++) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(alive()).toEqual([])
    expect(readdirSync(directory).filter((name) => name.startsWith("storage-lock-demo-"))).toEqual([])
  })

  it("a wrong option is refused with a word on it, and help is given", async () => {
    const wrong = await program.ended(start("--workers", "2"))
    expect({ code: wrong.code, said: wrong.stderr.split("\n")[0] }).toEqual({
      code: 2,
      said: '--workers must be a whole number from 3 to 50, but is "2"'
    })
    expect(() => parse(["--turns", "many"])).toThrow("--turns")
    expect(() => parse(["--lease", "0.1 seconds"])).toThrow("--lease")
    expect(() => parse(["--storage", "paper"])).toThrow("--storage")
    expect(() => parse(["--storage", "sqlite", "--url", "postgres://x"])).toThrow("--url")
    expect(() => parse(["--nonsense"])).toThrow("--nonsense")
    expect(parse(["-h"])).toBe("help")
    expect(parse([])).toEqual({
      storage: "sqlite",
      url: undefined,
      workers: 10,
      turns: 3,
      leaseMillis: 2000,
      json: false
    })
    expect(parse(["--url", "postgres://x"])).toMatchObject({ storage: "postgres" })
  })
})

/** A run of three workers with one turn each, as it should be: the first is killed, the second frozen and woken too late. */
const run = (name: string, change: (steps: Array<Write>, holds: Array<Hold>) => void = () => {}) => {
  const write = (worker: string, token: number, kind: Write["kind"], n: number): Write => ({
    id: `${worker}/${token}/${n}`,
    worker,
    turn: 1,
    token,
    kind
  })
  const hold = (worker: string, token: number, begin: number, released: boolean): Hold => ({
    worker,
    turn: 1,
    token,
    begin,
    until: begin + 10,
    released
  })
  const whole = (worker: string, token: number) =>
    (["begin", "append", "end"] as const).map((kind, n) => write(worker, token, kind, n))
  const writes = [
    write("a", 1, "begin", 0),
    write("a", 1, "append", 1),
    write("b", 2, "begin", 0),
    ...whole("c", 3),
    write("b", 2, "append", 1),
    ...whole("b", 4)
  ]
  const holds = [hold("a", 1, 0, false), hold("b", 2, 10, false), hold("c", 3, 20, true), hold("b", 4, 25, true)]
  change(writes, holds)
  const resource = resources.make(join(directory, `${name}.jsonl`))
  const accepted = new Set(writes.filter((write) => resource.write(write)).map((write) => write.id))
  const late = writes.find((write) => write.token === 2 && write.kind === "append")
  const member = (name: string, state: Member["state"]): Member => ({
    name,
    process: undefined as never,
    state,
    since: 0,
    turnsDone: 1,
    accepted: 0,
    refused: 0,
    acknowledged: writes
      .filter((write) => write.worker === name && name !== "a" && accepted.has(write.id))
      .map((write) => write.id)
  })
  const show: Show = {
    title: "",
    startedAt: 0,
    workers: 3,
    turns: 1,
    appends: 1,
    leaseMillis: 10,
    members: [member("a", "killed"), member("b", "done"), member("c", "done")],
    holds,
    holder: undefined,
    killed: { worker: "a", token: 1, until: 10, successor: holds[1]! },
    frozen: {
      worker: "b",
      token: 2,
      until: 20,
      successor: holds[2]!,
      ...(late === undefined ? {} : { lateWrite: late, lateWriteAccepted: accepted.has(late.id) })
    }
  }
  return { show, resource }
}

const failed = (show: Show, resource: resources.Resource, free = true) =>
  verify(show, resource, free)
    .filter((check) => !check.ok)
    .map((check) => check.name.split(":")[0])

const serial = "writes are serial"
const growing = "tokens grow strictly from hold to hold"
const lost = "nothing is lost or doubled"
const turns = "every worker but the killed one had all its turns, each whole in one hold"

describe("the checks of the demo", () => {
  it("hold for a run as it should be", () => {
    const { resource, show } = run("right")
    expect(failed(show, resource)).toEqual([])
  })

  it("fail when two holds overlap, though both are accepted", () => {
    const { resource, show } = run("overlap", (writes) => {
      const [begin] = writes.splice(
        writes.findIndex((write) => write.token === 4),
        1
      )
      writes.splice(
        writes.findIndex((write) => write.token === 3 && write.kind === "end"),
        0,
        begin!
      )
    })
    expect(failed(show, resource)).toContain(serial)
  })

  it("fail when a hold gets no higher token than the one before", () => {
    const { resource, show } = run("tokens", (_, holds) => {
      holds[3] = { ...holds[3]!, token: 3 }
    })
    expect(failed(show, resource)).toContain(growing)
  })

  it("fail when an acknowledged write is missing, or is there twice", () => {
    const { resource, show } = run("lost")
    const without = { ...resource, read: () => resource.read().slice(0, -1) }
    expect(failed(show, without)).toEqual([lost, turns])
    const twice = { ...resource, read: () => [...resource.read(), resource.read()[0]!] }
    expect(failed(show, twice)).toContain(lost)
  })

  it("fail when a worker missed a turn", () => {
    const { resource, show } = run("turns", (writes) => void writes.splice(-1))
    expect(failed(show, resource)).toEqual([turns])
  })

  it("fail when the lock went on before the lease of the dead ended, or nobody was killed", () => {
    const { resource, show } = run("early")
    const early = { ...show, killed: { ...show.killed!, until: 11 } }
    expect(failed(early, resource)).toEqual(["the lock of the killed holder went on after its lease, not before"])
    const { killed: _, ...nobody } = show
    expect(failed(nobody, resource)).toContain("the lock of the killed holder went on after its lease, not before")
  })

  it("fail when a late write was accepted, or none came, or the lock stays held", () => {
    const late = "the late write of the frozen holder was refused by the resource"
    const { resource, show } = run("late")
    expect(failed({ ...show, frozen: { ...show.frozen!, lateWriteAccepted: true } }, resource)).toEqual([late])
    const none = run(
      "none",
      (writes) =>
        void writes.splice(
          writes.findIndex((write) => write.token === 2 && write.kind === "append"),
          1
        )
    )
    expect(failed(none.show, none.resource)).toEqual([late])
    expect(failed(show, resource, false)).toEqual(["the lock is free at the end"])
  })
})

describe("the resource of the demo", () => {
  it("refuses a token lower than the highest it has seen, and keeps nothing of the write", () => {
    const resource = resources.make(join(directory, "fence.jsonl"))
    const write = (token: number): Write => ({ id: `w${token}`, worker: "w", turn: 1, token, kind: "append" })
    expect([2, 2, 1, 3, 2].map((token) => resource.write(write(token)))).toEqual([true, true, false, true, false])
    expect(resource.read().map(({ token }) => token)).toEqual([2, 2, 3])
    expect(resource.highest()).toBe(3)
  })
})
