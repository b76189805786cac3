/** See `help` in options.ts. */
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"
import * as commandLine from "../arguments.js"
import { mutants } from "./mutants.js"
import { hunt, withMutant } from "./mutate.js"
import * as options from "./options.js"
import { generate } from "./plan.js"
import { runShare, type Share, type Tally } from "./shard.js"
import { catalogue, report, story, summary } from "./show.js"
import { runAll } from "./workers.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

const asked = commandLine.asked(options)

const say = (text: string) => process.stdout.write(text)

/** On one line that is written again and again, where somebody looks. */
const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

/** In a log, a line once in a while is enough. */
const betweenLines = 20_000
let saidAt = performance.now()
const now = (text: string) => {
  if (process.stderr.isTTY) return progress(text)
  if (performance.now() - saidAt < betweenLines) return
  saidAt = performance.now()
  process.stderr.write(`${text}\n`)
}

const runMany = async (): Promise<void> => {
  const { from, json, minutes, report: file, schedules, workers } = asked
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  let told = 0
  const tally = await runAll({
    folder: root,
    from,
    schedules,
    workers,
    stop: false,
    budget: minutes === undefined ? undefined : minutes * 60_000,
    progress: (so: Tally) => {
      // What is found is told at once: a long run may be ended before its report.
      for (const { message, property, seed } of so.failures.slice(told)) {
        progress("")
        process.stderr.write(`VIOLATION of ${property} by seed ${seed}: ${message}\n`)
      }
      told = so.failures.length
      now(
        `${so.schedules} ${minutes === undefined ? `of ${schedules} ` : ""}schedules in ${seconds().toFixed(0)} s${minutes === undefined ? "" : ` of ${60 * minutes}`}, ` +
          `${(so.schedules / seconds()).toFixed(0)} a second, ${so.failures.length} violations`
      )
    }
  })
  progress("")
  say(json ? `${JSON.stringify({ ...tally, seconds: seconds() })}\n` : summary(tally, seconds()))
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, report(tally, { from, workers, seconds: seconds() }))
  }
  const [first] = tally.failures
  if (first === undefined) return
  if (!json) say(`\n${story(generate(first.seed), false).text}`)
  process.exitCode = 1
}

const huntAll = async (): Promise<void> => {
  const { from, json, report: file, schedules, workers } = asked
  const hunts = []
  for (const mutant of mutants) {
    progress(`${mutant.name} …`)
    const result = await hunt(root, mutant, from, schedules, workers)
    hunts.push(result)
    progress("")
    const { found, tally } = result
    if (!json) {
      say(
        `${mutant.name.padEnd(34)} ${found === undefined ? `NOT FOUND in ${schedules}` : `${String(found).padStart(6)}  ${tally.failures[0]!.property.padEnd(12)}`} ${mutant.what}\n`
      )
    }
  }
  if (json)
    say(
      `${JSON.stringify(hunts.map(({ found, mutant, tally }) => ({ name: mutant.name, found, property: tally.failures[0]?.property })))}\n`
    )
  if (file !== undefined) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, catalogue(hunts, schedules))
  }
  if (hunts.some(({ found }) => found === undefined)) process.exitCode = 1
}

const huntOne = async (): Promise<void> => {
  const mutant = mutants.find(({ name }) => name === asked.mutant)
  if (mutant === undefined) throw new Error(`there is no mutant ${JSON.stringify(asked.mutant)}; see --list`)
  const { found, tally } = await hunt(root, mutant, asked.from, asked.schedules, asked.workers)
  if (found === undefined) {
    say(`${mutant.name} was not found in ${asked.schedules} schedules\n`)
    process.exitCode = 1
    return
  }
  say(`${mutant.name}: ${mutant.what}\nfound after ${found} schedules\n\n`)
  await withMutant(root, mutant, async (folder) => {
    const { stdout } = spawnSync(
      process.execPath,
      ["--import", "tsx", "evidence/simulate/main.ts", "--seed", String(tally.failures[0]!.seed)],
      { cwd: folder, encoding: "utf8" }
    )
    say(stdout)
  })
}

switch (asked.mode) {
  case "help":
    say(options.help)
    break
  case "list":
    for (const { name, what } of mutants) say(`${name.padEnd(34)} ${what}\n`)
    break
  case "share":
    await runShare(JSON.parse(asked.share) as Share, (tally) => say(`${JSON.stringify(tally)}\n`))
    // Timers of real time that a killed process left behind must not keep this one.
    process.exit()
    break
  case "seed": {
    const { failed, text } = story(generate(asked.seed), asked.whole)
    process.exitCode = failed ? 1 : 0
    say(text)
    break
  }
  case "run":
    await runMany()
    break
  case "mutants":
    await huntAll()
    break
  case "mutant":
    await huntOne()
    break
}
