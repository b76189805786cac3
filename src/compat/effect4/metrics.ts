/** Metrics that synchronous code updates. The twin is `effect3/metrics.ts`. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { by as labelled, type Make } from "../metrics.js"

export type { Make, Update } from "../metrics.js"

/** In the registry of the fiber that makes them. */
export const make: Effect.Effect<Make> = Effect.map(Effect.context<never>(), (context): Make => {
  const by = <State>(base: Metric.Metric<number, State>) =>
    labelled((labels) => {
      const metric = Metric.withAttributes(base, labels)
      return (value) => metric.updateUnsafe(value, context)
    })
  return {
    counter: (name, description) => by(Metric.counter(name, { description, incremental: true })),
    gauge: (name, description) => by(Metric.gauge(name, { description })),
    histogram: (name, description, boundaries) => by(Metric.histogram(name, { description, boundaries }))
  }
})
