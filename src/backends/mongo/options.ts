/** The options of MongoDB's layers: their types, their checks and their defaults. */
import { faulty, flagFault, invalid, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"

export interface Common extends OperationOptions {
  readonly database?: string | undefined
  readonly collection?: string | undefined
  readonly mode?: "auto" | "pipeline" | "versioned" | undefined
  readonly wakeUps?: boolean | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  readonly database: string | undefined
  readonly collection: string
  readonly mode: "auto" | "pipeline" | "versioned"
  readonly wakeUps: boolean
}

const bytes = (text: string): number => new TextEncoder().encode(text).length

export const databaseFault = (name: unknown): string | undefined =>
  textFault(name) ??
  (/[/\\. "$*<>:|?]/.test(name as string) || bytes(name as string) > 63 ? JSON.stringify(name) : undefined)

/** 120 bytes for both names together are what the oldest servers take. */
export const collectionFault = (name: unknown): string | undefined =>
  textFault(name) ??
  (/^system\.|[$]|^\.|\.$|\.\./.test(name as string) || bytes(name as string) > 200 ? JSON.stringify(name) : undefined)

export const collectionRule = 'a name of at most 200 bytes without $ and NUL, not beginning with "system."'

const commonNames = { database: true, collection: true, mode: true, wakeUps: true, ...operationNames } as const

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { ...commonNames, ...own })
  if (unknown !== undefined) return unknown
  const { database } = options
  const collection = options.collection ?? "storage_lock"
  const mode: unknown = options.mode ?? "auto"
  const fault =
    faulty(
      "database",
      database === undefined ? undefined : databaseFault(database),
      "a name that MongoDB takes, of at most 63 bytes"
    ) ??
    faulty("collection", collectionFault(collection), collectionRule) ??
    flagFault("wakeUps", options.wakeUps)
  if (fault !== undefined) return fault
  if (mode !== "auto" && mode !== "pipeline" && mode !== "versioned") {
    return invalid("mode", mode, '"auto", "pipeline" or "versioned"')
  }
  const each = operation(options)
  return each instanceof InvalidOptions
    ? each
    : { ...each, database, collection, mode, wakeUps: options.wakeUps ?? true }
}
