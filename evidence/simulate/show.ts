/** Results, for people. */
import { line } from "./history.js"
import type { Plan } from "./plan.js"
import { type Run, run } from "./run.js"
import type { Hunt } from "./mutate.js"
import type { Tally } from "./shard.js"
import { shrink } from "./shrink.js"

const describe = (plan: Plan): string =>
  `seed ${plan.seed}: ${plan.processes.length} processes over a storage that is ${plan.storage}, lease ${plan.lease} ms, margin ${plan.margin} ms, ` +
  `${plan.locks} locks, faults: ${plan.faults.length === 0 ? "none" : plan.faults.map(({ kind }) => kind).join(", ")}\n`

/** The history as a table of times, each violation below the event that shows it. */
export const trace = ({ history, violations }: Run): string => {
  const below = new Map<number, string>()
  for (const { index, message, property } of violations) {
    below.set(index, `${below.get(index) ?? ""}      >>>>  VIOLATION of ${property}: ${message}\n`)
  }
  return history.map((event, index) => `${line(event)}\n${below.get(index) ?? ""}`).join("")
}

/** Runs one plan and tells all about it, in its smallest form if it fails. */
export const story = (plan: Plan, whole: boolean): { readonly text: string; readonly failed: boolean } => {
  const first = run(plan).violations[0]
  if (first === undefined || whole) {
    const told = run(plan, true)
    const end =
      told.violations.length === 0
        ? `${told.acquisitions} acquisitions, no violation\n`
        : `${told.violations.length} violations\n`
    return { text: describe(plan) + trace(told) + end, failed: first !== undefined }
  }
  const small = shrink(plan, first.property)
  return {
    text: `${describe(plan)}violates ${first.property}: ${first.message}\n\nThe smallest form that was found, in ${small.runs} runs:\n${describe(small.plan)}${trace(
      run(small.plan, true)
    )}`,
    failed: true
  }
}

const sorted = (faults: Tally["faults"]): ReadonlyArray<readonly [string, number]> =>
  Object.entries(faults).sort(([a], [b]) => (a < b ? -1 : 1))

export const summary = (tally: Tally, seconds: number): string => {
  const faults = sorted(tally.faults)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ")
  const failures = tally.failures
    .slice(0, 20)
    .map(({ message, property, seed }) => `  seed ${seed}  ${property}: ${message}\n`)
    .join("")
  return (
    `${tally.schedules} schedules in ${seconds.toFixed(1)} s (${(tally.schedules / seconds).toFixed(0)} a second), ${tally.acquisitions} acquisitions, ` +
    `${(tally.millis / 3_600_000).toFixed(1)} hours of virtual time\nfaults: ${faults}\n${tally.failures.length} violations\n${failures}`
  )
}

/** Every seeded bug and what found it, to be kept. */
export const catalogue = (hunts: ReadonlyArray<Hunt>, schedules: number): string =>
  `# The seeded bugs\n\nWritten by \`npm run simulate -- --mutants --report …\`: the first of the seeds that was reported as failing, of at most ${grouped(schedules)}, and what it violates.\n\n` +
  "| bug | found by seed | as a violation of | what it is |\n|---|---:|---|---|\n" +
  hunts
    .map(
      ({ mutant, tally }) =>
        `| \`${mutant.name}\` | ${tally.failures[0]?.seed ?? "not found"} | ${tally.failures[0]?.property ?? ""} | ${mutant.what} |\n`
    )
    .join("") +
  `\n${hunts.filter(({ found }) => found !== undefined).length} of ${hunts.length} are found.\n`

const grouped = (value: number): string => String(Math.round(value)).replaceAll(/(?<=\d)(?=(\d{3})+$)/g, " ")

export interface Ran {
  readonly from: number
  readonly workers: number
  readonly seconds: number
}

/** A result to be kept: how to have it again, and what went wrong in it how often. */
export const report = (tally: Tally, { from, seconds, workers }: Ran): string => {
  const row = ([what, value]: readonly [string, string | number]) =>
    `| ${what} | ${typeof value === "number" ? grouped(value) : value} |\n`
  const table = (head: string, rows: ReadonlyArray<readonly [string, string | number]>) =>
    `| ${head} | |\n|---|---:|\n${rows.map(row).join("")}`
  const failures = tally.failures
    .map(({ message, property, seed }) => `- seed ${seed}, ${property}: ${message}\n`)
    .join("")
  return (
    `# A long run of the simulation\n\nWritten by \`npm run simulate -- --minutes ${Math.max(1, Math.round(seconds / 60))} --report …\`; what it means is said in the chapter on the proof.\n\n` +
    table("what", [
      ["schedules", tally.schedules],
      ["seeds, from", from],
      ["violations", tally.failures.length],
      ["acquisitions", tally.acquisitions],
      ["events judged", tally.events],
      ["hours of virtual time", tally.millis / 3_600_000],
      ["minutes of real time", (seconds / 60).toFixed(1)],
      ["processes that ran them", workers],
      ["schedules a second", tally.schedules / seconds],
      ["Node.js", process.version]
    ]) +
    `\n## What went wrong in it, and how often\n\n${table("fault", sorted(tally.faults))}` +
    (failures === "" ? "" : `\n## Violations\n\n${failures}`)
  )
}
