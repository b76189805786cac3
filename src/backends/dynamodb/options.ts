/** The options of DynamoDB's layers: their types, their checks and their defaults. */
import * as Redacted from "effect/Redacted"
import { flagFault, faulty, invalid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions } from "../../LockError.js"
import { operation, operationNames, type OperationOptions, type ResolvedOperation } from "../shared/options.js"

export interface Common extends OperationOptions {
  readonly table?: string | undefined
  readonly setup?: boolean | undefined
  readonly oneRegion?: boolean | undefined
}

export interface ResolvedCommon extends ResolvedOperation {
  readonly table: string
  readonly setup: boolean
  readonly oneRegion: boolean
}

const tableRule = "3 to 255 of the characters a-z A-Z 0-9 _ . -, or the ARN of a table"

const arn = /^arn:[a-z-]+:dynamodb:[a-z0-9-]+:\d{12}:table\/[\w.-]{3,255}$/

export const tableFault = (name: unknown): InvalidOptions | undefined =>
  typeof name === "string" && (/^[\w.-]{3,255}$/.test(name) || arn.test(name))
    ? undefined
    : invalid("table", name, tableRule)

/** What both ways have in common. `own`: the names of what this one has besides. */
export const common = <Options extends Common>(
  options: Options,
  own: Readonly<Record<Exclude<keyof Options, keyof Common>, true>>
): ResolvedCommon | InvalidOptions => {
  const unknown = unknownName(options, { table: true, setup: true, oneRegion: true, ...operationNames, ...own })
  if (unknown !== undefined) return unknown
  const table: unknown = options.table ?? "storage_lock"
  const fault = tableFault(table) ?? flagFault("setup", options.setup) ?? flagFault("oneRegion", options.oneRegion)
  if (fault !== undefined) return fault
  const each = operation(options)
  return each instanceof InvalidOptions
    ? each
    : { ...each, table: table as string, setup: options.setup ?? true, oneRegion: options.oneRegion ?? false }
}

export interface Reach {
  readonly region: string | undefined
  readonly endpoint: string | undefined
}

const endpointKind = (value: unknown): string | undefined => {
  if (typeof value !== "string") return `of type ${value === null ? "null" : typeof value}`
  try {
    const { password, protocol, username } = new URL(value)
    if (username !== "" || password !== "") return "a URL with a user"
    return protocol === "http:" || protocol === "https:" ? undefined : JSON.stringify(value)
  } catch {
    return "no URL"
  }
}

export const reach = (options: { readonly region?: unknown; readonly endpoint?: unknown }): Reach | InvalidOptions => {
  const { endpoint, region } = options
  const fault =
    faulty(
      "region",
      region === undefined || (typeof region === "string" && /^[a-z0-9-]{1,63}$/.test(region))
        ? undefined
        : typeof region === "string"
          ? JSON.stringify(region)
          : `of type ${region === null ? "null" : typeof region}`,
      'the name of a region, such as "eu-central-1"'
    ) ??
    faulty(
      "endpoint",
      endpoint === undefined ? undefined : endpointKind(endpoint),
      "a URL such as http://localhost:8000, without user and password"
    )
  return fault ?? { region: region as string | undefined, endpoint: endpoint as string | undefined }
}

export const noRegion = (field: "region" | "client"): InvalidOptions =>
  new InvalidOptions({
    field,
    kind: "without a region",
    rule: "a region: by this option, by AWS_REGION, or by the profile of AWS_PROFILE"
  })

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
}

export interface ResolvedCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

const credentialsRule = "{ accessKeyId, secretAccessKey, sessionToken? }, the last two Redacted"

/** Says nothing of the values. */
export const credentials = (value: unknown): ResolvedCredentials | InvalidOptions => {
  const bad = (field: string, kind: string) => new InvalidOptions({ field, kind, rule: credentialsRule })
  const unknown = unknownName<Credentials>(
    value,
    { accessKeyId: true, secretAccessKey: true, sessionToken: true },
    "credentials"
  )
  if (unknown !== undefined) return unknown
  const { accessKeyId, secretAccessKey, sessionToken } = value as Partial<Record<keyof Credentials, unknown>>
  const secret = (of: unknown): string | undefined => {
    const found: unknown = Redacted.isRedacted(of) ? Redacted.value(of) : undefined
    return typeof found === "string" && found !== "" ? found : undefined
  }
  if (typeof accessKeyId !== "string" || accessKeyId === "") return bad("credentials.accessKeyId", "something else")
  const key = secret(secretAccessKey)
  if (key === undefined) return bad("credentials.secretAccessKey", "something else")
  if (sessionToken === undefined) return { accessKeyId, secretAccessKey: key }
  const token = secret(sessionToken)
  return token === undefined
    ? bad("credentials.sessionToken", "something else")
    : { accessKeyId, secretAccessKey: key, sessionToken: token }
}
