/** The options of Consul's layers: their types, their checks and their defaults. */
import * as Redacted from "effect/Redacted"
import { invalid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"

export interface Common extends OperationOptions {
  readonly prefix?: string | undefined
  readonly datacenter?: string | undefined
  readonly namespace?: string | undefined
  readonly waits?: number | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  readonly prefix: string
  readonly datacenter: string | undefined
  readonly namespace: string | undefined
  readonly waits: number
}

export const defaultPort = 8500

const longestPrefix = 255

/** Nothing in it is encoded in a URL, or redirected. */
const isPrefix = (value: unknown): value is string =>
  typeof value === "string" && value.length <= longestPrefix && /^[\w~-][\w.~-]*(\/[\w~-][\w.~-]*)*\/?$/.test(value)

const prefix = (value: unknown): string | InvalidOptions => {
  const found = value ?? "effect-storage-lock/"
  return isPrefix(found)
    ? found
    : invalid(
        "prefix",
        found,
        `1 to ${longestPrefix} characters: names of A-Z, a-z, 0-9, "_", "-", "~" and "." (not first), with "/" between them, and perhaps at the end`
      )
}

const name = (field: string, value: unknown): string | undefined | InvalidOptions =>
  value === undefined || (typeof value === "string" && /^[\w-]{1,128}$/.test(value))
    ? value
    : invalid(field, value, '1 to 128 of A-Z, a-z, 0-9, "_" and "-"')

/** Which keys are ours. */
export const place = (options: Pick<Common, "prefix" | "namespace">) => {
  const found = prefix(options.prefix)
  if (found instanceof InvalidOptions) return found
  const namespace = name("namespace", options.namespace)
  return namespace instanceof InvalidOptions ? namespace : { prefix: found, namespace }
}

/** An agent serves 200 connections of one client, in all its processes. */
const mostWaits = 100

const waits = (value: unknown): number | InvalidOptions => {
  const found = value ?? 16
  return typeof found === "number" && Number.isInteger(found) && found >= 0 && found <= mostWaits
    ? found
    : invalid("waits", found, `an integer from 0 to ${mostWaits}`)
}

const commonNames = { prefix: true, datacenter: true, namespace: true, waits: true, ...operationNames } as const

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { ...commonNames, ...own })
  if (unknown !== undefined) return unknown
  const keys = place(options)
  if (keys instanceof InvalidOptions) return keys
  const datacenter = name("datacenter", options.datacenter)
  if (datacenter instanceof InvalidOptions) return datacenter
  const most = waits(options.waits)
  if (most instanceof InvalidOptions) return most
  const each = operation(options)
  return each instanceof InvalidOptions ? each : { ...each, ...keys, datacenter, waits: most }
}

/** A header takes these characters. */
export const token = (value: unknown): string | undefined | InvalidOptions => {
  if (value === undefined) return undefined
  const text: unknown = Redacted.isRedacted(value) ? Redacted.value(value) : undefined
  return typeof text === "string" && /^[\x21-\x7e]+$/.test(text)
    ? text
    : new InvalidOptions({ field: "token", kind: "something else", rule: "a Redacted token of ASCII, without spaces" })
}
