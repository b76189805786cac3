/** One run, from the installing of the peers to the report. */
import { fork } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { svg } from "./charts.js"
import { compile } from "../../scripts/compiled.js"
import { environment } from "./environment.js"
import { figures } from "./figures.js"
import { type Failure, reasonOf } from "./names.js"
import { merge } from "./merge.js"
import * as options from "./options.js"
import * as peers from "./peers.js"
import * as ratios from "./ratios.js"
import * as report from "./report.js"
import type { Measurements } from "./run.js"
import { table } from "./subjects/table.js"

/** In a process of its own, which stops its servers when it is asked to. */
const measure = (folder: string, options: options.Options) =>
  new Promise<Measurements>((resolve, reject) => {
    let measured: Measurements | undefined
    // No arguments for node from those of this process: it may have been started with a loader.
    const child = fork(join(folder, "evidence", "bench", "measure.js"), [JSON.stringify(options)], { execArgv: [] })
    child.on("message", (message) => (measured = message as Measurements))
    child.on("exit", (code, signal) =>
      code === 0 && measured !== undefined
        ? resolve(measured)
        : reject(new Error(`the measuring ended with ${signal ?? code}`))
    )
    // A terminal tells the whole group of Ctrl-C; others tell this process alone.
    process.on("SIGINT", () => {})
    process.on("SIGTERM", () => child.kill("SIGTERM"))
  })

const root = fileURLToPath(new URL(".", import.meta.url))

/** Beside each other in one folder. */
const write = (folder: string, results: report.Results): void => {
  const charts = join(folder, "charts")
  rmSync(charts, { recursive: true, force: true })
  mkdirSync(charts, { recursive: true })
  for (const { chart, name } of figures(results)) writeFileSync(join(charts, `${name}.svg`), svg(chart))
  writeFileSync(join(folder, "results.json"), `${JSON.stringify(results, null, 1)}\n`)
  writeFileSync(join(folder, "RESULTS.md"), report.markdown(results))
}

/** The same without the others, and why, if they cannot be had. Their packages are installed where a floor needs one, too. */
const withPeers = async (
  options: options.Options
): Promise<{ readonly options: options.Options; readonly failures: ReadonlyArray<Failure> }> => {
  const borrow = table.some(
    ({ name, ways }) => options.storages.includes(name) && ways.some(({ borrows }) => borrows === true)
  )
  if ((!options.peers && !borrow) || options.storages.every((name) => name === "memory"))
    return { options: { ...options, peers: false }, failures: [] }
  process.env[peers.environmentVariable] = join(root, "peers")
  try {
    await peers.install(join(root, "peers"), (text) => process.stderr.write(`${text}\n`))
    return { options, failures: [] }
  } catch (error) {
    return {
      options: { ...options, peers: false },
      failures: [{ storage: "all", scenario: "all", subject: "other libraries", reason: reasonOf(error) }]
    }
  }
}

/** With those that are kept. What seems worse is measured again: on a machine that does other things, anything may be slow once. */
const compare = async (folder: string, asked: options.Options, measured: Measurements): Promise<void> => {
  const kept = ratios.read()
  const titles = new Map(table.map(({ name, title }) => [name, title]))
  let now = ratios.figuresOf(measured)
  const judge = () =>
    ratios.judge(
      kept,
      now,
      asked.storages.map((name) => titles.get(name)!)
    )
  for (let again = 0; again < 2; again++) {
    const worse = judge().filter(({ verdict }) => verdict === "worse")
    if (worse.length === 0) break
    worse.forEach((_) => process.stderr.write(`${ratios.line(_)}; once more\n`))
    const storages = asked.storages.filter((name) => worse.some((_) => _.name.startsWith(`${titles.get(name)}:`)))
    now = ratios.best(now, ratios.figuresOf(await measure(folder, { ...asked, storages })))
  }
  const judged = judge()
  judged.forEach((_) => process.stdout.write(`${ratios.line(_)}\n`))
  if (judged.some(({ verdict }) => verdict === "worse")) process.exitCode = 1
}

export const bench = async (asked: options.Options): Promise<void> => {
  const { failures, options: feasible } = await withPeers(asked)
  const known = environment(feasible.peers ? table.filter(({ name }) => feasible.storages.includes(name)) : [])
  const folder = compile()
  try {
    const measured = await measure(folder, feasible)
    const { peersPlan, plan, poolSize, runs } = asked
    const results: report.Results = {
      ...known,
      plan,
      peersPlan,
      runs,
      poolSize,
      ...measured,
      settings: measured.settings.map((setting) => ({ ...setting, date: known.date })),
      failures: [...failures, ...measured.failures]
    }
    if (options.isWhole(asked)) write(root, results)
    if (asked.merge) {
      const into = asked.out ?? root
      const earlier = JSON.parse(readFileSync(join(into, "results.json"), "utf8")) as report.Results
      const order = ["memory", ...table.map(({ title }) => title)]
      write(into, merge(earlier, results, order))
    } else if (asked.out !== undefined) write(asked.out, results)
    if (asked.ratios === "keep") {
      const more = [await measure(folder, feasible), await measure(folder, feasible)]
      ratios.keep(ratios.middle([measured, ...more].map(ratios.figuresOf)))
    }
    process.stdout.write(asked.json ? `${JSON.stringify(results, null, 2)}\n` : `\n${report.table(results)}\n`)
    if (asked.ratios === "compare") await compare(folder, feasible, measured)
  } catch (error) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
