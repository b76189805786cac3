/** Metrics that synchronous code updates. The twin is `effect3/metrics.ts`. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { combined, type Labels, type Make, readsOf, type Series } from "../metrics.js"

export type { Labels, Make, Reading, Series, Update } from "../metrics.js"

const nothing = (): void => {}

/** In the registry of the fiber that makes them. */
export const make: Effect.Effect<Make> = Effect.map(Effect.context<never>(), (context): Make => {
  // Labels are given to the metric itself: those of `withAttributes` are put together at each update.
  const series =
    <State>(make: (attributes: Labels) => Metric.Metric<number, State>): Series =>
    (labels) => {
      const metric = make(labels)
      return (value) => metric.updateUnsafe(value, context)
    }
  const registry = Context.get(context, Metric.MetricRegistry)
  const around = Context.get(context, Metric.CurrentMetricAttributes)
  return {
    pulls: true,
    counter: (name, description) =>
      series((attributes) => Metric.counter(name, { description, incremental: true, attributes })),
    gauge: (name, description, combine) => (attributes, read) => {
      const reads = readsOf(registry, name, { ...attributes, ...around })
      reads.add(read)
      Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), context, {
        get: () => ({ value: combined(combine, reads) }),
        update: nothing,
        modify: nothing
      })
      return { changed: nothing, forget: () => void reads.delete(read) }
    },
    histogram: (name, description, boundaries) =>
      series((attributes) => Metric.histogram(name, { description, boundaries, attributes }))
  }
})
