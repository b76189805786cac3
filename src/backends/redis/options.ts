/** The options of Redis's layers: their types, their checks and their defaults. */
import type * as Duration from "#effect/Duration"
import type { InvalidOptions } from "../../LockError.js"
import { duration, faulty, flagFault, invalid, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { operationTimeout } from "../shared/options.js"
import type { Replicas } from "./connection.js"

export interface Common {
  readonly prefix?: string | undefined
  readonly notify?: boolean | undefined
  readonly operationTimeout?: Duration.Input | undefined
  readonly wait?: Wait | undefined
}

interface Wait {
  readonly replicas: number
  readonly timeout: Duration.Input
}

export interface ResolvedCommon {
  readonly prefix: string
  readonly notify: boolean
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly wait: Replicas | undefined
}

const longestPrefix = 128

const commonNames = { prefix: true, notify: true, operationTimeout: true, wait: true } as const

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { ...commonNames, ...own })
  if (unknown !== undefined) return unknown
  const prefix = options.prefix ?? "storage-lock:"
  const fault =
    faulty(
      "prefix",
      textFault(prefix) ?? (prefix.length > longestPrefix ? `a string of ${prefix.length} UTF-16 units` : undefined),
      `a string of 1 to ${longestPrefix} UTF-16 units, without NUL`
    ) ?? flagFault("notify", options.notify)
  if (fault !== undefined) return fault
  const timeout = operationTimeout(options.operationTimeout)
  if (typeof timeout !== "number") return timeout
  const common = { prefix, notify: options.notify ?? true, operationTimeout: timeout }
  if (options.wait === undefined) return { ...common, wait: undefined }
  if (typeof options.wait !== "object" || options.wait === null)
    return invalid("wait", options.wait, "{ replicas, timeout }")
  const wrong = unknownName<Wait>(options.wait, { replicas: true, timeout: true }, "wait")
  if (wrong !== undefined) return wrong
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
