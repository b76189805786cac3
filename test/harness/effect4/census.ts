/** Counts fibers. The twin is `effect3/census.ts`. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/** Is given how many fibers there are that were begun within. */
export const counting = <A, E, R>(
  use: (fibers: Effect.Effect<number>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let alive = 0
    return Effect.provideService(use(Effect.sync(() => alive)), Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => void alive++,
      recordFiberEnd: () => void alive--
    })
  })
