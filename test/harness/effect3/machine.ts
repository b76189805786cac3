/** What runs the fibers of a simulated process. The twin is `effect4/machine.ts`. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import type * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scheduler from "effect/Scheduler"
import { defaultShouldYield } from "effect/Scheduler"
import * as Supervisor from "effect/Supervisor"
import * as StorageLock from "../../../src/StorageLock.js"
import type { Machine, MachineOptions } from "../twins.js"

export type { Machine } from "../twins.js"

/** Counts the fibers that live, and knows them. */
class Census extends Supervisor.AbstractSupervisor<void> {
  readonly alive = new Set<Fiber.RuntimeFiber<any, any>>()
  readonly value = Effect.void

  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    _parent: Option.Option<Fiber.RuntimeFiber<any, any>>,
    fiber: Fiber.RuntimeFiber<A, E>
  ): void {
    this.alive.add(fiber)
  }

  override onEnd<A, E>(_exit: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>): void {
    this.alive.delete(fiber)
  }
}

/** Where Effect keeps the root fibers of the whole program. */
const global = globalValue<{ roots?: Set<unknown> }>(Symbol.for("effect/FiberScope/Global"), () => ({}))

/** Those of a killed machine never end: they would stay for ever. One set for all runs would also tie each run's garbage to the next one's. */
export const withRootsOfItsOwn = <A>(run: () => A): A => {
  const { roots } = global
  if (roots === undefined) return run()
  global.roots = new Set()
  try {
    return run()
  } finally {
    global.roots = roots
  }
}

export const make = ({ clock, ids, logger, schedule, seed }: MachineOptions): Machine => {
  const census = new Census()
  const scheduler: Scheduler.Scheduler = { shouldYield: defaultShouldYield, scheduleTask: schedule }
  const loggers = Effect.runSync(Effect.provide(FiberRef.get(FiberRef.currentLoggers), logger))
  const runtime = Effect.runSync(
    Effect.runtime<never>().pipe(
      Effect.supervised(census),
      Effect.locally(FiberRef.currentLoggers, loggers),
      Effect.provideService(StorageLock.Ids, ids),
      Effect.withRandom(Random.make(seed)),
      Effect.withClock(clock),
      Effect.withScheduler(scheduler)
    )
  )
  return {
    fork: (self) => Runtime.runFork(runtime, self, { immediate: false }),
    alive: () => census.alive.size
  }
}
