/** Metrics that synchronous code updates. The twin is `effect4/metrics.ts`. */
import * as effect from "effect"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { by, type Labels, type Make } from "../metrics.js"

export type { Make, Update } from "../metrics.js"

const tagged =
  <In>(base: Metric.Metric<any, In, any>) =>
  (labels: Labels) => {
    const metric = Metric.taggedWithLabels(
      base,
      Object.entries(labels).map(([name, value]) => effect.MetricLabel.make(name, value))
    )
    return (value: In) => metric.unsafeUpdate(value, [])
  }

export const make: Effect.Effect<Make> = Effect.succeed({
  counter: (name, description) => by(tagged(Metric.counter(name, { description, incremental: true }))),
  gauge: (name, description) => by(tagged(Metric.gauge(name, { description }))),
  histogram: (name, description, boundaries) =>
    by(tagged(Metric.histogram(name, effect.MetricBoundaries.fromIterable(boundaries), description)))
})
