/** What runs the fibers of a simulated process. The twin is `effect3/machine.ts`. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as StorageLock from "../../../src/StorageLock.js"
import type { Machine, MachineOptions } from "../twins.js"

export type { Machine } from "../twins.js"

/** Effect 4 keeps no root fibers. */
export const withRootsOfItsOwn = <A>(run: () => A): A => run()

export const make = ({ clock, ids, logger, schedule, seed }: MachineOptions): Machine => {
  let alive = 0
  const census: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => void alive++,
    recordFiberEnd: () => void alive--
  }
  const scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
    makeDispatcher: () => ({ scheduleTask: schedule, flush: () => {} })
  }
  const context = Effect.runSync(
    Effect.context<never>().pipe(
      Effect.provideService(Metric.FiberRuntimeMetrics, census),
      Effect.provide(logger),
      Effect.provideService(StorageLock.Ids, ids),
      Random.withSeed(seed),
      Effect.provideService(Clock.Clock, clock)
    )
  )
  const run = Effect.runForkWith(context)
  return { fork: (self) => run(self, { scheduler }), alive: () => alive }
}
