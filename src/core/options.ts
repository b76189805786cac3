/** Options as they are given become options as they are used: checked, and in milliseconds. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { InvalidOptions } from "../LockError.js"
import { type Guarantees, shortestMemory } from "../Storage.js"
import type { AcquireOptions, ExtendOptions, ForceReleaseOptions, OnceOptions, Options } from "./api.js"
import { invalidLabel, invalidNamespace } from "../common/ids.js"
import { jitter } from "../common/jitter.js"
import { invalidNames } from "./optionNames.js"
import { thisProcess } from "./thisProcess.js"
import { duration, invalid, kindOf, scheduleFault } from "../common/input.js"
import { unknownName } from "../common/optionNames.js"

/** Options that make sense, in milliseconds. */
export interface Resolved {
  readonly lease: number
  readonly refresh: number
  readonly margin: number
  /** `Infinity`: none. */
  readonly acquireTimeout: number
  readonly retry: Schedule.Schedule<unknown>
  /** `Infinity`: for ever. */
  readonly holdAtMost: number
  readonly lostAtEnd: "fail" | "succeed"
  readonly ownerLabel: string
  /** `Infinity`: never. */
  readonly purgeAfter: number
}

/** With room for the clock in a record: 2^53 microseconds are the year 2255. */
const longestLease = Duration.toMillis("365 days")

/** Refresh and margin together, as a part of the lease: beyond it, a single slow renewal would lose the lock. */
const wellBelow = 0.9

export const defaultRetry: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("20 millis", 1.5),
  Schedule.spaced("500 millis")
]).pipe(
  jitter(0.5, 1.5),
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Math.ceil(Duration.toMillis(duration))))
)

const format = (millis: number): string => Duration.format(Duration.millis(millis))

const longestHold = ({ holdAtMost }: Pick<Options, "holdAtMost">): number | InvalidOptions =>
  holdAtMost === undefined || holdAtMost === "infinity"
    ? Number.POSITIVE_INFINITY
    : duration("holdAtMost", holdAtMost, 'a duration above zero, or "infinity" for no bound', (millis) => millis > 0)

/** A lease that the storage can keep, not shorter than this. In milliseconds. */
export const granular = (millis: number, { leaseGranularity, shortestLease }: Guarantees): number => {
  const grain = leaseGranularity / 1000
  return Math.ceil(Math.max(millis, shortestLease / 1000) / grain) * grain
}

/** Options of a layer, which may come from a program without types. */
export const ofLayer = (options: Options, guarantees: Guarantees): Resolved | InvalidOptions =>
  invalidNames(options, "layer") ?? resolve(options, guarantees)

/** Nonsense is refused, never repaired. */
export const resolve = (options: Options, guarantees: Guarantees): Resolved | InvalidOptions => {
  const shortest = guarantees.shortestLease / 1000

  const asked = duration(
    "leaseExpireAfter",
    options.leaseExpireAfter === undefined ? "30 seconds" : options.leaseExpireAfter,
    `a duration from ${format(shortest)} (the shortest of ${guarantees.name}) to ${format(longestLease)}`,
    (millis) => millis > 0 && millis >= shortest && millis <= longestLease
  )
  if (typeof asked !== "number") return asked
  const lease = granular(asked, guarantees)

  const refresh = duration(
    "leaseRefreshInterval",
    options.leaseRefreshInterval === undefined ? lease / 3 : options.leaseRefreshInterval,
    `a duration above zero and below the lease of ${format(lease)}`,
    (millis) => millis > 0 && millis < lease
  )
  if (typeof refresh !== "number") return refresh

  const margin = duration(
    "clockMargin",
    options.clockMargin === undefined ? Math.max(100, lease / 20) : options.clockMargin,
    `a duration of zero or more, below the lease of ${format(lease)}`,
    // A default that does not fit is the lease's fault, and told below.
    (millis) => millis >= 0 && (options.clockMargin === undefined || millis < lease)
  )
  if (typeof margin !== "number") return margin
  if (refresh + margin > wellBelow * lease) {
    return new InvalidOptions({
      field:
        options.leaseRefreshInterval === undefined && options.clockMargin === undefined
          ? "leaseExpireAfter"
          : "leaseRefreshInterval",
      kind: `${format(refresh)} (refresh) and ${format(margin)} (clockMargin) in a lease of ${format(lease)}`,
      rule: `such that leaseRefreshInterval and clockMargin (give a smaller one for a short lease) together are at most ${
        wellBelow * 100
      } % of leaseExpireAfter`
    })
  }

  const acquireTimeout =
    options.acquireTimeout === undefined
      ? Number.POSITIVE_INFINITY
      : duration(
          "acquireTimeout",
          options.acquireTimeout,
          "a duration above zero (tryAcquire does not wait)",
          (millis) => millis > 0
        )
  if (typeof acquireTimeout !== "number") return acquireTimeout

  const holdAtMost = longestHold(options)
  if (typeof holdAtMost !== "number") return holdAtMost

  const { lostAtEnd = "fail" } = options
  if (lostAtEnd !== "fail" && lostAtEnd !== "succeed") {
    return new InvalidOptions({ field: "lostAtEnd", kind: kindOf(lostAtEnd), rule: '"fail" or "succeed"' })
  }

  const retry = scheduleFault("retry", options.retry)
  if (retry !== undefined) return retry
  if (options.namespace !== undefined) {
    const invalid = invalidNamespace(options.namespace)
    if (invalid !== undefined) return invalid
  }
  const ownerLabel = options.ownerLabel ?? thisProcess
  const invalid = invalidLabel(ownerLabel)
  if (invalid !== undefined) return invalid
  const never = options.purgeAfter === false || options.purgeAfter === "infinity"
  const purgeAfter = never
    ? Number.POSITIVE_INFINITY
    : duration(
        "purgeAfter",
        options.purgeAfter === undefined ? "1 day" : options.purgeAfter,
        `a duration of at least ${Duration.format(shortestMemory)}, or "infinity" for never`,
        (millis) => millis >= Duration.toMillis(shortestMemory)
      )
  if (typeof purgeAfter !== "number") return purgeAfter

  return {
    lease,
    refresh,
    margin,
    acquireTimeout,
    holdAtMost,
    lostAtEnd,
    purgeAfter,
    retry: options.retry ?? defaultRetry,
    ownerLabel
  }
}

/** Options of one acquire over those of its layer. A lease of its own brings the defaults that follow from it. */
export const override = (layer: Options, own: AcquireOptions, guarantees: Guarantees): Resolved | InvalidOptions =>
  invalidNames(own, "acquire") ?? resolve({ ...layer, ...own }, guarantees)

/** Options of `once`: for how many milliseconds the lock is held at least. */
export const ofOnce = (options: OnceOptions): number | InvalidOptions => {
  if (typeof options !== "object" || options === null) return invalid("options", options, "{ holdAtLeast, … }")
  for (const name of ["ownerId", "retry"])
    if (name in options)
      return new InvalidOptions({
        field: name,
        kind: "given",
        rule: "left out: `once` is for one run at a time, and does not wait"
      })
  const longest = longestHold(options)
  return typeof longest !== "number"
    ? longest
    : duration(
        "holdAtLeast",
        options.holdAtLeast,
        `a duration above zero, to ${format(longestLease)}, and not above holdAtMost`,
        (millis) => millis > 0 && millis <= longestLease && millis <= longest
      )
}

/** Options of `extend`: in milliseconds, if it is given. */
export const ofExtend = (options: ExtendOptions): number | undefined | InvalidOptions =>
  unknownName<ExtendOptions>(options, { holdAtMost: true }) ??
  (options.holdAtMost === undefined ? undefined : longestHold(options))

/** Options of `forceRelease`, without which nothing is taken away. */
export const ofRelease = (options: ForceReleaseOptions): ForceReleaseOptions | InvalidOptions => {
  const fault = unknownName<ForceReleaseOptions>(options, { token: true, when: true })
  if (fault !== undefined) return fault
  const { token, when } = options
  if (!Number.isSafeInteger(token) || token <= 0) {
    return new InvalidOptions({
      field: "token",
      kind: kindOf(token),
      rule: "the fencing token of the hold, a positive integer"
    })
  }
  return when === "now" || when === "leaseEnd"
    ? { token, when }
    : new InvalidOptions({ field: "when", kind: JSON.stringify(when) ?? typeof when, rule: '"now" or "leaseEnd"' })
}
