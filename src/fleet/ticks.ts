/** When a schedule is due: times that every process computes alike. */
import * as Cron from "#effect/Cron"
import type * as Duration from "#effect/Duration"
import * as Result from "#effect/Result"
import { duration, invalid } from "../common/input.js"
import { InvalidOptions } from "../LockError.js"

/** Milliseconds since the Unix epoch. */
export interface Ticks {
  /** The first one after a time. */
  readonly after: (time: number) => number
}

export type When = string | Cron.Cron | { readonly every: Duration.Input }

const ofCron = (cron: Cron.Cron): Ticks => ({ after: (time) => Cron.next(cron, new Date(time)).getTime() })

/** Counted from the Unix epoch, and not from a start: so all processes mean the same times. */
const ofPeriod = (millis: number): Ticks => ({ after: (time) => (Math.floor(time / millis) + 1) * millis })

const rule = "a Cron, a cron expression, or { every: a duration of a whole number of milliseconds }"

export const make = (when: When): Ticks | InvalidOptions => {
  if (typeof when === "string") {
    const cron = Cron.parse(when)
    return Result.isSuccess(cron) ? ofCron(cron.success) : invalid("when", when, rule)
  }
  if (Cron.isCron(when)) return ofCron(when)
  if (typeof when !== "object" || when === null) return invalid("when", when, rule)
  const millis = duration(
    "when.every",
    when.every,
    "a duration of a whole number of milliseconds",
    (millis) => Number.isSafeInteger(millis) && millis >= 1
  )
  return millis instanceof InvalidOptions ? millis : ofPeriod(millis ?? 0)
}
