/** What is logged. The twin is `effect4/logs.ts`. */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type { Level, Line } from "../twins.js"

export type { Level, Line } from "../twins.js"

/** In place of the default logger. */
export const to = (say: (line: Line) => void): Layer.Layer<never> =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ annotations, cause, logLevel, message }) =>
      say({
        level: logLevel._tag as Level,
        message: Array.isArray(message) ? message.join(" ") : String(message),
        annotations: Object.fromEntries(HashMap.toEntries(annotations)),
        cause: Cause.isEmpty(cause) ? "" : Cause.pretty(cause)
      })
    )
  )

export const atLeast =
  (level: Level) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Logger.withMinimumLogLevel(self, LogLevel[level])
