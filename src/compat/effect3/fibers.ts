/** Fibers and what they run in, where the majors of Effect differ in kind. The twin is `effect4/fibers.ts`. */
import * as effect from "effect"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { RuntimeFiber } from "effect/Fiber"
import * as Runtime from "effect/Runtime"
import type * as Scheduler from "effect/Scheduler"
import type { Run } from "../types.js"

export type { Run } from "../types.js"

export const id = (fiber: RuntimeFiber<any, any>): number => fiber.id().id

export const spanName = (fiber: RuntimeFiber<any, any>): string | undefined =>
  fiber.currentSpan?._tag === "Span" ? fiber.currentSpan.name : undefined

export const get = <Shape>(fiber: RuntimeFiber<any, any>, reference: Context.Reference<any, Shape>): Shape =>
  Context.get(fiber.currentContext, reference)

/** Interrupts a fiber, and waits for nothing. */
export const interrupt = (fiber: RuntimeFiber<any, any>): void => fiber.unsafeInterruptAsFork(effect.FiberId.none)

/** The exit of a fiber that has ended. */
export const exitOf = <A, E>(fiber: RuntimeFiber<A, E>): Exit.Exit<A, E> | undefined =>
  effect.Option.getOrUndefined(Effect.runSync(effect.Fiber.poll(fiber)))

/** Effect 4 starts them at once; Effect 3 does when the present fiber waits. */
export const { fork, forkDaemon: forkDetach } = Effect

/** Who waited goes on in a turn of its own, not within whoever woke it. On Effect 3 it does so anyway. */
export const inTurn = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => self

/** Lets timers and sockets have their turn, and whatever else is ready. In real time, and at once. */
export const eventLoop: Effect.Effect<void> = Effect.async<void>((resume) => {
  const go = () => resume(Effect.void)
  if (typeof globalThis.setImmediate === "function") globalThis.setImmediate(go)
  else globalThis.setTimeout(go, 0)
})

/** Before a sleep by a test clock. Each costs milliseconds of real time, so what is done at once is waited for. */
export const beforeSleep: Effect.Effect<void> = eventLoop

/** Whoever is interrupted does not wait for what this still does. */
export const { disconnect } = Effect

/** From here on the fiber has this context. Its clock is `clock`, and was before. */
export const setContext = (context: Context.Context<never>, _clock: Clock.Clock): Effect.Effect<void> =>
  effect.FiberRef.set(effect.FiberRef.currentContext, context)

/**
 * The scheduler of fibers that go on within whoever wakes them. Only the first task after a signal is run at once; whatever else they do is scheduled as usual, and so is
 * whatever their children do, which have this scheduler, too.
 */
class Residents implements Scheduler.Scheduler {
  private wakes = false

  constructor(private readonly scheduler: Scheduler.Scheduler) {}

  shouldYield(fiber: RuntimeFiber<unknown, unknown>): number | false {
    return this.scheduler.shouldYield(fiber)
  }

  scheduleTask(task: Scheduler.Task, priority: number, fiber?: RuntimeFiber<unknown, unknown>): void {
    if (!this.wakes) return this.scheduler.scheduleTask(task, priority, fiber)
    this.wakes = false
    task()
  }

  wake(signal: { readonly notify: () => void }): void {
    this.wakes = true
    signal.notify()
    this.wakes = false
  }
}

export const run: Effect.Effect<Run> = Effect.map(Effect.runtime<never>(), (runtime): Run => {
  const runCallback = Runtime.runCallback(runtime)
  const fork = Runtime.runFork(runtime)
  const residents = new Residents(effect.FiberRefs.getOrDefault(runtime.fiberRefs, effect.FiberRef.currentScheduler))
  return {
    fork,
    forkResident: (self) => fork(Effect.withScheduler(self, residents)),
    wake: (signal) => residents.wake(signal),
    sync: Runtime.runSync(runtime),
    callback: (self, onExit) => runCallback(self, { onExit })
  }
})
