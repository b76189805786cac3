/** What the twins of both majors of Effect have in common, in `effect3` and `effect4`. */
import type * as Clock from "effect/Clock"
import type * as Effect from "#effect/Effect"
import type * as Fiber from "#effect/Fiber"
import type * as Layer from "#effect/Layer"

export type Level = "All" | "Debug" | "Info" | "Warning" | "Error" | "Fatal" | "None"

/** What is logged. */
export interface Line {
  readonly level: Level
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
  /** As text; empty if there is none. */
  readonly cause: string
}

/** Of a simulated process. */
export interface MachineOptions {
  readonly clock: Clock.Clock
  readonly seed: string
  readonly ids: Effect.Effect<string>
  readonly logger: Layer.Layer<never>
  readonly schedule: (task: () => void) => void
}

export interface Machine {
  readonly fork: <A, E>(self: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Fibers that have not ended. */
  readonly alive: () => number
}

/** One metric with one set of labels. Of a histogram, `value` is how many it has seen. */
export interface Series {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}
