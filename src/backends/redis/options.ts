import type * as Duration from "#effect/Duration"
import { InvalidOptions } from "../../LockError.js"
import { duration, invalid, operationTimeout, textFault } from "../../common/input.js"
import type { Replicas } from "./connection.js"

export interface Common {
  readonly prefix?: string | undefined
  readonly notify?: boolean | undefined
  readonly operationTimeout?: Duration.Input | undefined
  readonly wait?: { readonly replicas: number; readonly timeout: Duration.Input } | undefined
}

export interface ResolvedCommon {
  readonly prefix: string
  readonly notify: boolean
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly wait: Replicas | undefined
}

export const defaultPrefix = "storage-lock:"
const longestPrefix = 128

export const common = (options: Common): ResolvedCommon | InvalidOptions => {
  const prefix = options.prefix ?? defaultPrefix
  const fault =
    textFault(prefix) ?? (prefix.length > longestPrefix ? `a string of ${prefix.length} UTF-16 units` : undefined)
  if (fault !== undefined) {
    return new InvalidOptions({
      field: "prefix",
      kind: fault,
      rule: `a string of 1 to ${longestPrefix} UTF-16 units, without NUL`
    })
  }
  if (options.notify !== undefined && typeof options.notify !== "boolean")
    return invalid("notify", options.notify, "true or false")
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  const common = { prefix, notify: options.notify ?? true, operationTimeout: timeout }
  if (options.wait === undefined) return { ...common, wait: undefined }
  if (typeof options.wait !== "object" || options.wait === null)
    return invalid("wait", options.wait, "{ replicas, timeout }")
  const { replicas } = options.wait
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 1000) {
    return invalid("wait.replicas", replicas, "an integer from 1 to 1000")
  }
  const patience = duration(
    "wait.timeout",
    options.wait.timeout,
    "a duration from a millisecond, and below operationTimeout",
    // Zero would wait for ever.
    (millis) => millis >= 1 && millis < timeout
  )
  return typeof patience === "number" ? { ...common, wait: { replicas, timeout: Math.ceil(patience) } } : patience
}
