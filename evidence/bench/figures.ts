/** The charts of the report. */
import type { Bar, Chart } from "./charts.js"
import * as contention from "./contention.js"
import * as lines from "./lines.js"
import { cycleAlone, cycleWide } from "./names.js"
import type { Measurements } from "./run.js"
import * as stall from "./stall.js"
import type { Spread } from "./statistics.js"

export interface Figure {
  /** Of its file, without ending. */
  readonly name: string
  readonly chart: Chart
}

type Role = Bar["role"]

const barOf = (label: string, role: Role, spread: Spread, text = lines.short(spread.median)): Bar => ({
  label,
  role,
  value: spread.median,
  low: spread.p25,
  high: spread.p75,
  text
})

const byStorage = <A extends { readonly storage: string }>(
  all: ReadonlyArray<A>,
  bar: (one: A) => Bar
): Chart["groups"] =>
  [...new Set(all.map((_) => _.storage))].map((storage) => ({
    name: storage,
    bars: all
      .filter((_) => _.storage === storage)
      .map(bar)
      .sort((a, b) => (a.value ?? Infinity) - (b.value ?? Infinity))
  }))

const cycles = (results: Measurements, scenario: string): Chart["groups"] =>
  results.cycles
    .filter((_) => _.scenario === scenario)
    .map(({ contenders, storage }) => ({
      name: storage,
      bars: contenders
        .map(({ micros, name, ratio }, i) =>
          barOf(
            name,
            i === 0 ? "floor" : name === "StorageLock" ? "ours" : "peer",
            micros,
            i === 0
              ? `${lines.short(micros.median)} µs`
              : `${lines.short(micros.median)} µs, ${lines.times(ratio.median)}`
          )
        )
        .sort((a, b) => a.value! - b.value!)
    }))

/** Those with something to show. */
export const figures = (results: Measurements): ReadonlyArray<Figure> => {
  const all: ReadonlyArray<Figure> = [
    {
      name: "cycle",
      chart: {
        title: "Acquire and release, one client alone: microseconds",
        subtitle: "Shorter is better. Median and middle half; × the bare driver in the same round.",
        groups: cycles(results, cycleAlone)
      }
    },
    {
      name: "cycle-64",
      chart: {
        title: "Acquire and release, 64 at a time on distinct locks: microseconds each",
        subtitle: "Shorter is better. Median and middle half; × the bare driver in the same round.",
        groups: cycles(results, cycleWide)
      }
    },
    {
      name: "hand-off",
      chart: {
        title: "From one process's release to the other's acquire: milliseconds",
        subtitle: "Shorter is better. Median and middle half.",
        groups: byStorage(results.handOffs, ({ millis, name, role }) =>
          barOf(name, role, millis, `${lines.short(millis.median)} ms, p95 ${lines.short(millis.p95)}`)
        )
      }
    },
    {
      name: "contention-requests",
      chart: {
        title: `${contention.contenders} processes on one lock: requests to the server for each acquisition`,
        subtitle: "Shorter is better. Holds of 5 ms.",
        groups: byStorage(
          results.contentions.filter((_) => _.requestsPerAcquisition !== undefined),
          ({ name, requestsPerAcquisition, role }) => barOf(name, role, requestsPerAcquisition!)
        )
      }
    },
    {
      name: "contention-wait",
      chart: {
        title: `${contention.contenders} processes on one lock: longest wait of anybody, milliseconds`,
        subtitle: "Shorter is better. Holds of 5 ms; beside it, acquisitions of the worst and the best served process.",
        groups: byStorage(results.contentions, ({ fewest, longestWaitMillis, most, name, role }) =>
          barOf(
            name,
            role,
            longestWaitMillis,
            `${lines.short(longestWaitMillis.median)} ms, ${fewest.median}–${most.median} each`
          )
        )
      }
    },
    {
      name: "stall",
      chart: {
        title: `The storage stalls for ${stall.stallMillis / 1000} s: milliseconds until the holder is told`,
        subtitle: `Lease ${stall.lease} ms. After it, somebody else may have the lock: a signal that comes later is too late.`,
        mark: { value: stall.lease, text: "lease" },
        groups: byStorage(results.stalls, (one): Bar =>
          one.millis === undefined
            ? { label: one.name, role: one.role, value: undefined, text: lines.stallTold(one) }
            : barOf(one.name, one.role, one.millis, lines.stallTold(one).replace(/ \(.*?\)/, ""))
        )
      }
    }
  ]
  return all.filter(({ chart }) => chart.groups.some(({ bars }) => bars.length > 0))
}
