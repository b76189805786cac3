/** All metrics there are. The twin is `effect3/metrics.ts`. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { Series } from "../twins.js"

export const all: Effect.Effect<ReadonlyArray<Series>> = Effect.map(Metric.snapshot, (found) =>
  found.map(({ attributes, id, state }) => ({
    name: id,
    labels: Object.fromEntries(Object.entries(attributes ?? {})),
    value: Number(
      (state as { readonly count?: number }).count ?? (state as unknown as { readonly value: number }).value
    )
  }))
)
