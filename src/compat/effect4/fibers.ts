/** Fibers and what they run in, where the majors of Effect differ in kind. The twin is `effect3/fibers.ts`. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Run } from "../types.js"

export type { Run } from "../types.js"

export const id = (fiber: Fiber.Fiber<any, any>): number => fiber.id

export const spanName = (fiber: Fiber.Fiber<any, any>): string | undefined =>
  fiber.cache.span?._tag === "Span" ? fiber.cache.span.name : undefined

export const get = <Shape>(fiber: Fiber.Fiber<any, any>, reference: Context.Reference<Shape>): Shape =>
  fiber.getRef(reference)

/** Interrupts a fiber, and waits for nothing. */
export const interrupt = (fiber: Fiber.Fiber<any, any>): void => fiber.interruptUnsafe()

/** The exit of a fiber that has ended. */
export const exitOf = <A, E>(fiber: Fiber.Fiber<A, E>): Exit.Exit<A, E> | undefined => fiber.pollUnsafe()

/** These start at once. Else a body may not have begun when it is interrupted, and a test clock may be moved before what is begun here waits for it. */
export const fork = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkChild(self, { startImmediately: true })

export const forkDetach = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkDetach(self, { startImmediately: true })

/** Who waited goes on in a turn of its own, not within whoever woke it. */
export const inTurn = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.exit(self), (exit) => Effect.andThen(Effect.yieldNow, exit))

/**
 * Lets timers and sockets have their turn, and whatever else is ready: a yield of Effect 4 is a turn of the event loop. By the scheduler, since a test clock goes on when all
 * that was scheduled is done.
 */
export const eventLoop: Effect.Effect<void> = Effect.yieldNow

/** Before a sleep by a test clock, which costs nothing on Effect 4. */
export const beforeSleep: Effect.Effect<void> = Effect.void

/** Whoever is interrupted does not wait for what this still does. */
export const disconnect = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(forkDetach(restore(self)), (fiber) =>
      Effect.onInterrupt(restore(Fiber.join(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  )

/** From here on the fiber has this context, and this clock. */
export const setContext = (context: Context.Context<never>, clock: Clock.Clock): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    fiber.setContext(Context.add(context, Clock.Clock, clock))
    return Effect.void
  })

export const run: Effect.Effect<Run> = Effect.map(Effect.context<never>(), (context): Run => {
  const runCallback = Effect.runCallbackWith(context)
  const fork = Effect.runForkWith(context)
  return {
    fork,
    forkResident: fork,
    wake: (signal) => signal.notify(),
    sync: Effect.runSyncWith(context),
    callback: (self, onExit) => runCallback(self, { onExit })
  }
})
