/** A clock that somebody provides, asked no more often than it has to be, and believed no more than it deserves. */
import type * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import { monotonicNanos, wallMillis } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import { InvalidOptions, StorageError, type StorageErrorReason } from "../LockError.js"
import { TimeLimit } from "../Storage.js"
import type { Options, TimeProvider } from "../TimeProvider.js"
import * as course from "./course.js"
import { withoutCredentials } from "./credentials.js"
import { duration, kindOf } from "./input.js"
import { unknownName } from "./optionNames.js"

/** In microseconds. */
export interface Resolved extends course.Settings {
  readonly maxAge: number
  readonly timeout: number
  readonly wallWithin: number
}

const year = 366 * 86_400_000
const upToHour = (millis: number) => millis <= 3_600_000
const spans = {
  grain: ["1 millis", "a duration up to a minute", (millis: number) => millis <= 60_000],
  accuracy: ["0 millis", "a duration up to a minute", (millis: number) => millis <= 60_000],
  tolerance: ["250 millis", "a duration from a millisecond to an hour", (ms: number) => ms >= 1 && upToHour(ms)],
  steadyFor: ["1 minute", "a duration from a millisecond to a year", (ms: number) => ms >= 1 && ms <= year],
  maxAge: ["1 second", "a duration up to an hour", upToHour],
  timeout: ["1 second", "a duration from a millisecond to an hour", (ms: number) => ms >= 1 && upToHour(ms)],
  wallWithin: ["infinity", "a duration of a millisecond or more", (ms: number) => ms >= 1]
} as const

const micros = (field: keyof typeof spans, value: Duration.Input | undefined, within = ""): number | InvalidOptions => {
  const [fallback, rule, holds] = spans[field]
  const given: unknown = value ?? (fallback === "infinity" ? Duration.infinity : fallback)
  const millis = duration(`${within}${field}`, given, rule, holds)
  return typeof millis === "number" ? millis * 1000 : millis
}

export const resolve = (provider: TimeProvider, options: Options): Resolved | InvalidOptions => {
  const unknown =
    unknownName<TimeProvider>(provider, { name: true, now: true, grain: true, accuracy: true }, "provider") ??
    unknownName<Options>(options, { tolerance: true, steadyFor: true, maxAge: true, timeout: true, wallWithin: true })
  if (unknown !== undefined) return unknown
  if (typeof provider.name !== "string")
    return new InvalidOptions({ field: "provider.name", kind: kindOf(provider.name), rule: "a text" })
  if (!Effect.isEffect(provider.now) && typeof provider.now !== "function")
    return new InvalidOptions({ field: "provider.now", kind: kindOf(provider.now), rule: "an Effect or a function" })
  const found = {
    grain: micros("grain", provider.grain, "provider."),
    accuracy: micros("accuracy", provider.accuracy, "provider."),
    tolerance: micros("tolerance", options.tolerance),
    steadyFor: micros("steadyFor", options.steadyFor),
    maxAge: micros("maxAge", options.maxAge),
    timeout: micros("timeout", options.timeout),
    wallWithin: micros("wallWithin", options.wallWithin)
  }
  const fault = Object.values(found).find((each) => typeof each !== "number")
  return fault === undefined ? (found as Resolved) : fault
}

/** By how much longer than it was asked for a lease may be kept, in microseconds. */
export const slack = ({ accuracy, grain, maxAge, timeout, tolerance }: Resolved): number =>
  Math.ceil(tolerance + grain + 2 * accuracy + timeout + 2 * course.rate * (maxAge + timeout))

/** No lock was held before this time in milliseconds, and no lease ends after that one. */
const first = Date.UTC(2020, 0)
const last = Date.UTC(2200, 0)

/** In microseconds: an observed record has spans in place of times, which are less. */
export const firstMicros = first * 1000

const isTime = (millis: number): boolean => millis >= first && millis < last

const hintOf = (value: unknown): string =>
  typeof value !== "number"
    ? ""
    : isTime(value * 1000)
      ? ". Hint: it looks like seconds"
      : isTime(value / 1000)
        ? ". Hint: it looks like microseconds"
        : isTime(value / 1e6)
          ? ". Hint: it looks like nanoseconds"
          : ""

/** Two readings of one machine's clocks are not made at one moment. */
const noise = 10_000

const monotonicOf = (clock: Clock.Clock): number => Number(monotonicNanos(clock)) / 1000
const wallOf = (clock: Clock.Clock): number => wallMillis(clock) * 1000

const shown = (micros: number): string => Duration.format(Duration.millis(Math.round(Math.abs(micros) / 1000)))

const textOf = (error: unknown): string => {
  try {
    return withoutCredentials(error instanceof Error ? error.message : String(error))
  } catch {
    return "something that cannot be shown"
  }
}

/** The time between two bounds. Who judges by `earliest` lets nobody in early, and a lease that is written from `latest` outlasts all who judge: the tolerance is in it. */
export const make = (
  storage: string,
  provider: TimeProvider,
  settings: Resolved
): Effect.Effect<course.Bounds, StorageError> => {
  const { maxAge, timeout, tolerance, wallWithin } = settings
  const known = course.make({ ...settings, steadyFor: settings.steadyFor + maxAge })
  const one = Semaphore.makeUnsafe(1)
  /** When the reading was asked for that is in use. */
  let asked: { readonly monotonic: number; readonly wall: number } | undefined
  /** One warning for each time that it left its course. */
  let warned = false

  const failed = (reason: StorageErrorReason, isRetryable: boolean, what: string, cause?: unknown): StorageError =>
    new StorageError({
      reason,
      operation: `${storage}.time`,
      isRetryable,
      applied: "no",
      message: `${provider.name} ${what}`,
      ...(cause === undefined ? {} : { cause })
    })

  const question: Effect.Effect<unknown, StorageError> = Effect.suspend(() => {
    const { now } = provider
    return Effect.isEffect(now) ? now : Effect.tryPromise({ try: async () => now(), catch: (error) => error })
  }).pipe(
    Effect.catchDefect(Effect.fail),
    Effect.mapError((error) =>
      error instanceof StorageError
        ? failed(error.reason, error.isRetryable, `could not be asked: ${error.message}`, error)
        : failed("Connection", true, `could not be asked: ${textOf(error)}`, error)
    )
  )

  const unanswered = (millis: number) => failed("Timeout", true, `did not answer within ${Math.round(millis)} ms`)

  const bounded = <A>(self: Effect.Effect<A, StorageError>, micros: number): Effect.Effect<A, StorageError> =>
    Effect.timeoutOrElse(self, { duration: micros / 1000, orElse: () => unanswered(micros / 1000) })

  /** The monotonic clock may have stood still since, as in suspend. What the wall clock says of it is no time, only a reason to ask. */
  const isFresh = (clock: Clock.Clock): boolean => {
    if (asked === undefined) return false
    const passed = monotonicOf(clock) - asked.monotonic
    return passed < maxAge && Math.abs(wallOf(clock) - asked.wall - passed) < noise
  }

  const refuse = (left: number): Effect.Effect<never, StorageError> => {
    const error = failed(
      "Unknown",
      true,
      `has ${left > 0 ? "gone ahead" : "gone back"} by ${shown(left)} against this process's own clock, which is more than \`tolerance\` (${shown(tolerance)}): ` +
        `no lease is judged by it. It is believed again once it has kept its new course for ${shown(settings.steadyFor)}`
    )
    if (warned) return Effect.fail(error)
    warned = true
    return Effect.andThen(Effect.logWarning(`${storage}: ${error.message}`), Effect.fail(error))
  }

  const judge = (
    clock: Clock.Clock,
    told: unknown,
    sent: number,
    answered: number
  ): Effect.Effect<void, StorageError> => {
    if (typeof told !== "number" || !isTime(told))
      return Effect.fail(
        failed(
          "Unknown",
          false,
          `told the time ${kindOf(told)}, and must tell milliseconds since 1970, of a year from 2020 to 2199${hintOf(told)}`
        )
      )
    const reading = { value: told * 1000, sent, answered }
    const off = Math.abs(reading.value - wallOf(clock))
    if (off > wallWithin && !known.follows(reading))
      return Effect.fail(
        failed(
          "Unknown",
          true,
          `differs by ${shown(off)} from this machine's own clock, which is more than \`wallWithin\` (${shown(wallWithin)})`
        )
      )
    const left = known.take(reading)
    if (left !== 0) return refuse(left)
    warned = false
    return Effect.void
  }

  const ask = (clock: Clock.Clock): Effect.Effect<void, StorageError> =>
    Effect.suspend(() => {
      asked = undefined
      const sent = { monotonic: monotonicOf(clock), wall: wallOf(clock) }
      // What cannot be interrupted is not waited for either.
      return Effect.flatMap(bounded(fibers.disconnect(question), timeout), (told) =>
        Effect.map(judge(clock, told, sent.monotonic, monotonicOf(clock)), () => {
          asked = sent
        })
      )
    })

  return Effect.flatMap(TimeLimit, (limit) =>
    Effect.clockWith((clock) => {
      const bounds = Effect.suspend(() => {
        const found = known.at(monotonicOf(clock))
        return found === undefined
          ? unanswered(0)
          : Effect.succeed({ earliest: found.earliest, latest: found.latest + Math.ceil(tolerance) })
      })
      if (isFresh(clock)) return bounds
      const anew = one.withPermits(1)(
        Effect.flatMap(
          Effect.suspend(() => (isFresh(clock) ? Effect.void : ask(clock))),
          () => bounds
        )
      )
      const micros = Duration.toMillis(limit) * 1000
      return Number.isFinite(micros) ? bounded(anew, micros) : anew
    })
  )
}
