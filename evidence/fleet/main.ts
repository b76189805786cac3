/**
 * Schedules of every second, kept by five real processes over a real storage. They start at different times, with clocks that differ by up to five seconds, and are killed and stopped. Or in virtual
 * time: see `help` in options.ts.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import { type ChildProcess, fork } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { asked } from "../arguments.js"
import * as Faketime from "../chaos/faketime.js"
import { clockFrom } from "../chaos/log.js"
import { storages } from "../chaos/storages.js"
import { program } from "../../scripts/compiled.js"
import * as Sandbox from "../../test/harness/sandbox.js"
import { Rng } from "../simulate/random.js"
import * as election from "./election.js"
import * as options from "./options.js"
import type { Config, Line } from "./protocol.js"
import * as schedules from "./schedules.js"
import { judge, type Judgement, nothing, type Promise, type Run, type Trouble } from "./ticks.js"

const every = 1000
const lease = 3000
const processes = 5
/** What begins this long before the end is not judged: who made up for what was missed may not be done. */
const quiet = 15_000
/** The clocks of the storage and of this process are the same, but for what it takes to read them. */
const instant = 20

const say = (text: string) => void process.stdout.write(`${text}\n`)

const read = (file: string): ReadonlyArray<Line> =>
  Fs.readFileSync(file, "utf8")
    .split("\n")
    .flatMap((text) => {
      try {
        return [JSON.parse(text) as Line]
      } catch {
        // Half a line of one who was killed.
        return []
      }
    })

const judgeAll = (
  lines: ReadonlyArray<Line>,
  promises: ReadonlyArray<Promise>,
  troubles: ReadonlyArray<Trouble>,
  until: number,
  timeOf: (tick: number) => number
): Judgement & { readonly latest: number; readonly unreached: number } => {
  const result = { ...nothing(), latest: 0, unreached: 0 }
  const wrong = (text: string) => result.violations.push(text)
  for (const line of lines) if (line.type === "failed") wrong(`${line.p} has ended: ${line.text}`)
  for (const promise of promises) {
    const ofTick = new Map<number, Array<Run>>()
    let open: Run | undefined
    for (const line of lines) {
      if (line.type === "failed" || line.schedule !== promise.schedule) continue
      const { p, t, tick, token } = line
      if (line.type === "end") {
        const run = ofTick.get(tick)?.find((run) => run.token === token)
        if (run !== undefined) Object.assign(run, { ended: t, how: line.how })
        continue
      }
      const run: Run = {
        schedule: promise.schedule,
        tick,
        token,
        isAgain: line.isAgain,
        p,
        began: t,
        ended: undefined,
        how: undefined
      }
      // Whoever stands still, or is dead, does not know that it is over.
      if (
        open !== undefined &&
        open.ended === undefined &&
        !troubles.some((one) => one.p === open!.p && one.from <= t && one.until >= open!.began)
      )
        wrong(`${promise.schedule}: ${p} begins at ${t.toFixed(0)} while ${open.p} is in the midst of a run`)
      if (open !== undefined && open.token >= token && open.tick !== tick)
        wrong(`${promise.schedule}: the token ${token} comes after ${open.token}`)
      open = run
      if (t < timeOf(tick) - instant)
        wrong(`${promise.schedule}: ${p} begins at ${t.toFixed(0)}, before its tick at ${timeOf(tick).toFixed(0)}`)
      result.latest = Math.max(result.latest, t - timeOf(tick))
      const others = ofTick.get(tick)
      if (others === undefined) ofTick.set(tick, [run])
      else others.push(run)
    }
    const first = Math.min(...ofTick.keys())
    if (!Number.isFinite(first)) wrong(`${promise.schedule} was never run`)
    // In their order: what is missing before the last that was begun was passed over. On a busy machine there may be more that are still to come.
    const last = Math.max(...ofTick.keys())
    let before = 0
    for (let tick = first; Number.isFinite(tick) && tick < last && timeOf(tick) < until; tick += every) {
      const runs = ofTick.get(tick) ?? []
      let next = tick
      while (!ofTick.has(next)) next += every
      const after = ofTick.get(next)![0]!.began
      judge(promise, timeOf(tick), runs, troubles, result, [before, after])
      before = runs.at(-1)?.began ?? before
    }
    result.unreached += Math.max(0, Math.floor((until - timeOf(last)) / every))
  }
  return result
}

const real = (storage: string, seconds: number, seed: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const entry = storages[storage]!
      const base = process.hrtime.bigint()
      const now = clockFrom(base)
      // By the machine's clock, which is the storage's.
      const began = Date.now() - now()
      const timeOf = (tick: number) => tick - began
      const rng = new Rng(`${seed} fleet`)
      const { directory } = yield* Sandbox.make("fleet")
      const log = Path.join(directory, "runs.jsonl")
      Fs.writeFileSync(log, "")
      const faketime = yield* Faketime.get
      const { title, url } = yield* entry.start
      const promises: ReadonlyArray<Promise> = (["atMostOnce", "atLeastOnce"] as const).map((runs) => ({
        schedule: `${runs} ${process.pid}`,
        runs,
        reach: 2 * lease
      }))
      const troubles: Array<Trouble> = []
      let restarts = 0
      let over = false
      const children: Array<{ child: ChildProcess; p: string; isWell: boolean }> = []
      const spawn = (index: number, generation: number): void => {
        const p = `w${index}.${generation}`
        const clock = Path.join(directory, `clock${index}`)
        const isFaked = faketime._tag === "Success" && entry.judges === "server"
        if (isFaked) Faketime.setOffset(clock, Math.round(rng.between(-5000, 5000)))
        const config: Config = {
          p,
          storage,
          url,
          log,
          base: String(base),
          lease,
          every,
          startsAfter: Math.round(rng.between(0, 2000)),
          schedules: promises.map(({ runs, schedule }) => ({ name: schedule, runs }))
        }
        const child = fork(program(new URL("./worker.ts", import.meta.url)), [JSON.stringify(config)], {
          execArgv: [],
          cwd: directory,
          env: { ...process.env, ...(isFaked ? faketime.success.env(clock) : {}) },
          stdio: ["ignore", "ignore", "inherit", "ipc"]
        })
        const own = { child, p, isWell: false }
        children[index] = own
        child.once("message", () => (own.isWell = true))
        child.once("exit", () => {
          if (child.pid !== undefined) Faketime.tidy(child.pid)
          if (over) return
          restarts++
          spawn(index, generation + 1)
        })
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          for (let index = 0; index < processes; index++) spawn(index, 1)
        }),
        () =>
          Effect.sync(() => {
            over = true
            for (const { child } of children) child.kill("SIGKILL")
          })
      )
      say(
        `${title}: ${processes} processes for ${seconds} s, seed ${seed}${faketime._tag === "Success" ? "" : ", with one clock: libfaketime cannot be had"}`
      )
      const end = now() + 1000 * seconds
      while (now() < end - quiet) {
        yield* Effect.sleep(rng.between(1000, 5000))
        const well = children.filter(({ isWell }) => isWell)
        if (well.length < 2) continue
        const one = rng.pick(well)
        const from = now()
        one.isWell = false
        if (rng.chance(0.5)) {
          one.child.kill("SIGKILL")
          troubles.push({ p: one.p, from, until: from })
        } else {
          one.child.kill("SIGSTOP")
          yield* Effect.sleep(rng.between(0.3, 2) * lease)
          one.child.kill("SIGCONT")
          troubles.push({ p: one.p, from, until: now() })
          one.isWell = true
        }
      }
      yield* Effect.sleep(Math.max(0, end - now()))
      const result = judgeAll(read(log), promises, troubles, end - quiet, timeOf)
      if (result.left > troubles.length)
        result.violations.push(`${result.left} ticks were not run, and only ${troubles.length} faults were made`)
      say(
        `${result.ticks} ticks, ${result.runs} runs, of these ${result.again} again after a death; ${result.left} not run to their end; ${troubles.length} faults, ${restarts} restarts; ` +
          `the latest began ${(result.latest / 1000).toFixed(1)} s after its tick${result.unreached === 0 ? "" : `, and ${result.unreached} were still to come`}; ${result.violations.length} violations`
      )
      for (const text of result.violations.slice(0, 20)) say(text)
      return result.violations.length === 0 && result.runs > 0
    })
  )

const virtual = (hours: number, seed: number): boolean => {
  const results = [
    schedules.simulate({ seed, hours, storage: "versioned" }),
    schedules.simulate({ seed, hours: Math.ceil(hours / 4), storage: "observed" })
  ]
  for (const { again, hours, latest, left, ticks, troubles, violations } of results)
    say(
      `${hours} h: ${ticks} ticks, ${again} runs again, ${left} not run to their end, ${troubles} faults of processes; in quiet times the latest began after ${latest.toFixed(0)} ms; ${violations.length} violations`
    )
  const elections = [false, true].map((rough) => election.simulate({ seed, terms: hours, rough }))
  for (const { afterCrash, afterEnd, terms, violations, writes } of elections)
    say(
      `election: ${terms} terms, ${writes} writes; nobody led for ${afterCrash.toFixed(0)} ms at most after a crash, ${afterEnd.toFixed(0)} ms after an orderly end; ${violations.length} violations`
    )
  const violations = [...results, ...elections].flatMap(({ violations }) => violations)
  for (const text of violations.slice(0, 20)) say(text)
  return violations.length === 0
}

const chosen = asked(options)

const main = Effect.gen(function* () {
  const isWell =
    chosen._tag === "Simulated"
      ? virtual(chosen.hours, chosen.seed)
      : yield* real(chosen.storage, chosen.seconds, chosen.seed)
  process.exitCode = isWell ? 0 : 1
})

NodeRuntime.runMain(main, {
  teardown: (exit) => process.exit(Exit.isSuccess(exit) ? Number(process.exitCode ?? 0) : 1)
})
