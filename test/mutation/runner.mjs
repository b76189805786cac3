/**
 * Runs the judges for Stryker. Effect and the drivers are loaded once; what is mutated, and its tests, are bundled once and evaluated again for
 * each mutant, which takes milliseconds: so no mutant meets what another has left behind, and none waits for vitest to load everything.
 */
import { INSTRUMENTER_CONSTANTS } from "@stryker-mutator/api/core"
import { declareClassPlugin, declareFactoryPlugin, PluginKind } from "@stryker-mutator/api/plugin"
import { determineHitLimitReached, DryRunStatus, TestStatus, toMutantRunResult } from "@stryker-mutator/api/test-runner"
import { build } from "esbuild"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { join, relative } from "node:path"
import { performance } from "node:perf_hooks"
import { Script } from "node:vm"

/**
 * For one test, in milliseconds beyond what it takes without a mutant. A test that a mutant lets run for ever ends by it: what Stryker does then, a new process, takes longer. Of the processor's time, since
 * what else the machine has to do is no fault of a mutant.
 */
const limit = 5_000

/** Ends a test whatever it does, in milliseconds of the clock. */
const longest = 300_000

/** Tests that take longer judge nothing, in milliseconds: for a first look at a file, whose survivors then meet all. */
const quick = Number(process.env.JUDGES_UNDER ?? Number.POSITIVE_INFINITY)

/** Judges whose path matches, for one file that is looked at: the others need not be run even once. */
const chosen = new RegExp(process.env.JUDGES ?? "")

/** How long each test took without a mutant: the quickest are run first, since the first failure ends a run. For all workers, and beside the sandboxes for the next run. */
const timesFile = "judges-times.json"
const lastTimesFile = "../../judges-times.json"
const readTimes = (file) => readFile(file, "utf8").then(JSON.parse)

/** A bundle that is a function cannot wait: neither as the conformance kit does for vitest, without which it may be used, nor for servers, which judge nothing here. */
const direct = {
  name: "direct",
  setup: (build) => {
    build.onLoad({ filter: /src[\\/]testing[\\/]suite\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(
        /await import\("@effect\/vitest"\)\.catch\(.*\)/,
        'require("@effect/vitest")'
      ),
      loader: "ts"
    }))
    build.onLoad({ filter: /\.test\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/^ *await describeServer\(/gm, "void (() => {})("),
      loader: "ts"
    }))
    build.onResolve({ filter: /^vitest$/ }, () => ({ path: join(process.cwd(), "test/mutation/vitest.mjs") }))
    // All packages but this one stay outside, where they are loaded once. What begins with # is this one, too.
    build.onResolve({ filter: /^[^./#]/ }, ({ kind, path }) =>
      path === "@effect/vitest" || path.startsWith("effect-storage-lock") || kind === "entry-point"
        ? undefined
        : { path, external: true }
    )
  }
}

/** Whose clients Effect 3 alone has: the copy of the project for Effect 4 is without them, so no module there may name them. */
const forEffect3 = ['import "../sql/fence.effect3.test.js"']

/** Of the judges that are chosen. */
const imports = async () => {
  const lines = (await readFile("test/mutation/judges.ts", "utf8")).split("\n")
  return [...lines, ...forEffect3]
    .filter((line) => line.startsWith("import ") && chosen.test(line))
    .map((line) => line.replace('"./', '"./test/mutation/').replace('"../', '"./test/'))
    .join("\n")
}

const bundle = async () => {
  const {
    outputFiles: [{ text }]
  } = await build({
    stdin: {
      contents: `${await imports()}\nexport { tests } from "./test/mutation/vitest.mjs"`,
      resolveDir: process.cwd()
    },
    bundle: true,
    write: false,
    format: "cjs",
    platform: "node",
    target: "node20",
    keepNames: true,
    // The package says that its modules have no side effects: a test has nothing else.
    ignoreAnnotations: true,
    define: { "import.meta.url": JSON.stringify(`file://${process.cwd()}/test/mutation/judges.ts`) },
    plugins: [direct],
    logLevel: "silent"
  })
  return new Script(`(function (require, module, exports) {${text}\n})`, {
    filename: join(process.cwd(), "judges.cjs")
  })
}

/** Until it ends, has taken too long, or is seen to wait for nothing: `patience` looks in a row, 100 ms apart, at a process that does nothing. */
const within = (run, signal, most = longest, patience = 300) =>
  new Promise((resolve, reject) => {
    const end = (why) => {
      signal.abort()
      reject(new Error(why))
    }
    const timer = setTimeout(() => end(`a test took longer than ${longest} ms`), longest)
    let looks = 0
    let used = 0
    let before = process.cpuUsage()
    const ticks = setInterval(() => {
      const { system, user } = process.cpuUsage(before)
      before = process.cpuUsage()
      used += system + user
      looks = system + user < 3_000 ? looks + 1 : 0
      if (looks >= patience) end("a test waits for nothing")
      if (used / 1_000 >= most) end(`a test took more than ${most} ms of the processor`)
    }, 100)
    Promise.resolve()
      .then(run)
      .then(resolve, reject)
      .finally(() => {
        clearTimeout(timer)
        clearInterval(ticks)
      })
  })

/** Test clocks let a timer of zero pass, over and over, until nothing happens any more: a millisecond each time, of which nothing depends. */
const hasten = () => {
  const { clearTimeout, setTimeout } = globalThis
  globalThis.setTimeout = (f, delay, ...args) => (delay > 0 ? setTimeout(f, delay, ...args) : setImmediate(f, ...args))
  globalThis.clearTimeout = (timer) =>
    timer?.constructor?.name === "Immediate" ? clearImmediate(timer) : clearTimeout(timer)
}

class Skipped extends Error {}

export class JudgesRunner {
  killers = []

  constructor() {
    this.ns = globalThis[INSTRUMENTER_CONSTANTS.NAMESPACE] ??= {}
    this.require = createRequire(join(process.cwd(), "test/mutation/judges.js"))
  }

  capabilities() {
    return { reloadEnvironment: true }
  }

  async init() {
    // What a mutant breaks goes on in the background, and fails or prints there.
    for (const event of ["uncaughtException", "unhandledRejection"]) process.on(event, () => {})
    for (const method of ["log", "info", "warn", "error", "debug", "group", "groupEnd"]) console[method] = () => {}
    this.script = await bundle()
    hasten()
  }

  load() {
    const module = { exports: {} }
    this.script.runInThisContext()(this.require, module, module.exports)
    return module.exports.tests
  }

  async one(test, entered) {
    const signal = new AbortController()
    const finished = []
    const context = {
      signal: signal.signal,
      task: { name: test.id },
      skip: () => {
        throw new Skipped()
      },
      onTestFinished: (f) => void finished.unshift(f)
    }
    const started = performance.now()
    // By its name Stryker tells whether a test is the one that it knows.
    const name = `${test.id} ${createHash("sha1").update(String(test.body)).digest("hex").slice(0, 8)}`
    const result = (more) => ({ id: test.id, name, timeSpentMs: performance.now() - started, ...more })
    try {
      if (test.skipped) throw new Skipped()
      for (const group of test.groups) {
        if (entered.has(group)) continue
        entered.add(group)
        for (const f of group.before) await within(f, signal)
      }
      for (const group of test.groups) for (const f of group.beforeEach) await within(f, signal)
      const usual = this.times?.[test.id]
      const run = () => test.body(context)
      await (usual === undefined ? within(run, signal) : within(run, signal, limit + usual, 10 + Math.ceil(usual / 30)))
      return result({ status: TestStatus.Success })
    } catch (error) {
      if (error instanceof Skipped) return result({ status: TestStatus.Skipped })
      return result({ status: TestStatus.Failed, failureMessage: String(error?.stack ?? error).slice(0, 2_000) })
    } finally {
      for (const f of finished) await within(f, signal).catch(() => {})
      for (const group of test.groups) for (const f of group.afterEach) await within(f, signal).catch(() => {})
    }
  }

  async run(tests, each = () => {}) {
    const results = []
    const entered = new Set()
    for (const test of tests) {
      each(test)
      const result = await this.one(test, entered)
      each(undefined)
      results.push(result)
      if (result.status === TestStatus.Failed) break
    }
    for (const group of entered) for (const f of group.after) await within(f, new AbortController()).catch(() => {})
    return results
  }

  /** What killed the mutants before it in the file is likely to kill the next. */
  order(id) {
    return this.killers.includes(id) && this.times[id] < 100 ? this.times[id] - 1_000 : this.times[id]
  }

  async dryRun() {
    const { ns } = this
    ns.activeMutant = undefined
    ns.mutantCoverage = undefined
    const last = await readTimes(lastTimesFile).catch(() => ({}))
    const results = await this.run(
      this.load().filter(({ id }) => !(last[id] >= 2 * quick)),
      (test) => {
        ns.currentTestId = test?.id
      }
    )
    const failed = results.find(({ status }) => status === TestStatus.Failed)
    if (failed !== undefined)
      return { status: DryRunStatus.Error, errorMessage: `${failed.id}: ${failed.failureMessage}` }
    await writeFile(
      lastTimesFile,
      JSON.stringify({ ...last, ...Object.fromEntries(results.map(({ id, timeSpentMs }) => [id, timeSpentMs])) })
    )
    const judging = results.filter(({ status, timeSpentMs }) => status !== TestStatus.Skipped && timeSpentMs < quick)
    await writeFile(
      timesFile,
      JSON.stringify(Object.fromEntries(judging.map(({ id, timeSpentMs }) => [id, timeSpentMs])))
    )
    const { perTest = {}, static: loading = {} } = ns.mutantCoverage ?? {}
    const mutantCoverage = {
      static: loading,
      perTest: Object.fromEntries(judging.map(({ id }) => [id, perTest[id] ?? {}]))
    }
    return { status: DryRunStatus.Complete, tests: judging, mutantCoverage }
  }

  async mutantRun({ activeMutant, hitLimit, mutantActivation, testFilter }) {
    const { ns } = this
    ns.hitCount = 0
    ns.hitLimit = hitLimit
    ns.activeMutant = mutantActivation === "static" ? activeMutant.id : undefined
    let tests
    try {
      tests = this.load()
    } catch (error) {
      return toMutantRunResult({
        status: DryRunStatus.Complete,
        tests: [{ id: "load", name: "load", timeSpentMs: 0, status: TestStatus.Failed, failureMessage: String(error) }]
      })
    }
    ns.activeMutant = activeMutant.id
    this.times ??= await readTimes(timesFile)
    const chosen = new Set(testFilter ?? Object.keys(this.times))
    const ordered = tests.filter(({ id }) => chosen.has(id)).sort((a, b) => this.order(a.id) - this.order(b.id))
    const results = await this.run(ordered)
    const killer = results.find(({ status }) => status === TestStatus.Failed)?.id
    if (killer !== undefined) this.killers = [killer, ...this.killers.filter((id) => id !== killer)].slice(0, 5)
    return toMutantRunResult(
      determineHitLimitReached(ns.hitCount, hitLimit) ?? { status: DryRunStatus.Complete, tests: results }
    )
  }
}

const undetected = ["Survived", "NoCoverage"]
const detected = ["Killed", "Timeout"]

const percent = (part, of) => (of === 0 ? "" : `${((100 * part) / of).toFixed(1)} %`)

const row = (name, mutants, killed) =>
  `${name.padEnd(44)} ${String(mutants).padStart(5)} mutants ${String(killed).padStart(5)} killed ${percent(killed, mutants).padStart(8)}`

/** A line for each survivor as soon as it is known, and in the end one for each file that was ever judged. */
class FilesReporter {
  onMutantTested({ fileName, location: { start, end }, mutatorName, replacement, status }) {
    if (!undetected.includes(status)) return
    const short = (code) => code.replace(/\s+/g, " ").slice(0, 90)
    const lines = readFileSync(fileName, "utf8")
      .split("\n")
      .slice(start.line - 1, end.line)
    // From the end, since both may be in one line.
    lines.push(lines.pop().slice(0, end.column - 1))
    lines.unshift(lines.shift().slice(start.column - 1))
    const place = `${relative(process.cwd(), fileName)}:${start.line}:${start.column}`
    const seen = status === "NoCoverage" ? ", reached by no test" : ""
    console.log(`${place} ${mutatorName}: ${short(lines.join("\n"))} -> ${short(replacement)}${seen}`)
  }

  onMutationTestReportReady({ files }) {
    const all = { mutants: 0, killed: 0 }
    for (const [name, { mutants }] of Object.entries(files).sort(([a], [b]) => a.localeCompare(b))) {
      const count = (among) => mutants.filter(({ status }) => among.includes(status)).length
      const killed = count(detected)
      const judged = killed + count(undetected)
      if (judged === 0) continue
      all.mutants += judged
      all.killed += killed
      console.log(row(name, judged, killed))
    }
    console.log(row("together", all.mutants, all.killed))
  }
}

export const strykerPlugins = [
  declareFactoryPlugin(PluginKind.TestRunner, "judges", () => new JudgesRunner()),
  declareClassPlugin(PluginKind.Reporter, "files", FilesReporter)
]
