/** Where log lines go. The twin is `effect3/loggers.ts`. */
import * as effect from "effect"
import type * as Layer from "effect/Layer"
import type { LogLine } from "../types.js"

const levels: Record<string, LogLine["level"] | undefined> = {
  Fatal: "error",
  Error: "error",
  Warn: "warn",
  Info: "info"
}

/** In place of the default logger. */
export const to = (tell: (line: LogLine) => void): Layer.Layer<never> =>
  effect.Logger.layer([
    effect.Logger.make(({ cause, fiber, logLevel, message }) =>
      tell({
        level: levels[logLevel] ?? "debug",
        messages: Array.isArray(message) ? message : [message],
        annotations: fiber.getRef(effect.References.CurrentLogAnnotations),
        cause: cause.reasons.length === 0 ? undefined : effect.Cause.pretty(cause)
      })
    )
  ])
