/** What is logged. The twin is `effect3/logs.ts`. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import type { Level, Line } from "../twins.js"

export type { Level, Line } from "../twins.js"

/** In place of the default logger. */
export const to = (say: (line: Line) => void): Layer.Layer<never> =>
  Logger.layer([
    Logger.make(({ cause, fiber, logLevel, message }) =>
      say({
        level: logLevel === "Warn" ? "Warning" : (logLevel as Level),
        message: Array.isArray(message) ? message.join(" ") : String(message),
        annotations: fiber.getRef(References.CurrentLogAnnotations),
        cause: cause.reasons.length === 0 ? "" : Cause.pretty(cause)
      })
    )
  ])

export const atLeast =
  (level: Level) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, References.MinimumLogLevel, level === "Warning" ? "Warn" : level)
