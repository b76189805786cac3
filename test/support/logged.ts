/** What is logged, line by line. */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"

export interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

export const heard = <A, E, R>(self: (lines: Array<Line>) => Effect.Effect<A, E, R>, least: LogLevel.LogLevel = LogLevel.Debug) =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    const logger = Logger.make(({ annotations, logLevel, message }) => {
      lines.push({
        level: logLevel._tag,
        message: Array.isArray(message) ? message.join(" ") : String(message),
        annotations: Object.fromEntries(HashMap.toEntries(annotations))
      })
    })
    return self(lines).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)), Logger.withMinimumLogLevel(least))
  })

export const at = (lines: ReadonlyArray<Line>, level: LogLevel.LogLevel): ReadonlyArray<Line> => lines.filter((line) => line.level === level._tag)
