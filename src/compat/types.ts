/** What the twins of both majors have in common. */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "#effect/Fiber"

/** Of a clock. */
export interface Parts {
  /** Milliseconds since the Unix epoch. */
  readonly wallMillis: () => number
  readonly monotonicNanos: () => bigint
  readonly sleep: (duration: Duration.Duration) => Effect.Effect<void>
}

/** Runs effects from outside of fibers, with the loggers and all else of the fiber that made it. */
export interface Run {
  /** Which may have ended when this returns. */
  readonly fork: (self: Effect.Effect<void>) => Fiber.Fiber<void>
  /** The same for a fiber that goes on within `wake`, on Effect 3 as on Effect 4. */
  readonly forkResident: (self: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Wakes a fiber of `forkResident`, which may have waited again when this returns. */
  readonly wake: (signal: { readonly notify: () => void }) => void
  readonly sync: <A>(self: Effect.Effect<A>) => A
  /** Gives what interrupts it. */
  readonly callback: <A, E>(self: Effect.Effect<A, E>, onExit: (exit: Exit.Exit<A, E>) => void) => () => void
}

/** A line of a log. */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly messages: ReadonlyArray<unknown>
  readonly annotations: Readonly<Record<string, unknown>>
  readonly cause: string | undefined
}
