/** Where log lines go. The twin is `effect4/loggers.ts`. */
import * as effect from "effect"
import type * as Layer from "effect/Layer"
import type { LogLine } from "../types.js"

const levels: Record<string, LogLine["level"] | undefined> = {
  Fatal: "error",
  Error: "error",
  Warning: "warn",
  Info: "info"
}

/** In place of the default logger. */
export const to = (tell: (line: LogLine) => void): Layer.Layer<never> =>
  effect.Logger.replace(
    effect.Logger.defaultLogger,
    effect.Logger.make(({ annotations, cause, logLevel, message }) =>
      tell({
        level: levels[logLevel._tag] ?? "debug",
        messages: Array.isArray(message) ? message : [message],
        annotations: Object.fromEntries(annotations),
        cause: effect.Cause.isEmpty(cause) ? undefined : effect.Cause.pretty(cause)
      })
    )
  )
