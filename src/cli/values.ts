/** Texts of the command line as values. */
import type { StorageOptions } from "../promise/types.js"
import { UsageError } from "./failure.js"

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** In milliseconds. */
export const time = (flag: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text) ?? []
  const millis = Number(amount) * units[unit]!
  if (!(millis > 0))
    throw new UsageError(
      `--${flag} must be a time above zero, such as 500ms, 30s, 5m, 2h or 1d; a number alone is seconds`
    )
  return millis
}

/** A whole number above zero. `command`: of which to show the usage. */
export const count = (flag: string, text: string | undefined, command?: string): number | undefined => {
  if (text === undefined) return undefined
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number === 0)
    throw new UsageError(`--${flag} must be a whole number above zero`, command)
  return number
}

/** Booleans, numbers and objects as JSON has them; all else is a text. */
const value = (text: string): unknown => {
  if (!/^(true|false|-?\d|[[{"])/.test(text)) return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** `name=value`, with dots for what stands within: `user.name=app`. */
export const options = (texts: ReadonlyArray<string>): StorageOptions => {
  const all: Record<string, unknown> = {}
  for (const text of texts) {
    const [, path, given] = /^([\w.]+)=(.*)$/s.exec(text) ?? []
    // Not the text itself: it may be a secret.
    if (path === undefined || given === undefined) throw new UsageError("--option must be NAME=VALUE")
    const names = path.split(".")
    const last = names.pop()!
    let within = all
    for (const name of names) within = (within[name] ??= {}) as Record<string, unknown>
    within[last] = value(given)
  }
  return all
}
