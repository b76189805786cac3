/** The kit can fail: each of these storages breaks one rule, and the cases of that rule catch it. */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import { describe, expect, it } from "#harness/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Layer from "#effect/Layer"
import { LockError, type LockRecord, MemoryStorage, Storage } from "../../src/index.js"
import { runCase } from "../../src/testing/check.js"
import * as Env from "../../src/testing/env.js"
import * as Conformance from "../../src/testing/index.js"
import { target } from "../broken/base.js"
import { kinds } from "../broken/kinds.js"
import { storages } from "../broken/storages.js"
import { type Broken, transitions } from "../broken/transitions.js"

const family: ReadonlyArray<Broken> = [...transitions, ...storages, ...kinds]
const timeout = 180_000

const broken = (name: string) => family.find((each) => each.name === name)!

describe("the conformance kit", () => {
  describe("a correct storage passes, with nothing skipped", () => {
    for (const each of Conformance.cases) {
      it.live(
        each.name,
        () =>
          Effect.map(Conformance.check(each, target("correct")), (result) => {
            expect(result._tag === "Failed" ? Cause.pretty(result.cause) : result._tag).toBe("Passed")
          }),
        timeout
      )
    }
  })

  for (const effort of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
    it(`no effort is refused, with which nothing would be shown: ${effort}`, async () => {
      const refused = "InvalidOptions: effort must be a number above 0"
      const result = await Effect.runPromise(Conformance.check(Conformance.cases[0]!, { ...target("correct"), effort }))
      expect(result._tag === "Failed" ? Cause.pretty(result.cause) : result._tag).toContain(refused)
      expect(() => Conformance.suite({ ...target("correct"), effort })).toThrow(refused.slice(16))
    })

  describe("a storage that breaks one rule is caught by that rule", () => {
    for (const { hooks, name, parts, rules } of family) {
      for (const rule of rules) {
        it.live(
          `${name} [${rule}]`,
          () =>
            Effect.gen(function* () {
              const cases = Conformance.cases.filter((each) => each.rule === rule)
              expect(cases, `there is a case for ${rule}`).not.toHaveLength(0)
              const results = yield* Effect.forEach(cases, (each) =>
                Conformance.check(each, { ...target(name, parts, hooks), seed: 42 })
              )
              const failed = results.filter((result) => result._tag === "Failed")
              expect(failed, `no case of ${rule} has noticed`).not.toHaveLength(0)
              // By its own judgement, not by an accident on the way there.
              for (const { cause } of failed) expect(Cause.hasDies(cause), Cause.pretty(cause)).toBe(false)
            }),
          timeout
        )
      }
    }
  })

  describe("what only one rule sees passes every other case", () => {
    // The life of a hold takes real time, and asks nothing else of a storage.
    const others = (rules: ReadonlyArray<string>) =>
      Conformance.cases.filter(({ rule }) => !rules.includes(rule) && !rule.startsWith("life-"))
    for (const { hooks, name, only, parts, rules } of family) {
      if (only !== true) continue
      it.live(
        `${name} [${rules.join(", ")}]`,
        () =>
          Effect.gen(function* () {
            const failed = yield* Effect.filter(
              others(rules),
              (each) =>
                Effect.map(
                  Conformance.check(each, { ...target(name, parts, hooks), seed: 42, sequences: 5 }),
                  ({ _tag }) => _tag === "Failed"
                ),
              { concurrency: 8 }
            )
            expect(failed.map(({ rule }) => rule)).toEqual([])
          }),
        timeout
      )
    }
  })

  it("has for each rule a storage that breaks it", () => {
    const covered = new Set(family.flatMap(({ rules }) => rules))
    expect(Conformance.cases.map(({ rule }) => rule).filter((rule) => !covered.has(rule))).toEqual([])
  })

  it("names every case and every broken storage once", () => {
    for (const names of [Conformance.cases.map(({ name }) => name), family.map(({ name }) => name)]) {
      expect(new Set(names).size).toBe(names.length)
    }
  })

  it.live(
    "what failed, and what did not come to an end, is told with what it asked of the storage last",
    () =>
      Effect.gen(function* () {
        const memory = yield* MemoryStorage.make()
        const run = (release: Storage.Service["release"]) =>
          Effect.scoped(
            Effect.gen(function* () {
              const case_ = Conformance.cases.find(({ rule }) => rule === "release-frees-one-hold")!
              // What asks whether two builds share their locks is no part of the case.
              const storage = {
                ...memory,
                release: (request: LockRecord.Release) =>
                  request.lockId.endsWith("-probe") ? memory.release(request) : release(request)
              }
              const opened = yield* Env.open({ name: "broken", layer: Layer.succeed(Storage.Storage, storage) })
              const result = yield* runCase(case_, opened, 500)
              return result._tag === "Failed" ? Cause.pretty(result.cause) : result._tag
            })
          )
        expect(yield* run(() => Effect.succeed({ _tag: "NotHeld" }))).toMatch(
          /Asked last, by all connections of the case:\n( {2}.*\n)* {2}release kit-.* of hold \S+: NotHeld/
        )
        const hung = yield* run(() => Effect.never)
        expect(hung).toMatch(/over broken the case did not end within 500 ms: .*\[release-frees-one-hold\]/)
        expect(hung).toMatch(/ {2}release kit-.* of hold \S+: (no answer yet|given up)/)
      }),
    timeout
  )

  it.live(
    "a server that is too busy to answer within a part of a short lease passes with a longer one",
    () =>
      Effect.gen(function* () {
        const memory = yield* MemoryStorage.make()
        let refused = 0
        const claim: Storage.Service["claim"] = (request) =>
          Effect.suspend(() => {
            if (request.lease >= 4_000_000 || request.ownerId !== "ada") return memory.claim(request)
            refused++
            return new LockError.StorageError({
              reason: "Timeout",
              operation: "claim",
              isRetryable: false,
              applied: "no",
              message: "busy"
            })
          })
        const busy = { name: "busy", layer: Layer.succeed(Storage.Storage, { ...memory, claim }) }
        const refreshed = Conformance.cases.find(({ rule }) => rule === "life-refresh")!
        const result = yield* Conformance.check(refreshed, busy)
        expect(result._tag === "Failed" ? Cause.pretty(result.cause) : result._tag).toBe("Passed")
        expect(refused).toBe(1)
      }),
    timeout
  )

  it.live(
    "a random sequence that failed is replayed by the seed that the failure tells",
    () =>
      Effect.gen(function* () {
        const [specification] = Conformance.cases.filter(({ rule }) => rule === "specification")
        const { name, parts } = broken("holds are counted, not named: any release takes one")
        const run = (options: { readonly seed?: number; readonly sequences?: number }) =>
          Effect.map(Conformance.check(specification!, { ...target(name, parts), ...options }), (result) =>
            result._tag === "Failed" ? Cause.pretty(result.cause) : result._tag
          )
        const first = yield* run({})
        const [, step, seed] = /step (\d+) of a random sequence \(replay it with seed (\d+)\)/.exec(first)!
        const again = yield* run({ seed: Number(seed), sequences: 1 })
        expect(again).toContain(`step ${step} of a random sequence (replay it with seed ${seed})`)
      }),
    timeout
  )

  it.live(
    "a case that needs a hook is skipped without it, and says so",
    () =>
      Effect.gen(function* () {
        const { hooks: _, versioned: __, ...without } = target("without hooks")
        for (const each of Conformance.cases) {
          if (each.needs === undefined) continue
          const result = yield* Conformance.check(each, without)
          const what = each.needs === "versioned" ? "the target's" : "the hook"
          expect(result).toEqual({ _tag: "Skipped", reason: `it needs ${what} ${JSON.stringify(each.needs)}` })
        }
      }),
    timeout
  )

  it(
    "as a suite of vitest it fails for a broken storage, skips visibly, and passes for a correct one",
    async () => {
      const root = fileURLToPath(new URL("../..", import.meta.url))
      const report = await new Promise<any>((resolve, reject) => {
        execFile(
          process.execPath,
          ["node_modules/vitest/vitest.mjs", "run", "--config", "test/broken/vitest.fixture.ts", "--reporter=json"],
          { cwd: root, maxBuffer: 2 ** 26 },
          // It ends with a failure: that is the point.
          (_, out, err) => {
            try {
              resolve(JSON.parse(out.slice(out.indexOf("{"))))
            } catch {
              reject(new Error(`no report: ${out}${err}`))
            }
          }
        )
      })
      const of = (suite: string): ReadonlyArray<any> =>
        report.testResults[0].assertionResults.filter((each: any) => each.ancestorTitles[0] === suite)
      const titles = (suite: string, status: string) =>
        of(suite)
          .filter((each) => each.status === status)
          .map(({ title }) => title)
      expect(of("correct")).toHaveLength(Conformance.cases.length)
      expect(titles("correct", "failed")).toEqual([])
      expect(titles("correct", "skipped")).toEqual(
        Conformance.cases.filter(({ rule }) => rule.startsWith("life-")).map((each) => `${each.name} [${each.rule}]`)
      )
      expect(titles("broken", "failed").join("\n")).toContain("[leases-only-grow]")
      expect(titles("broken", "failed")).not.toHaveLength(Conformance.cases.length)
    },
    timeout
  )
})
