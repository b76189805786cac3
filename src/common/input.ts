/** What a value is that cannot be taken, in words for an error: its kind, and its value only where that is no secret. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import { InvalidOptions } from "../LockError.js"

const typeOf = (value: unknown): string => (value === null ? "null" : typeof value)

export const kindOf = (value: unknown): string => {
  switch (typeof value) {
    case "number":
    case "bigint":
      return `${value}`
    case "string":
      return JSON.stringify(value)
    default:
      return Duration.isDuration(value)
        ? Duration.format(value)
        : Array.isArray(value)
          ? `[${value}]`
          : `of type ${typeOf(value)}`
  }
}

export const invalid = (field: string, value: unknown, rule: string): InvalidOptions =>
  new InvalidOptions({ field, kind: kindOf(value), rule })

/** Of what was looked at already: `kind` says what is wrong, if something is. */
export const faulty = (field: string, kind: string | undefined, rule: string): InvalidOptions | undefined =>
  kind === undefined ? undefined : new InvalidOptions({ field, kind, rule })

/** A text that is a secret, or may bear one. Of anything else its kind, and nothing of it. */
export const secretText = (value: unknown): string | { readonly kind: string } => {
  if (!Redacted.isRedacted(value)) return { kind: `of type ${typeOf(value)}, not Redacted` }
  const text: unknown = Redacted.value(value)
  return typeof text !== "string"
    ? { kind: `a Redacted of type ${typeOf(text)}` }
    : text === ""
      ? { kind: "empty" }
      : text
}

/** The same of an option that is a secret as a whole. */
export const secretOption = (field: string, value: unknown): string | InvalidOptions => {
  const text = secretText(value)
  return typeof text === "string" ? text : new InvalidOptions({ field, kind: text.kind, rule: "a Redacted text" })
}

const loneSurrogate = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/

/** Why a text cannot be stored byte for byte, or `undefined` if it can. */
export const textFault = (text: unknown): string | undefined =>
  typeof text !== "string"
    ? `of type ${typeOf(text)}`
    : text.length === 0
      ? "empty"
      : text.includes("\0")
        ? "a string with a NUL"
        : loneSurrogate.test(text)
          ? "a string with a lone surrogate"
          : undefined

const units: ReadonlySet<string> = new Set([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

/** Effect 4 takes an object of parts, too, and passes over names that it does not know: `{ second: 5 }` is zero. */
const hasParts = (value: object): boolean => {
  const parts = Object.entries(value).filter(([, part]) => part !== undefined)
  return parts.length > 0 && parts.every(([unit, part]) => units.has(unit) && (part as number) >= 0)
}

/** Milliseconds, or `undefined` for what is no duration. `Duration.fromInputUnsafe` makes zero of NaN and of what is negative: here they are nonsense. */
const millisOf = (value: unknown): number | undefined => {
  if (typeof value === "number" && !(value >= 0)) return undefined
  if (typeof value === "bigint" && value < 0n) return undefined
  if (typeof value === "string" && value.trim().startsWith("-")) return undefined
  if (Array.isArray(value)) {
    if (!value.every((part) => part >= 0)) return undefined
  } else if (typeof value === "object" && value !== null && !Duration.isDuration(value) && !hasParts(value)) {
    return undefined
  }
  return Option.getOrUndefined(Option.map(Duration.fromInput(value as Duration.Input), Duration.toMillis))
}

/** A duration in milliseconds, if it keeps the rule. */
export const duration = (
  field: string,
  value: unknown,
  rule: string,
  holds: (millis: number) => boolean
): number | InvalidOptions => {
  const millis = millisOf(value)
  if (millis !== undefined && holds(millis)) return millis
  return invalid(
    field,
    value,
    millis === undefined && typeof value === "string" ? `${rule}, such as "30 seconds"` : rule
  )
}

/** What is wrong with a schedule that was given, if something is. */
export const scheduleFault = (field: string, value: unknown): InvalidOptions | undefined =>
  value === undefined || Schedule.isSchedule(value) ? undefined : invalid(field, value, "a Schedule")

/** What is wrong with a switch that was given, if something is. */
export const flagFault = (field: string, value: unknown): InvalidOptions | undefined =>
  value === undefined || typeof value === "boolean" ? undefined : invalid(field, value, "true or false")

/** What a check of options gives. */
export const valid = <A>(resolved: A | InvalidOptions): Effect.Effect<A, InvalidOptions> =>
  resolved instanceof InvalidOptions ? Effect.fail(resolved) : Effect.succeed(resolved)
