/** The options of Splunk's layers: their types, their checks and their defaults. */
import { flagFault, invalid, secretText } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"
import * as users from "../shared/user.js"

export interface Place {
  readonly app?: string | undefined
  readonly owner?: string | undefined
  readonly collection?: string | undefined
}

/** Whose documents, in which collection, of which app. */
export interface ResolvedPlace {
  readonly app: string
  readonly owner: string
  readonly collection: string
}

export interface Common extends OperationOptions, Place {
  readonly setup?: boolean | undefined
}

export interface ResolvedCommon extends ResolvedOperation, ResolvedPlace {
  readonly setup: boolean
}

export const defaultPort = 8089

const named = (
  field: string,
  value: unknown,
  fallback: string,
  pattern: RegExp,
  rule: string
): string | InvalidOptions => {
  const found = value ?? fallback
  return typeof found === "string" && pattern.test(found) ? found : invalid(field, found, rule)
}

/** "-" stands for all apps, or all owners. */
export const place = (options: Place): ResolvedPlace | InvalidOptions => {
  const app = named(
    "app",
    options.app,
    "search",
    /^[A-Za-z0-9_][\w.-]{0,99}$/,
    '1 to 100 of A-Z, a-z, 0-9, "_", "." and "-", beginning with a letter, a digit or "_"'
  )
  if (app instanceof InvalidOptions) return app
  const owner = named(
    "owner",
    options.owner,
    "nobody",
    /^[A-Za-z0-9_][\w.@-]{0,99}$/,
    '1 to 100 of A-Z, a-z, 0-9, "_", ".", "@" and "-", beginning with a letter, a digit or "_"'
  )
  if (owner instanceof InvalidOptions) return owner
  const collection = named(
    "collection",
    options.collection,
    "storage_lock",
    /^[A-Za-z0-9][\w-]{0,63}$/,
    '1 to 64 of A-Z, a-z, 0-9, "_" and "-", beginning with a letter or a digit'
  )
  return collection instanceof InvalidOptions ? collection : { app, owner, collection }
}

const placeNames = { app: true, owner: true, collection: true } as const

const commonNames = { ...placeNames, setup: true, ...operationNames } as const

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { ...commonNames, ...own })
  if (unknown !== undefined) return unknown
  const found = place(options)
  if (found instanceof InvalidOptions) return found
  const fault = flagFault("setup", options.setup)
  if (fault !== undefined) return fault
  const each = operation(options)
  return each instanceof InvalidOptions ? each : { ...each, ...found, setup: options.setup ?? true }
}

/** The same for what prints. */
export const printed = (options: Place): ResolvedPlace | InvalidOptions =>
  unknownName<Place>(options, placeNames) ?? place(options)

/** A header takes these characters. */
export const token = (value: unknown): string | InvalidOptions => {
  const text = secretText(value)
  return typeof text === "string" && /^[\x21-\x7e]+$/.test(text)
    ? text
    : new InvalidOptions({
        field: "token",
        kind: typeof text === "string" ? "something else" : text.kind,
        rule: "a Redacted token of ASCII, without spaces"
      })
}

export type User = users.User

/** A user whose name and password are texts. */
export const user = users.option
