import { assert, describe, it } from "#harness/vitest"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { check, properties } from "../../evidence/simulate/checker.js"
import type { Event, History, Rules } from "../../evidence/simulate/history.js"
import { format } from "../../evidence/simulate/history.js"
import { mutants } from "../../evidence/simulate/mutants.js"
import { mutate } from "../../evidence/simulate/mutate.js"
import { generate } from "../../evidence/simulate/plan.js"
import { run } from "../../evidence/simulate/run.js"
import { runShare, emptyTally, add } from "../../evidence/simulate/shard.js"
import * as program from "../support/program.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const main = program.bundled(new URL("../../evidence/simulate/main.ts", import.meta.url))
const simulate = (...args: ReadonlyArray<string>) => program.ended(program.start(main(), args, { cwd: root }))

const rules: Rules = {
  margin: 100,
  clockBound: 10,
  longestEnd: 200,
  calm: false,
  hiccups: false,
  swift: undefined,
  atomic: true,
  lostWrites: false
}
const want = (n: number, t: number, more: Partial<Extract<Event, { type: "want" }>> = {}): Event => ({
  type: "want",
  t,
  p: "p1",
  n,
  lock: "a",
  owner: undefined,
  wait: true,
  timeout: undefined,
  within: undefined,
  ...more
})
const got = (n: number, t: number, owner: string, token: number, until: number, p = "p1"): Event => ({
  type: "got",
  t,
  p,
  n,
  lock: "a",
  owner,
  hold: `h${n}`,
  token,
  until
})
const state = (
  t: number,
  owner: string,
  holds: ReadonlyArray<string>,
  token: number,
  ends: number,
  op = "claim"
): Event => ({
  type: "state",
  t,
  p: "storage",
  lock: "a",
  op,
  by: "p1",
  owner,
  holds,
  token,
  ends
})
const end = (t: number, n: number): Event => ({ type: "end", t, p: "p1", hold: `h${n}` })
const done = (t: number, n: number, body: string | undefined, exit: string): Event => ({
  type: "done",
  t,
  p: "p1",
  n,
  body,
  exit
})
const write = (t: number, n: number, token: number, accepted: boolean, sent = t, access?: "read" | "write"): Event => ({
  ...(access === undefined ? {} : { access }),
  type: "write",
  t,
  p: "p1",
  lock: "a",
  hold: `h${n}`,
  token,
  sent,
  accepted
})

const good: History = [
  want(1, 0),
  state(1, "x", ["h1"], 5, 1001),
  got(1, 2, "x", 5, 901),
  write(3, 1, 5, true),
  want(2, 4),
  end(10, 1),
  state(11, "", [], 5, 0, "release"),
  done(12, 1, "ok", "ok"),
  state(13, "y", ["h2"], 6, 1013),
  got(2, 14, "y", 6, 913),
  end(20, 2),
  state(21, "", [], 6, 0, "release"),
  done(22, 2, "Failed", "Failed")
]

/** One broken promise each; several ways to break it where they differ. */
const bad: ReadonlyArray<readonly [property: string, what: string, history: History, rules?: Partial<Rules>]> = [
  [
    "exclusion",
    "a second owner gets the lock while the first surely has it",
    [got(1, 0, "x", 5, 900), got(2, 10, "y", 6, 900, "p2")]
  ],
  [
    "exclusion",
    "the first owner looks again, and is sure, after a second got the lock",
    [got(1, 0, "x", 5, 5), got(2, 10, "y", 6, 900, "p2"), { type: "look", t: 20, p: "p1", hold: "h1", until: 30 }]
  ],
  [
    "tokens",
    "a token is lower than one before",
    [state(0, "x", ["h1"], 5, 100), state(1, "x", [], 5, 0, "release"), state(2, "y", ["h2"], 4, 100)]
  ],
  [
    "tokens",
    "a token comes again after a release",
    [state(0, "x", ["h1"], 5, 100), state(1, "", [], 5, 0, "release"), state(2, "x", ["h2"], 5, 100)]
  ],
  ["tokens", "two owners get one token", [got(1, 0, "x", 5, 10), end(5, 1), got(2, 20, "y", 5, 30)]],
  ["fencing", "the resource accepts an old token", [write(0, 2, 6, true), write(1, 1, 5, true)]],
  [
    "fencing",
    "a write is sent after the loss was told",
    [got(1, 0, "x", 5, 100), { type: "lost", t: 50, p: "p1", hold: "h1", reason: "Expired" }, write(60, 1, 5, true)]
  ],
  ["fencing", "who surely has the lock is rejected", [got(1, 0, "x", 5, 100), write(10, 1, 5, false)]],
  [
    "deadline",
    "a hold is told to last longer than its lease less the margin",
    [state(0, "x", ["h1"], 5, 1000), got(1, 1, "x", 5, 950)]
  ],
  ["deadline", "a hold is told of that the storage has not", [state(0, "y", ["h9"], 5, 1000), got(1, 1, "x", 4, 500)]],
  ["deadline", "a hold is given when its time is over", [state(0, "x", ["h1"], 5, 1000), got(1, 950, "x", 5, 950)]],
  [
    "untouched",
    "the release of one hold takes another one out",
    [
      state(0, "x", ["h1", "h2"], 5, 1000),
      got(1, 1, "x", 5, 890),
      got(2, 2, "x", 5, 890),
      end(5, 2),
      state(6, "", [], 5, 0, "release")
    ]
  ],
  [
    "untouched",
    "a lost hold is given back while its body ends",
    [
      state(0, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      { type: "lost", t: 900, p: "p1", hold: "h1", reason: "Expired" },
      state(910, "", [], 5, 0, "release"),
      end(920, 1)
    ]
  ],
  [
    "untouched",
    "a reentry makes the lease shorter",
    [state(0, "x", ["h1"], 5, 1000), got(1, 1, "x", 5, 890), state(2, "x", ["h1", "h2"], 5, 500)]
  ],
  [
    "told",
    "nobody tells the holder that the time is over",
    [state(0, "x", ["h1"], 5, 1000), got(1, 1, "x", 5, 900), want(2, 5000)]
  ],
  [
    "told",
    "the loss is told when the lease is over",
    [
      state(0, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      { type: "lost", t: 1000, p: "p1", hold: "h1", reason: "Expired" }
    ]
  ],
  [
    "reasons",
    "an operator is named who was not there",
    [
      state(0, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      { type: "lost", t: 10, p: "p1", hold: "h1", reason: "Forced" }
    ]
  ],
  [
    "reasons",
    "another is named who did not come",
    [
      state(0, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      { type: "lost", t: 10, p: "p1", hold: "h1", reason: "Taken" }
    ]
  ],
  [
    "reasons",
    "the storage is said to have forgotten what it has",
    [
      state(0, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      { type: "lost", t: 10, p: "p1", hold: "h1", reason: "Vanished" }
    ]
  ],
  [
    "applied",
    "what was applied is told as not applied",
    [
      want(1, 0),
      { type: "asks", t: 0, p: "p1", lock: "a", hold: "h1" },
      state(1, "x", ["h1"], 5, 1000),
      { ...done(5, 1, undefined, "StorageError Timeout"), applied: "no" } as Event
    ]
  ],
  [
    "ghosts",
    "nobody gives back what nobody wants",
    [
      want(1, 0),
      { type: "asks", t: 0, p: "p1", lock: "a", hold: "h1" },
      state(1, "x", ["h1"], 5, 1000),
      done(5, 1, undefined, "not available"),
      state(1000, "", [], 5, 0, "time")
    ],
    { lease: 1000 }
  ],
  [
    "calm",
    "a hold is lost though nothing went wrong",
    [{ type: "lost", t: 0, p: "p1", hold: "h1", reason: "Expired" }],
    { calm: true }
  ],
  [
    "calm",
    "a claim that nobody wants any more is not given back",
    [state(0, "x", ["h1"], 5, 1000), state(2000, "", [], 5, 0, "time")],
    { calm: true }
  ],
  [
    "swift",
    "who waits hears nothing of a release",
    [
      want(1, 0),
      state(1, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      want(2, 2),
      end(10, 1),
      state(11, "", [], 5, 0, "release"),
      state(300, "y", ["h2"], 6, 1300)
    ],
    { swift: 60 }
  ],
  [
    "result",
    "the failure of a release stands in for the result",
    [want(1, 0), got(1, 1, "x", 5, 900), end(5, 1), done(6, 1, "ok", "StorageError Timeout")]
  ],
  [
    "stopped",
    "a body goes on though its lock is lost",
    [
      want(1, 0, { guarded: true }),
      got(1, 1, "x", 5, 900),
      { type: "lost", t: 20, p: "p1", hold: "h1", reason: "Forced" },
      { type: "look", t: 40, p: "p1", hold: "h1", until: 40, body: true }
    ]
  ],
  ["result", "something dies", [want(1, 0), done(6, 1, undefined, "died: oops")]],
  [
    "prompt",
    "who is interrupted waits on",
    [want(1, 0), { type: "interrupt", t: 5, p: "p1", n: 1 }, done(100, 1, undefined, "interrupted")]
  ],
  ["prompt", "a time-out is late", [want(1, 0, { timeout: 50 }), done(100, 1, undefined, "LockTimeout")]],
  [
    "contention",
    "a time-out of a lock that nobody has",
    [want(1, 0, { timeout: 50 }), done(51, 1, undefined, "LockTimeout")]
  ],
  [
    "contention",
    "a time-out of a lock that was freed long before",
    [
      state(0, "x", ["h9"], 5, 1000),
      state(10, "", [], 5, 0, "release"),
      want(1, 500, { timeout: 50 }),
      done(551, 1, undefined, "LockTimeout")
    ]
  ],
  [
    "order",
    "the second waiter is served first",
    [want(1, 0), want(2, 1), got(2, 5, "y", 5, 6), end(6, 2), got(1, 10, "x", 6, 12), end(11, 1)]
  ],
  ["progress", "somebody waits for ever", [{ type: "stuck", t: 0, p: "p1", text: "1 actor" }]],
  ["nothingLeft", "a fiber is left", [{ type: "leak", t: 0, p: "p1", text: "1 fiber" }]]
]

describe("the checker", () => {
  it("finds nothing in a history in which all is well", () => {
    assert.deepStrictEqual(check(good, rules), [])
  })

  for (const [property, what, history, more] of bad) {
    it(`${property}: ${what}`, () => {
      const found = check(history, { ...rules, ...more }).map((violation) => violation.property)
      assert.include(found, property)
    })
  }

  it("has a bad history for each of its properties", () => {
    assert.deepStrictEqual(
      Array.from(new Set(bad.map(([property]) => property))).sort(),
      Object.keys(properties).sort()
    )
  })

  it("excuses a read that comes after the write that its owner sent later, and no other", () => {
    const of = (sent: number): History => [
      got(1, 0, "x", 5, 100),
      got(2, 5, "x", 6, 100),
      write(12, 2, 6, true, 10, "write"),
      write(20, 1, 5, false, sent, "read")
    ]
    const found = (sent: number) => check(of(sent), rules).map(({ property }) => property)
    assert.notInclude(found(9), "fencing")
    assert.include(found(11), "fencing")
  })

  it("takes a lock that nobody gave back for held by who comes later, where leases are observed, and nowhere else", () => {
    const freed = (op: string): History => [
      state(0, "x", ["h9"], 5, 100),
      state(100, "", [], 5, 0, op),
      want(1, 500, { timeout: 50 }),
      done(551, 1, undefined, "LockTimeout")
    ]
    const found = (op: string, observed: boolean) =>
      check(freed(op), { ...rules, observed }).map(({ property }) => property)
    assert.notInclude(found("time", true), "contention")
    assert.include(found("time", false), "contention")
    assert.include(found("release", true), "contention")
  })

  it("excuses a process that stood still, and no other", () => {
    const late = (p: string): History => [
      state(0, "x", ["h1"], 5, 1000),
      got(1, 1, "x", 5, 900),
      { type: "stop", t: 800, p, until: 2000, suspended: false },
      { type: "lost", t: 2000, p: "p1", hold: "h1", reason: "Expired" }
    ]
    assert.deepStrictEqual(check(late("p1"), rules), [])
    assert.deepStrictEqual(
      check(late("p2"), rules).map(({ property }) => property),
      ["told"]
    )
  })
})

describe("the simulation", () => {
  const schedules = 300

  it(`finds no violation in ${schedules} schedules, in which everything goes wrong at times`, async () => {
    const tally = emptyTally()
    await runShare({ from: 1, schedules, step: 1, offset: 0, stop: false }, (part) => add(tally, part))
    assert.deepStrictEqual(tally.failures, [])
    assert.strictEqual(tally.schedules, schedules)
    // It is no proof if nothing happens.
    assert.isAbove(tally.acquisitions, 1.5 * schedules)
    const kinds = [
      "pause",
      "suspend",
      "partition",
      "refuse",
      "swallow",
      "crash",
      "close",
      "wall",
      "stall",
      "clock",
      "leap",
      "promote",
      "falseHint",
      "hiccup",
      "flush",
      "setBack",
      "throws",
      "lost request",
      "lost reply",
      "late copy",
      "error",
      "lost hint"
    ]
    for (const kind of kinds) assert.isAbove(tally.faults[kind] ?? 0, 0, kind)
  })

  it("is the same again for the same seed, in another process and after other runs", async () => {
    const seed = 4711
    run(generate(1))
    const here = format(run(generate(seed), true).history)
    const there = async () => (await simulate("--seed", String(seed), "--whole")).stdout
    const one = await there()
    assert.strictEqual(await there(), one)
    // Between the line that describes the plan and the one that counts.
    assert.strictEqual(`${one.trimEnd().split("\n").slice(1, -1).join("\n")}\n`, here)
  })

  it("is another for another seed", () => {
    assert.notStrictEqual(format(run(generate(1)).history), format(run(generate(2)).history))
  })

  it("refuses nonsense", async () => {
    const { code, stderr } = await simulate("--schedules", "many")
    assert.strictEqual(code, 2)
    assert.include(stderr, "--schedules must be an integer")
  })
})

describe("the seeded bugs", () => {
  it("are many, and each still fits its place in the code, once", () => {
    assert.isAtLeast(mutants.length, 20)
    assert.strictEqual(new Set(mutants.map(({ name }) => name)).size, mutants.length)
    for (const mutant of mutants) {
      const text = readFileSync(`${root}/${mutant.file}`, "utf8")
      assert.notStrictEqual(mutate(text, mutant), text)
    }
  })

  it("one that fits twice is refused", () => {
    assert.throws(() => mutate("a a", { name: "twice", what: "", file: "", replace: "a", by: "b" }), /fits 2 times/)
  })

  it("one is caught, made smaller, and shown with its trace", async () => {
    const { code, stderr, stdout } = await simulate(
      "--mutant",
      "owner-not-compared",
      "--schedules",
      "200",
      "--workers",
      "1"
    )
    assert.strictEqual(code, 0, stdout + stderr)
    assert.match(stdout, /found after \d+ schedules/)
    assert.include(stdout, "The smallest form that was found")
    assert.match(stdout, />>>> {2}VIOLATION of \w+: /)
  })
})
