/** What is logged, line by line. */
import * as Effect from "#effect/Effect"
import * as logs from "#harness/logs"

export type Line = logs.Line

export const heard = <A, E, R>(self: (lines: Array<Line>) => Effect.Effect<A, E, R>, least: logs.Level = "Debug") =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    return self(lines).pipe(Effect.provide(logs.to((line) => void lines.push(line))), logs.atLeast(least))
  })

export const at = (lines: ReadonlyArray<Line>, level: logs.Level): ReadonlyArray<Line> =>
  lines.filter((line) => line.level === level)
