/** All metrics there are. The twin is `effect4/metrics.ts`. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Series } from "../twins.js"

export const all: Effect.Effect<ReadonlyArray<Series>> = Effect.map(Metric.snapshot, (pairs) =>
  pairs.map(({ metricKey, metricState }) => ({
    name: metricKey.name,
    labels: Object.fromEntries(metricKey.tags.map(({ key, value }) => [key, value])),
    value: Number(
      (metricState as { readonly count?: number | bigint }).count ??
        (metricState as unknown as { readonly value: number }).value
    )
  }))
)
