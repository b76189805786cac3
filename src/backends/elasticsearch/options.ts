/** The options of Elasticsearch and OpenSearch's layers: their types, their checks and their defaults. */
import * as Redacted from "effect/Redacted"
import { faulty, flagFault, invalid, textFault } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { basic } from "../http/options.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"
import * as users from "../shared/user.js"

export type Mode = "auto" | "script" | "versioned"

export interface Common extends OperationOptions {
  readonly index?: string | undefined
  readonly mode?: Mode | undefined
  readonly setup?: boolean | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  /** The alias. */
  readonly index: string
  readonly mode: Mode
  readonly setup: boolean
}

export const defaultPort = 9200

/** With what stands behind it in the name of the index, 255 bytes. */
const longest = 240

const indexFault = (name: unknown): string | undefined =>
  textFault(name) ??
  (/^[a-z0-9][a-z0-9._-]*$/.test(name as string) && (name as string).length <= longest
    ? undefined
    : JSON.stringify(name))

export const index = (value: unknown, field = "index"): string | InvalidOptions => {
  const name = value ?? "storage_lock"
  return (
    faulty(
      field,
      indexFault(name),
      `1 to ${longest} of a-z, 0-9, ".", "_" and "-", beginning with a letter or a digit`
    ) ?? (name as string)
  )
}

const commonNames = { index: true, mode: true, setup: true, ...operationNames } as const

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { ...commonNames, ...own })
  if (unknown !== undefined) return unknown
  const name = index(options.index)
  if (name instanceof InvalidOptions) return name
  const mode: unknown = options.mode ?? "auto"
  if (mode !== "auto" && mode !== "script" && mode !== "versioned")
    return invalid("mode", mode, '"auto", "script" or "versioned"')
  const fault = flagFault("setup", options.setup)
  if (fault !== undefined) return fault
  const each = operation(options)
  return each instanceof InvalidOptions ? each : { ...each, index: name, mode, setup: options.setup ?? true }
}

export type User = users.User

const isSecret = (value: unknown): value is Redacted.Redacted =>
  Redacted.isRedacted(value) && typeof Redacted.value(value) === "string" && Redacted.value(value) !== ""

const userOf = (value: unknown): string | InvalidOptions => {
  const user = users.option(value)
  return user instanceof InvalidOptions ? user : basic(user)
}

/** A header takes these characters; the key is base64 as the server gave it. */
const keyOf = (value: unknown): string | InvalidOptions =>
  isSecret(value) && /^[\x21-\x7e]+$/.test(Redacted.value(value))
    ? `ApiKey ${Redacted.value(value)}`
    : new InvalidOptions({
        field: "apiKey",
        kind: "something else",
        rule: 'a Redacted API key in the form that the server calls "encoded"'
      })

/** Who asks: at most one of the three. */
export const authorization = (
  ofUrl: User | undefined,
  user: unknown,
  apiKey: unknown
): string | undefined | InvalidOptions => {
  const found = [
    ofUrl === undefined ? undefined : basic(ofUrl),
    user === undefined ? undefined : userOf(user),
    apiKey === undefined ? undefined : keyOf(apiKey)
  ].filter((each) => each !== undefined)
  const fault = found.find((each) => each instanceof InvalidOptions)
  if (fault !== undefined) return fault
  return found.length > 1
    ? new InvalidOptions({
        field: apiKey === undefined ? "user" : "apiKey",
        kind: "given beside another way to say who asks",
        rule: "one of a user in the url, `user` and `apiKey`"
      })
    : found[0]
}
