/** Metrics that synchronous code updates. The twin is `effect4/metrics.ts`. */
import * as effect from "effect"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { combined, type Make, readsOf, type Series } from "../metrics.js"

export type { Labels, Make, Reading, Series, Update } from "../metrics.js"

/** The program has one registry. */
const registry = {}

const series =
  (base: Metric.Metric<any, number, any>): Series =>
  (labels) => {
    const metric = Metric.taggedWithLabels(
      base,
      Object.entries(labels).map(([name, value]) => effect.MetricLabel.make(name, value))
    )
    return (value) => metric.unsafeUpdate(value, [])
  }

export const make: Effect.Effect<Make> = Effect.succeed({
  pulls: false,
  counter: (name, description) => series(Metric.counter(name, { description, incremental: true })),
  gauge: (name, description, combine) => {
    const updates = series(Metric.gauge(name, { description }))
    return (labels, read) => {
      const reads = readsOf(registry, name, labels)
      const update = updates(labels)
      const changed = () => update(combined(combine, reads))
      reads.add(read)
      changed()
      return {
        changed,
        forget: () => {
          reads.delete(read)
          changed()
        }
      }
    }
  },
  histogram: (name, description, boundaries) =>
    series(Metric.histogram(name, effect.MetricBoundaries.fromIterable(boundaries), description))
})
