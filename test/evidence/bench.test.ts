import { describe, expect, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as floors from "../../evidence/bench/floor.js"
import { merge } from "../../evidence/bench/merge.js"
import * as options from "../../evidence/bench/options.js"
import { type Bar, svg } from "../../evidence/bench/charts.js"
import { environment } from "../../evidence/bench/environment.js"
import { figures } from "../../evidence/bench/figures.js"
import { goals } from "../../evidence/bench/goals.js"
import * as crews from "../../evidence/bench/crew.js"
import type { Command, Contended } from "../../evidence/bench/worker.js"
import { none, ofTime, ofTree, ownerOf } from "../../evidence/bench/parts.js"
import * as profiler from "../../evidence/bench/profiler.js"
import { cycleAlone, cycleWide, effectAlone, holding, renewing } from "../../evidence/bench/names.js"
import * as ratios from "../../evidence/bench/ratios.js"
import * as report from "../../evidence/bench/report.js"
import { compare } from "../../evidence/bench/rounds.js"
import * as statistics from "../../evidence/bench/statistics.js"
import * as program from "../support/program.js"

const spreadOf = (median: number): statistics.Spread => ({
  p25: median,
  median,
  p75: median,
  p95: median,
  most: median,
  count: 1
})

const plan = { settle: 1, rounds: 2, warmUp: 1, blockMillis: 1 }
const ours = { storage: "PostgreSQL", name: "StorageLock", role: "ours" } as const
const peer = { storage: "PostgreSQL", name: "another", role: "peer" } as const

/** `worse` than the goals by as much, where it is above one. */
const results = (worse: number): report.Results => {
  const contention = {
    perSecond: spreadOf(100),
    fewest: spreadOf(4.5 / worse),
    most: spreadOf(9),
    longestWaitMillis: spreadOf(80),
    overlaps: worse > 1 ? 1 : 0
  }
  return {
    date: "2000-01-01",
    machine: "a machine",
    loadAverage: 1,
    versions: { node: "20" },
    plan,
    peersPlan: plan,
    runs: 1,
    poolSize: 4,
    settings: [{ name: "PostgreSQL", setting: "fsync on" }],
    comparisons: [cycleAlone, cycleWide].map((scenario) => ({
      storage: "PostgreSQL",
      scenario,
      operationsPerBlock: 1,
      contenders: [
        { name: "pg", micros: spreadOf(100), ratio: spreadOf(1) },
        { name: "StorageLock", micros: spreadOf(100), ratio: spreadOf((scenario === cycleAlone ? 1.1 : 0.3) * worse) }
      ]
    })),
    cycles: [
      {
        storage: "PostgreSQL",
        scenario: cycleAlone,
        operationsPerBlock: 1,
        contenders: [
          { name: "bare <driver>", micros: spreadOf(100), ratio: spreadOf(1) },
          { name: "StorageLock", micros: spreadOf(110), ratio: spreadOf(worse > 1 ? 2.3 : 1.1) },
          { name: "another", micros: spreadOf(220), ratio: spreadOf(2.2) }
        ]
      }
    ],
    requests: [{ ...ours, statements: 2, roundTrips: 2 }],
    roundTrips: {
      operations: [{ operation: "get", times: 10, statements: worse, roundTrips: worse, expected: 1 }],
      renewals: { statements: 3, roundTrips: 3, renewed: 250, holds: 250 }
    },
    handOffs: [
      { storage: "PostgreSQL", name: "bare <driver>", role: "floor", millis: spreadOf(3) },
      { ...ours, millis: spreadOf(4 * worse) },
      { ...peer, millis: spreadOf(4.01) }
    ],
    contentions: [
      { ...ours, ...contention, requestsPerAcquisition: spreadOf(3 * worse) },
      { ...peer, ...contention, overlaps: 7, requestsPerAcquisition: spreadOf(3.01) }
    ],
    refreshes: [
      {
        storage: "PostgreSQL",
        holds: 1_000,
        statements: spreadOf(10),
        cpuMillis: spreadOf(5),
        serverMillis: undefined
      },
      {
        storage: "PostgreSQL",
        holds: 10_000,
        statements: spreadOf(100),
        cpuMillis: spreadOf(60 * worse),
        serverMillis: undefined
      }
    ],
    memories: [{ storage: "PostgreSQL", name: "StorageLock", bytesPerHold: 1_500 * worse, bytesPerWaiter: 4_000 }],
    stalls: [
      { ...ours, millis: spreadOf(1_400 * worse), told: 1, runs: 1, mute: false },
      { ...peer, millis: undefined, told: 0, runs: 1, mute: true }
    ],
    profiles: [
      { storage: "PostgreSQL", scenario: cycleAlone, name: "bare <driver>", parts: { ...none, waiting: 80, node: 20 } },
      {
        storage: "PostgreSQL",
        scenario: cycleAlone,
        name: "StorageLock",
        parts: { ...none, waiting: 80, node: 30, effect: 25, lock: 12.5, garbage: 0.4 }
      },
      { storage: "PostgreSQL", scenario: renewing, name: "StorageLock", parts: { ...none, driver: 6, lock: 2 } },
      { storage: "PostgreSQL", scenario: holding, name: "StorageLock", parts: { ...none, effect: 600, lock: 900 } }
    ],
    failures: [{ storage: "PostgreSQL", scenario: "cycle", subject: "a third", reason: "cannot be installed" }]
  }
}

describe("the arithmetic of the benchmark", () => {
  it("quantiles are linear between ranks, whatever the order of the values", () => {
    expect(statistics.quantile([40, 10, 30, 20], 0.5)).toBe(25)
    expect(statistics.quantile([40, 10, 30, 20], 0)).toBe(10)
    expect(statistics.quantile([40, 10, 30, 20], 1)).toBe(40)
    expect(statistics.quantile([0, 10, 20, 30, 40], 0.95)).toBeCloseTo(38)
    expect(statistics.quantile([7], 0.75)).toBe(7)
    expect(statistics.quantile([], 0.5)).toBeNaN()
  })

  it("ratios are taken round by round, so noise that hits a whole round cancels", () => {
    const floor = [100, 1000, 100, 1000, 100]
    const ours = [110, 1100, 110, 1100, 110]
    expect(statistics.spread(statistics.ratios(ours, floor))).toMatchObject({
      p25: 1.1,
      median: 1.1,
      p75: 1.1,
      count: 5
    })
    expect(() => statistics.ratios([1], [1, 2])).toThrow("pairs")
  })

  it("no contender has one place in the order for good", () => {
    for (const contenders of [2, 3]) {
      const rounds = Array.from({ length: 4 * contenders }, (_, round) => statistics.order(contenders, round))
      for (const order of rounds) expect([...order].sort()).toEqual(Array.from({ length: contenders }, (_, i) => i))
      for (let place = 0; place < contenders; place++) {
        const counts = rounds.reduce(
          (sum, order) => sum.set(order[place]!, (sum.get(order[place]!) ?? 0) + 1),
          new Map<number, number>()
        )
        expect([...counts.values()]).toEqual(Array.from({ length: contenders }, () => 4))
      }
    }
  })

  it("a block is as long as asked, and a multiple of the width", () => {
    expect(statistics.blockCost([1, 2, 3])).toBe(1)
    expect(statistics.blockCost([1, 40, 2])).toBe(10)
    expect(statistics.blockSize(0.5, 60, 1)).toBe(120)
    expect(statistics.blockSize(0.5, 60, 64)).toBe(128)
    expect(statistics.blockSize(1000, 60, 1)).toBe(1)
    expect(statistics.blockSize(0.0001, 60, 1)).toBe(20_000)
  })

  it("a goal is met only by its figure", () => {
    expect(goals(results(1)).map((_) => [_.goal, _.met])).toEqual(goals(results(1)).map((_) => [_.goal, true]))
    expect(goals(results(1))).toHaveLength(14)
    expect(goals(results(1.2)).map((_) => _.met)).toEqual(Array.from({ length: 14 }, () => false))
    // Not told in one of the runs is not told in time.
    const once = results(1)
    const deaf = { ...once, stalls: once.stalls.map((_) => ({ ..._, runs: 2 })) }
    expect(
      goals(deaf)
        .filter((_) => !_.met)
        .map((_) => _.goal)
    ).toEqual([expect.stringContaining("stall")])
  })

  it("on Effect 4 the goals are higher, and over memory they are microseconds beside those of Effect itself", () => {
    const limits = (versions: Record<string, string>) =>
      goals({
        ...results(1),
        versions,
        comparisons: [
          ...results(1).comparisons,
          {
            storage: "memory",
            scenario: cycleAlone,
            operationsPerBlock: 1,
            contenders: [
              { name: "a Map", micros: spreadOf(1), ratio: spreadOf(1) },
              { name: effectAlone, micros: spreadOf(11), ratio: spreadOf(11) },
              { name: "StorageLock", micros: spreadOf(20), ratio: spreadOf(20) }
            ]
          }
        ]
      }).filter(({ goal }) => goal.includes("at most") && goal.includes("acquire"))
    expect(limits({ effect: "3.22.4" }).map((_) => _.met)).toEqual([true, true, true])
    const on4 = limits({ effect: "4.1.0" })
    expect(on4.map((_) => _.met)).toEqual([false, true, false])
    expect(on4[0]!.why).toContain("takes 11.0 (11.0–11.0) µs")
  })

  it("the report says what was met, what was not, and what was not measured", () => {
    expect(report.table(results(1.2))).toContain("NOT MET PostgreSQL")
    expect(report.table(results(1))).toContain("NOT MEASURED PostgreSQL, cycle, a third: cannot be installed")
    const text = report.markdown(results(1.2))
    expect(text).toContain(
      "| 1.32 × (1.32–1.32) | **no**: by the profile, of 47.9 µs more: Effect 25.0, lock 12.5, Node 10.0 |"
    )
    expect(text).toContain("by the profile, of 8.0 µs of a renewal: driver 6.0, lock 2.0 |")
    expect(text).toContain("by the profile, of 1500 bytes: lock 900, Effect 600 |")
    expect(report.markdown({ ...results(1.2), profiles: [] })).toContain("**no**: the rest is processor time")
    expect(text).toContain("| PostgreSQL | cycle | a third | cannot be installed |")
    expect(text).toContain("| PostgreSQL | another | has no signal |")
    for (const { name } of figures(results(1))) expect(text).toContain(`(charts/${name}.svg)`)
  })
})

describe("a profile", () => {
  const frame = (functionName: string, url = "") => ({ functionName, url })
  const compiled = "file:///home/me/project/node_modules/.cache/effect-storage-lock-compiled-1/"

  it("knows whose code each part is", () => {
    const owners = [
      [frame("run", "file:///home/me/project/node_modules/effect/dist/esm/internal/fiberRuntime.js"), "effect"],
      [frame("query", "file:///home/me/project/node_modules/pg/lib/client.js"), "driver"],
      [frame("claim", `${compiled}src/backends/postgres/storage.js`), "storage"],
      [frame("acquire", `${compiled}src/core/acquire.js`), "lock"],
      [frame("loop", `${compiled}evidence/bench/cycles.js`), "bench"],
      [frame("writev", "node:net"), "node"],
      [frame("(idle)"), "waiting"],
      [frame("(program)"), "node"],
      [frame("(garbage collector)"), "garbage"],
      [frame("all"), "driver"]
    ] as const
    for (const [of, owner] of owners) expect(ownerOf(of, "effect"), of.functionName).toBe(owner)
    // A function of the language.
    expect(ownerOf(frame("set"), "lock")).toBe("lock")
  })

  it("adds up what each frame takes by itself", () => {
    const nodes = [
      { id: 1, callFrame: frame("(root)"), children: [2, 3, 5] },
      { id: 2, callFrame: frame("(idle)") },
      { id: 3, callFrame: frame("acquire", `${compiled}src/core/acquire.js`), children: [4] },
      { id: 4, callFrame: frame("push") },
      { id: 5, callFrame: frame("acquire", `${compiled}src/core/acquire.js`) }
    ]
    const profile = { nodes, startTime: 100, samples: [2, 3, 4, 4, 5], timeDeltas: [50, 10, 5, 6, 1] }
    expect(ofTime(profile, 0, 1_000)).toEqual({ ...none, waiting: 50, lock: 22 })
    expect(ofTime(profile, 140, 167)).toEqual({ ...none, waiting: 10, lock: 17 })
    const tree = { callFrame: frame("(root)"), selfSize: 1, children: [{ callFrame: frame("push"), selfSize: 7 }] }
    expect(ofTree(tree)).toEqual({ ...none, node: 8 })
  })

  it("is of the work alone, and says what it has kept", async () => {
    const kept: Array<unknown> = []
    const made = await profiler.memory(
      async () => void kept.push(Array.from({ length: 10_000 }, () => ({ a: 1, b: 2 })))
    )
    expect(made.bench).toBeGreaterThan(200_000)
    const spent = await profiler.time(() => new Promise((resolve) => setTimeout(resolve, 50)))
    expect(spent.waiting).toBeGreaterThan(0)
    expect(kept).toHaveLength(1)
  })
})

describe("results of several runs", () => {
  it("say with which versions they were had", () => {
    for (const [name, version] of Object.entries(environment([]).versions))
      expect(version, name).toMatch(/^\d+\.\d+\.\d+/)
  })

  it("of the same storage and scenario the latest counts, and everything else stays, with its date", () => {
    const earlier = results(1)
    const redis = results(2)
    const ofRedis = <A>(all: ReadonlyArray<A>) => all.map((one) => ({ ...one, storage: "Redis" }))
    const merged = merge(
      { ...earlier, cycles: [...earlier.cycles, ...ofRedis(earlier.cycles)] },
      {
        ...redis,
        date: "2000-02-02",
        settings: [{ name: "Redis", setting: "appendonly yes", date: "2000-02-02" }],
        comparisons: [],
        cycles: ofRedis(redis.cycles),
        handOffs: [],
        roundTrips: undefined,
        failures: [{ storage: "Redis", scenario: "all", subject: "another", reason: "away" }]
      },
      ["Redis", "PostgreSQL"]
    )
    expect(merged.settings.map(({ date, name }) => [name, date])).toEqual([
      ["Redis", "2000-02-02"],
      ["PostgreSQL", "2000-01-01"]
    ])
    expect(merged.cycles).toEqual([...ofRedis(redis.cycles), ...earlier.cycles])
    expect(merged.comparisons).toEqual(earlier.comparisons)
    expect(merged.handOffs).toEqual(earlier.handOffs)
    expect(merged.roundTrips).toEqual(earlier.roundTrips)
    expect(merged.failures.at(-1)!.storage).toBe("Redis")
    expect(report.markdown(merged)).toContain("- PostgreSQL, last measured on 2000-01-01: fsync on")
  })
})

describe("the charts", () => {
  const bar = (value: number | undefined, more: Partial<Bar> = {}): Bar => ({
    label: "a",
    value,
    text: `text ${value}`,
    role: "peer",
    ...more
  })
  const draw = (...bars: ReadonlyArray<Bar>) => svg({ title: "a < b", subtitle: "", groups: [{ name: "g", bars }] })
  const widths = (text: string) =>
    Array.from(text.matchAll(/<rect class="peer" x="330" .*?width="([\d.]+)"/g), ([, width]) => Number(width))

  it("bars are as long as their values, and every value is written at its bar", () => {
    const text = draw(bar(10), bar(5), bar(0))
    const [longest, half, none] = widths(text)
    expect(half).toBeCloseTo(longest! / 2)
    expect(none).toBe(1)
    for (const value of [10, 5, 0]) expect(text).toContain(`text ${value}<`)
  })

  it("a range that goes far beyond does not make the bars short", () => {
    expect(widths(draw(bar(10), bar(5, { low: 1, high: 1e6 })))).toEqual(widths(draw(bar(10), bar(5))))
  })

  it("what has no figure has no bar, and says why", () => {
    const text = draw(bar(undefined, { text: "has no signal" }), bar(1))
    expect(widths(text)).toHaveLength(1)
    expect(text).toContain("has no signal")
  })

  it("are XML whatever the names, and change with the ground", () => {
    const text = figures(results(1))
      .map(({ chart }) => svg(chart))
      .join("")
    expect(text).toContain("bare &#60;driver&#62;")
    expect(text).not.toMatch(/NaN|undefined|Infinity/)
    expect(text).toContain("prefers-color-scheme: dark")
  })
})

describe("the comparison", () => {
  it("warms up without counting, interleaves, and pairs the rounds", async () => {
    const calls: Array<string> = []
    const contender = (name: string) => ({
      name,
      run: async (operations: number) => {
        calls.push(`${name}${operations > 0 ? "" : " nothing"}`)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })
    const found = await compare(
      { storage: "s", scenario: "c" },
      [contender("floor"), contender("ours")],
      { settle: 1, rounds: 4, warmUp: 2, blockMillis: 1 },
      () => {}
    )
    expect(calls).toHaveLength(2 * (4 + 2))
    expect(calls.slice(4)).toEqual(["floor", "ours", "ours", "floor", "ours", "floor", "floor", "ours"])
    expect(found.contenders.map((_) => [_.name, _.micros.count])).toEqual([
      ["floor", 4],
      ["ours", 4]
    ])
    expect(found.contenders[0]!.ratio.median).toBe(1)
  })

  it("an operation that does not do its work ends it", async () => {
    const broken = { name: "broken", run: () => Promise.reject(new Error("not released")) }
    await expect(
      compare({ storage: "s", scenario: "c" }, [broken], { settle: 1, rounds: 1, warmUp: 1, blockMillis: 1 }, () => {})
    ).rejects.toThrow("not released")
  })

  it("another library that fails takes no further part, and the rest is measured", async () => {
    const good = (name: string) => ({ name, run: () => new Promise<void>((resolve) => setTimeout(resolve, 1)) })
    let calls = 0
    const broken = { name: "broken", run: () => (++calls < 4 ? Promise.resolve() : Promise.reject(new Error("gone"))) }
    const failures: Array<unknown> = []
    const found = await compare(
      { storage: "s", scenario: "c" },
      [good("floor"), broken, good("ours")],
      { settle: 1, rounds: 6, warmUp: 1, blockMillis: 1 },
      () => {},
      (name, error) => failures.push([name, String(error)])
    )
    expect(failures).toEqual([["broken", "Error: gone"]])
    expect(calls).toBe(4)
    expect(found.contenders.map((_) => [_.name, _.micros.count])).toEqual([
      ["floor", 6],
      ["ours", 6]
    ])
  })
})

describe("the processes of the benchmark", () => {
  const opening = {
    do: "open",
    key: "k",
    storage: "sqlite",
    way: "StorageLock",
    settings: { leaseMillis: 10_000 }
  } as const
  const folder = () => mkdtempSync(join(tmpdir(), "bench-test-"))
  const workerFile = program.bundled(new URL("../../evidence/bench/worker.ts", import.meta.url))

  it.live("one that does not answer is ended, and the next has open what it had", () =>
    Effect.gen(function* () {
      const [worker] = yield* crews.make(1, pathToFileURL(workerFile()))
      const path = folder()
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(path, { recursive: true, force: true })))
      const tell = <A>(command: Command, millis?: number) =>
        Effect.tryPromise({ try: () => worker!.tell<A>(command, millis), catch: (error) => error as Error })
      yield* tell({ ...opening, place: { url: join(path, "a.db"), prefix: "" } })
      yield* tell({ do: "acquire", key: "k", lockId: "x" })
      const late = yield* Effect.flip(tell({ do: "acquire", key: "k", lockId: "x" }, 300))
      expect(late.message).toContain('no answer to "acquire" within 0.3 s')
      yield* Effect.promise(() => worker!.ended())
      // The same file, in a new process.
      yield* tell({ do: "acquire", key: "k", lockId: "y" })
      yield* tell({ do: "release", key: "k" })
      const unknown = yield* Effect.flip(tell({ do: "acquire", key: "other", lockId: "y" }))
      expect(unknown.message).toContain("other is not open here")
    })
  )

  it.live("two holders at a time are counted", () =>
    Effect.gen(function* () {
      const [worker] = yield* crews.make(1, pathToFileURL(workerFile()))
      const path = folder()
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(path, { recursive: true, force: true })))
      const guard = join(path, "guard")
      const contend = { do: "contend", key: "k", lockId: "x", guard, holdMillis: 1, forMillis: 100 } as const
      yield* Effect.promise(() => worker!.tell({ ...opening, place: { url: join(path, "a.db"), prefix: "" } }))
      const alone = yield* Effect.promise(() => worker!.tell<Contended>(contend))
      expect(alone.overlaps).toBe(0)
      // Somebody else is in there, and stays.
      writeFileSync(guard, "")
      const together = yield* Effect.promise(() => worker!.tell<Contended>(contend))
      expect(together.overlaps).toBeGreaterThan(0)
    })
  )
})

describe("the floor", () => {
  it.each([
    ["memory", () => floors.memory()],
    ["SQLite", () => floors.sqlite(":memory:", "storage_lock", "full")]
  ])("of %s claims, renews, refuses and releases", async (_, make) => {
    const floor = make()
    const a = "a".padEnd(22, "0")
    const b = "b".padEnd(22, "0")
    expect(await floor.claim("x", "one", a, 1e7)).toBe(true)
    expect(await floor.claim("x", "two", b, 1e7)).toBe(false)
    expect(await floor.renew([{ lockId: "x", holdId: a }], 1e7)).toBe(true)
    expect(await floor.renew([{ lockId: "x", holdId: b }], 1e7)).toBe(false)
    expect(await floor.release("x", b)).toBe(false)
    expect(await floor.release("x", a)).toBe(true)
    expect(await floor.claim("x", "two", b, 1e7)).toBe(true)
    await floor.close()
  })
})

describe("the options of the benchmark", () => {
  it("say what is wrong with them", () => {
    expect(() => options.parse(["--storage", "oracle"])).toThrow("--storage must be memory, sqlite, postgres,")
    expect(() => options.parse(["--scenario", "speed"])).toThrow("--scenario must be cycle,")
    expect(() => options.parse(["--runs", "0"])).toThrow("--runs must be a whole number from 1 to 50")
    expect(() => options.parse(["--pool", "0"])).toThrow("--pool must be a whole number from 1 to 64")
    expect(() => options.parse(["--rounds", "x"])).toThrow("--rounds")
    expect(() => options.parse(["--fast"])).toThrow()
    expect(() => options.parse(["--keep", "--compare"])).toThrow("--compare and --keep")
    expect(options.parse(["--help"])).toBe("help")
    expect(options.parse(["--storage", "postgres", "--storage", "memory"])).toMatchObject({
      storages: ["memory", "postgres"]
    })
    expect(options.parse(["--scenario", "stall", "--no-peers"])).toMatchObject({ scenarios: ["stall"], peers: false })
  })

  it("only a run of everything is written down", () => {
    const whole = (...args: ReadonlyArray<string>) => options.isWhole(options.parse(args) as options.Options)
    expect(whole()).toBe(true)
    for (const args of [["--quick"], ["--no-peers"], ["--storage", "memory"], ["--scenario", "cycle"]])
      expect(whole(...args), args.join()).toBe(false)
  })
})

describe("the ratios that are kept", () => {
  const cycleOf = (name: string, ratio: number) => ({
    cycles: [
      {
        storage: "Redis",
        scenario: cycleAlone,
        operationsPerBlock: 1,
        contenders: [
          { name: "bare driver", micros: spreadOf(100), ratio: spreadOf(1) },
          { name, micros: spreadOf(100), ratio: spreadOf(ratio) }
        ]
      }
    ]
  })
  const name = `Redis: ${cycleAlone}`

  it("are ours, to the bare driver", () => {
    expect(ratios.figuresOf(cycleOf("StorageLock", 1.5))).toEqual({ [name]: { ratio: 1.5, bare: 100 } })
    expect(ratios.figuresOf(cycleOf("another", 1.5))).toEqual({})
  })

  const verdicts = (now: ratios.Figures, ...storages: ReadonlyArray<string>) =>
    ratios.judge({ [name]: { ratio: 1.5, bare: 100 } }, now, storages)

  it("must not become worse by more than noise, nor go unmeasured", () => {
    const verdict = (now: ratios.Figures, ...storages: ReadonlyArray<string>) =>
      verdicts(now, ...storages).map((_) => _.verdict)
    expect(verdict({ [name]: { ratio: 1.94, bare: 140 } }, "Redis")).toEqual(["as kept"])
    expect(verdict({ [name]: { ratio: 1.96, bare: 140 } }, "Redis")).toEqual(["worse"])
    expect(verdict({}, "Redis")).toEqual(["worse"])
    expect(verdict({}, "SQLite")).toEqual([])
  })

  it("are not judged on a machine where the bare driver itself takes another time", () => {
    for (const bare of [60, 160]) {
      const [judged] = verdicts({ [name]: { ratio: 3, bare } }, "Redis")
      expect(judged!.verdict).toBe("other machine")
      expect(ratios.line(judged!)).toContain(`the bare driver takes ${bare}`)
    }
  })

  it("what was measured twice counts by its better figure", () => {
    const [slow, quick] = [
      { ratio: 2, bare: 1 },
      { ratio: 1.5, bare: 2 }
    ]
    expect(ratios.best({ a: slow, b: quick }, { a: quick, b: slow, c: slow })).toEqual({ a: quick, b: quick, c: slow })
  })

  it("those that are kept are the middle ones of several runs", () => {
    const [low, middle, high] = [1, 2, 3].map((ratio) => ({ ratio, bare: 10 * ratio }))
    expect(ratios.middle([{ a: high!, b: low! }, { a: low!, b: low! }, { a: middle! }])).toEqual({ a: middle, b: low })
  })

  it("are there for the storages whose servers can be had", () => {
    for (const storage of ["PostgreSQL", "SQLite", "Redis", "MySQL or MariaDB"])
      expect(
        Object.keys(ratios.read()).filter((name) => name.startsWith(`${storage}:`)),
        storage
      ).toHaveLength(2)
  })
})

describe("npm run bench", () => {
  const main = program.bundled(new URL("../../evidence/bench/main.ts", import.meta.url))
  const run = (...args: ReadonlyArray<string>) => program.ended(program.start(main(), args))

  it("a quick run over SQLite measures every scenario", async () => {
    const {
      code,
      stderr: err,
      stdout: out
    } = await run("--quick", "--json", "--rounds", "2", "--storage", "sqlite", "--no-peers")
    expect(code, err).toBe(0)
    const found = JSON.parse(out) as report.Results
    expect(found.failures).toEqual([])
    expect(found.comparisons).toHaveLength(12)
    expect(found.cycles).toHaveLength(2)
    for (const { contenders } of [...found.comparisons, ...found.cycles]) {
      expect(contenders.length).toBeGreaterThanOrEqual(2)
      for (const { micros, ratio } of contenders) {
        expect(micros.median).toBeGreaterThan(0)
        expect(ratio.count).toBe(2)
      }
    }
    expect(found.handOffs.map((_) => [_.name, _.millis.count])).toEqual([["StorageLock", 4]])
    expect(found.handOffs[0]!.millis.p25).toBeGreaterThan(0)
    expect(found.contentions.map((_) => [_.name, _.overlaps])).toEqual([["StorageLock", 0]])
    expect(found.contentions[0]!.perSecond.median).toBeGreaterThan(0)
    expect(found.refreshes.map((_) => _.holds)).toEqual([1, 1_000])
    expect(found.memories[0]!.bytesPerHold).toBeGreaterThan(0)
    expect(found.stalls.map((_) => [_.name, _.told])).toEqual([["StorageLock", 1]])
    const names = (scenario: string) => found.profiles.filter((_) => _.scenario === scenario).map((_) => _.name)
    for (const scenario of [cycleAlone, cycleWide]) {
      expect(names(scenario).length).toBeGreaterThanOrEqual(2)
      expect(names(scenario).at(-1)).toBe("StorageLock")
    }
    const [kept] = found.profiles.filter((_) => _.scenario === holding)
    expect(kept!.parts.effect).toBeGreaterThan(100)
    expect(kept!.parts.lock).toBeGreaterThan(100)
    const [renewal] = found.profiles.filter((_) => _.scenario === renewing)
    expect(renewal!.parts.waiting).toBe(0)
    expect(renewal!.parts.driver).toBeGreaterThan(0)
    expect(goals(found).length).toBeGreaterThan(0)
  })

  it("a wrong option ends it with code 2", async () => {
    expect(await run("--storage", "oracle")).toMatchObject({ code: 2, stdout: "" })
  })
})
