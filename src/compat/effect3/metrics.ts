/** Metrics that synchronous code updates. The twin is `effect4/metrics.ts`. */
import * as effect from "effect"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Make, Series } from "../metrics.js"

export type { Labels, Make, Series, Update } from "../metrics.js"

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
  counter: (name, description) => series(Metric.counter(name, { description, incremental: true })),
  gauge: (name, description) => series(Metric.gauge(name, { description })),
  histogram: (name, description, boundaries) =>
    series(Metric.histogram(name, effect.MetricBoundaries.fromIterable(boundaries), description))
})
