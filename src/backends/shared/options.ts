/** Options that several storages have, and what is wrong with them. */
import * as Duration from "#effect/Duration"
import type * as Schedule from "#effect/Schedule"
import { duration, invalid, scheduleFault } from "../../common/input.js"
import type { InvalidOptions } from "../../LockError.js"
import { defaultVersionMissRetry } from "../../VersionedStore.js"

/** What is said of each operation. */
export interface OperationOptions {
  readonly operationTimeout?: Duration.Input | undefined
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

export const operationNames = { operationTimeout: true, versionMissRetry: true } as const

export interface ResolvedOperation {
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly versionMissRetry: Schedule.Schedule<unknown>
}

const longestTimeout = Duration.toMillis("1 day")

/** How long one operation may take, in milliseconds. Default 5 seconds. */
export const operationTimeout = (value: unknown): number | InvalidOptions =>
  duration(
    "operationTimeout",
    value === undefined ? "5 seconds" : value,
    "a duration from a millisecond to a day",
    (millis) => millis >= 1 && millis <= longestTimeout
  )

export const operation = (options: OperationOptions): ResolvedOperation | InvalidOptions => {
  const fault = scheduleFault("versionMissRetry", options.versionMissRetry)
  if (fault !== undefined) return fault
  const timeout = operationTimeout(options.operationTimeout)
  return typeof timeout === "number"
    ? { operationTimeout: timeout, versionMissRetry: options.versionMissRetry ?? defaultVersionMissRetry }
    : timeout
}

/** The most connections of a pool of our own. Default 4. */
export const poolSize = (value: unknown): number | InvalidOptions => {
  const size = value ?? 4
  return typeof size === "number" && Number.isInteger(size) && size >= 1 && size <= 1000
    ? size
    : invalid("poolSize", size, "an integer from 1 to 1000")
}
