import { describe, expect, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as floors from "../bench/floor.js"
import * as options from "../bench/options.js"
import * as report from "../bench/report.js"
import { compare } from "../bench/rounds.js"
import * as statistics from "../bench/statistics.js"

const spreadOf = (median: number): statistics.Spread => ({ p25: median, median, p75: median, p95: median, count: 1 })

const results = (ratio: number, handOff: number, statements: number): report.Results => ({
  date: "2000-01-01",
  machine: "a machine",
  loadAverage: 1,
  versions: { node: "20" },
  plan: { settle: 1, rounds: 2, warmUp: 1, blockMillis: 1 },
  poolSize: 4,
  settings: [{ name: "PostgreSQL", setting: "fsync on" }],
  comparisons: [{
    storage: "PostgreSQL",
    scenario: report.cycleAlone,
    operationsPerBlock: 1,
    contenders: [
      { name: "pg", micros: spreadOf(100), ratio: spreadOf(1) },
      { name: "StorageLock", micros: spreadOf(100 * ratio), ratio: spreadOf(ratio) }
    ]
  }],
  roundTrips: {
    operations: [{ operation: "get", times: 10, statements, roundTrips: statements, expected: 1 }],
    renewals: { statements: 3, roundTrips: 3, renewed: 250, holds: 250 }
  },
  handOffs: [{ name: report.notified, millis: spreadOf(handOff) }]
})

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
    expect(statistics.spread(statistics.ratios(ours, floor))).toMatchObject({ p25: 1.1, median: 1.1, p75: 1.1, count: 5 })
    expect(() => statistics.ratios([1], [1, 2])).toThrow("pairs")
  })

  it("no contender has one place in the order for good", () => {
    for (const contenders of [2, 3]) {
      const rounds = Array.from({ length: 4 * contenders }, (_, round) => statistics.order(contenders, round))
      for (const order of rounds) expect([...order].sort()).toEqual(Array.from({ length: contenders }, (_, i) => i))
      for (let place = 0; place < contenders; place++) {
        const counts = rounds.reduce((sum, order) => sum.set(order[place]!, (sum.get(order[place]!) ?? 0) + 1), new Map<number, number>())
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
    expect(report.goals(results(1.1, 5, 1)).map((_) => _.met)).toEqual([true, true, true])
    expect(report.goals(results(1.11, 5.1, 2)).map((_) => _.met)).toEqual([false, false, false])
    expect(report.table(results(1.11, 5, 1))).toContain("NOT MET PostgreSQL")
    expect(report.markdown(results(1.11, 5, 1))).toContain("| 1.11 × (1.11–1.11) | **no** |")
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
    expect(found.contenders.map((_) => [_.name, _.micros.count])).toEqual([["floor", 4], ["ours", 4]])
    expect(found.contenders[0]!.ratio.median).toBe(1)
  })

  it("an operation that does not do its work ends it", async () => {
    const broken = { name: "broken", run: () => Promise.reject(new Error("not released")) }
    await expect(compare({ storage: "s", scenario: "c" }, [broken], { settle: 1, rounds: 1, warmUp: 1, blockMillis: 1 }, () => {}))
      .rejects.toThrow("not released")
  })
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
    expect(() => options.parse(["--storage", "oracle"])).toThrow("--storage must be memory, sqlite, postgres")
    expect(() => options.parse(["--pool", "0"])).toThrow("--pool must be a whole number from 1 to 64")
    expect(() => options.parse(["--rounds", "x"])).toThrow("--rounds")
    expect(() => options.parse(["--fast"])).toThrow()
    expect(options.parse(["--help"])).toBe("help")
    expect(options.parse(["--storage", "postgres", "--storage", "memory"])).toMatchObject({ storages: ["memory", "postgres"] })
  })
})

describe("npm run bench", () => {
  const main = fileURLToPath(new URL("../bench/main.ts", import.meta.url))
  const run = (...args: ReadonlyArray<string>) =>
    new Promise<{ readonly code: unknown; readonly out: string; readonly err: string }>((resolve) =>
      execFile(process.execPath, ["--import", "tsx", main, ...args], { timeout: 100_000 }, (error, out, err) =>
        resolve({ code: error === null ? 0 : error.code, out, err }))
    )

  it("a quick run over SQLite measures every operation and the hand-off between processes", { timeout: 110_000 }, async () => {
    const { code, err, out } = await run("--quick", "--json", "--rounds", "2", "--storage", "sqlite")
    expect(code, err).toBe(0)
    const found = JSON.parse(out) as report.Results
    expect(found.comparisons).toHaveLength(12)
    for (const { contenders } of found.comparisons) {
      expect(contenders.length).toBeGreaterThanOrEqual(2)
      for (const { micros, ratio } of contenders) {
        expect(micros.median).toBeGreaterThan(0)
        expect(ratio.count).toBe(2)
      }
    }
    expect(found.handOffs.map((_) => [_.name, _.millis.count])).toEqual([["SQLite, full", 4]])
    expect(found.handOffs[0]!.millis.p25).toBeGreaterThan(0)
  })

  it("a wrong option ends it with code 2", async () => {
    expect(await run("--storage", "oracle")).toMatchObject({ code: 2, out: "" })
  })
})
