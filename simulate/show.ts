/** Results, for people. */
import { line } from "./history.js"
import type { Plan } from "./plan.js"
import { type Run, run } from "./run.js"
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
    const end = told.violations.length === 0 ? `${told.acquisitions} acquisitions, no violation\n` : `${told.violations.length} violations\n`
    return { text: describe(plan) + trace(told) + end, failed: first !== undefined }
  }
  const small = shrink(plan, first.property)
  return {
    text: `${describe(plan)}violates ${first.property}: ${first.message}\n\nThe smallest form that was found, in ${small.runs} runs:\n${describe(small.plan)}${
      trace(run(small.plan, true))
    }`,
    failed: true
  }
}

export const summary = (tally: Tally, seconds: number): string => {
  const faults = Object.entries(tally.faults).sort(([a], [b]) => a < b ? -1 : 1).map(([kind, count]) => `${kind} ${count}`).join(", ")
  const failures = tally.failures.slice(0, 20).map(({ message, property, seed }) => `  seed ${seed}  ${property}: ${message}\n`).join("")
  return `${tally.schedules} schedules in ${seconds.toFixed(1)} s (${(tally.schedules / seconds).toFixed(0)} a second), ${tally.acquisitions} acquisitions, ` +
    `${(tally.millis / 3_600_000).toFixed(1)} hours of virtual time\nfaults, beside those of the network: ${faults}\n${tally.failures.length} violations\n${failures}`
}
