/** Metrics that synchronous code updates. The twin is `effect3/metrics.ts`. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Labels, Make, Series } from "../metrics.js"

export type { Labels, Make, Series, Update } from "../metrics.js"

/** In the registry of the fiber that makes them. */
export const make: Effect.Effect<Make> = Effect.map(Effect.context<never>(), (context): Make => {
  // Labels are given to the metric itself: those of `withAttributes` are put together at each update.
  const series =
    <State>(make: (attributes: Labels) => Metric.Metric<number, State>): Series =>
    (labels) => {
      const metric = make(labels)
      return (value) => metric.updateUnsafe(value, context)
    }
  return {
    counter: (name, description) =>
      series((attributes) => Metric.counter(name, { description, incremental: true, attributes })),
    gauge: (name, description) => series((attributes) => Metric.gauge(name, { description, attributes })),
    histogram: (name, description, boundaries) =>
      series((attributes) => Metric.histogram(name, { description, boundaries, attributes }))
  }
})
