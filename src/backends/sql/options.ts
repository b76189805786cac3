/** Options of storages whose tables stand in a schema. */
import type * as Duration from "#effect/Duration"
import type { InvalidOptions } from "../../LockError.js"
import { invalid, operationTimeout } from "../../common/input.js"

export interface Common {
  readonly table?: string | undefined
  readonly schema?: string | undefined
  readonly setup?: boolean | undefined
  readonly operationTimeout?: Duration.Input | undefined
}

export interface ResolvedCommon {
  readonly table: string
  readonly schema: string | undefined
  readonly setup: boolean
  /** Milliseconds. */
  readonly operationTimeout: number
}

export const defaultTable = "storage_lock"

/** By what a dialect says of a name. */
export const common =
  (invalidName: (field: string, name: unknown) => InvalidOptions | undefined) =>
  (options: Common): ResolvedCommon | InvalidOptions => {
    const table = options.table ?? defaultTable
    const fault =
      invalidName("table", table) ?? (options.schema === undefined ? undefined : invalidName("schema", options.schema))
    if (fault !== undefined) return fault
    if (options.setup !== undefined && typeof options.setup !== "boolean")
      return invalid("setup", options.setup, "true or false")
    const timeout = operationTimeout(options.operationTimeout)
    if (typeof timeout !== "number") return timeout
    return { table, schema: options.schema, setup: options.setup ?? true, operationTimeout: timeout }
  }
