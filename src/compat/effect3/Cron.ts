import * as effect from "effect"
import * as Result from "./Result.js"

export * from "effect/Cron"

export const parse = (cron: string): Result.Result<effect.Cron.Cron, effect.Cron.ParseError> =>
  effect.Either.match(effect.Cron.parse(cron), { onLeft: Result.fail, onRight: Result.succeed })
