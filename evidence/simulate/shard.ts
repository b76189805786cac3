/** A share of the seeds, run one after the other. */
import { generate } from "./plan.js"
import { run } from "./run.js"

export interface Share {
  readonly from: number
  readonly schedules: number
  /** Every so manieth seed, from this one on. */
  readonly step: number
  readonly offset: number
  /** Enough after the first that fails. */
  readonly stop: boolean
  /** Enough after so many milliseconds of real time. */
  readonly budget?: number | undefined
}

export interface Failure {
  readonly seed: number
  readonly property: string
  readonly message: string
}

export interface Tally {
  schedules: number
  acquisitions: number
  events: number
  /** Virtual. */
  millis: number
  readonly faults: Record<string, number>
  readonly failures: Array<Failure>
}

export const emptyTally = (): Tally => ({
  schedules: 0,
  acquisitions: 0,
  events: 0,
  millis: 0,
  faults: {},
  failures: []
})

const count = (into: Record<string, number>, more: Readonly<Record<string, number>>): void => {
  for (const [kind, times] of Object.entries(more)) into[kind] = (into[kind] ?? 0) + times
}

export const add = (into: Tally, more: Tally): void => {
  into.schedules += more.schedules
  into.acquisitions += more.acquisitions
  into.events += more.events
  into.millis += more.millis
  count(into.faults, more.faults)
  into.failures.push(...more.failures)
}

/** Tells what was done since the last time, about every half second. */
export const runShare = async (share: Share, tell: (tally: Tally) => void): Promise<void> => {
  let tally = emptyTally()
  const began = Date.now()
  let told = began
  for (let i = share.offset; i < share.schedules; i += share.step) {
    const plan = generate(share.from + i)
    const { acquisitions, faults, history, millis, violations } = run(plan)
    tally.schedules++
    tally.acquisitions += acquisitions
    tally.events += history.length
    tally.millis += millis
    count(tally.faults, faults)
    const [first] = violations
    if (first !== undefined) {
      tally.failures.push({ seed: plan.seed, property: first.property, message: first.message })
      if (share.stop) break
    }
    const now = Date.now()
    if (now - told > 500) {
      tell(tally)
      tally = emptyTally()
      told = now
    }
    if (share.budget !== undefined && now - began > share.budget) break
    // What a run has left for the real event loop (a line of a log that was to be written later) would keep all of that run alive.
    await new Promise<void>((go) => setImmediate(go))
  }
  tell(tally)
}
