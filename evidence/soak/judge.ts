/** Whether anything grows from quiet moment to quiet moment. */
import type { Counts } from "../../src/core/counts.js"

export interface Quiet {
  /** Bytes, after a collection. */
  readonly heap: number
  readonly handles: Readonly<Record<string, number>>
  readonly counts: Counts
}

/** Counts that are zero whenever nobody does anything. */
export const none = [
  "holds",
  "due",
  "tasks",
  "acquiring",
  "busyWorkers",
  "direct",
  "inBackground",
  "listeners"
] as const

/** What a heap may differ by from one moment to another though nothing is kept: code that is compiled, caches of the runtime. */
const slack = 3 * 2 ** 20

/** At least this many timers are set for as long as a layer lives and is used. */
const fewTimers = 4

export const judge = (moments: ReadonlyArray<Quiet>): ReadonlyArray<string> => {
  const problems: Array<string> = []
  moments.forEach(({ counts }, index) => {
    for (const name of none)
      if (counts[name] !== 0)
        problems.push(`${counts[name]} ${name} at the quiet moment ${index + 1}, where there should be none`)
    if (counts.timers > fewTimers)
      problems.push(
        `${counts.timers} timers are set at the quiet moment ${index + 1}, where nothing is held and nobody waits: somebody does not cancel theirs`
      )
  })
  // The first third is for what warms up.
  const warm = moments.slice(Math.ceil(moments.length / 3))
  const first = warm[0]
  const last = warm.at(-1)
  if (first === undefined || last === undefined || warm.length < 2) return problems
  const half = warm.slice(0, Math.floor(warm.length / 2))
  const rest = warm.slice(Math.floor(warm.length / 2))
  const least = (all: ReadonlyArray<Quiet>) => Math.min(...all.map(({ heap }) => heap))
  if (least(rest) > least(half) + slack) {
    problems.push(
      `the heap: from ${(least(half) / 2 ** 20).toFixed(1)} MB to ${(least(rest) / 2 ** 20).toFixed(1)} MB at its least, after collections`
    )
  }
  for (const name of ["queues", "idleWorkers"] as const) {
    if (last.counts[name] > Math.max(64, 2 * first.counts[name]))
      problems.push(`${name}: from ${first.counts[name]} to ${last.counts[name]}`)
  }
  for (const kind of Object.keys(last.handles)) {
    // Timers and immediates come and go; sockets and the like should not.
    const before = Math.max(...half.map(({ handles }) => handles[kind] ?? 0))
    if (last.handles[kind]! > before + 2)
      problems.push(`open handles of the kind ${kind}: from ${before} to ${last.handles[kind]}`)
  }
  return problems
}
