/** How each connection is made: by what the options say then. A setting that would not be obeyed, or that would share a session with others, is refused by name. */
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { secretOption } from "../../common/input.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import { isFixed, now, type Present } from "../shared/currentValue.js"
import * as errors from "./errors.js"
import * as url from "./url.js"

export interface Options {
  readonly url?: Present<unknown> | undefined
  readonly password?: Present<unknown> | undefined
  readonly connection?: Present<unknown> | undefined
}

/** Given once, or asked for at each connection. */
export interface Source {
  readonly fixed: url.Attributes | undefined
  readonly now: Effect.Effect<url.Attributes, StorageError>
}

const operation = "OracleStorage.connect"

/** What the driver takes for one connection, and is obeyed. */
const known = new Set([
  "accessToken",
  "accessTokenConfig",
  "configDir",
  "connectString",
  "connectTimeout",
  "connectionIdPrefix",
  "connectionString",
  "driverName",
  "edition",
  "expireTime",
  "externalAuth",
  "httpsProxy",
  "httpsProxyPort",
  "machine",
  "osUser",
  "password",
  "program",
  "retryCount",
  "retryDelay",
  "sdu",
  "sslAllowWeakDNMatch",
  "sslServerCertDN",
  "sslServerDNMatch",
  "terminal",
  "transportConnectTimeout",
  "useSNI",
  "user",
  "username",
  "walletContent",
  "walletLocation",
  "walletPassword"
])

const refuse = (field: string, kind: string, rule: string) => new InvalidOptions({ field, kind, rule })

const typeOf = (value: unknown): string => (value === null ? "null" : typeof value)

/** Names only: a value may be a secret. */
const told = (name: string): string =>
  /^[A-Za-z][A-Za-z0-9_]{0,60}$/.test(name) ? `\`${name}\`` : "one of an odd name"

const isAbsent = (value: unknown): boolean => value === undefined || value === ""

const attributesOf = (field: string, value: unknown): url.Attributes | InvalidOptions => {
  if (typeof value !== "object" || value === null)
    return refuse(field, `of type ${typeOf(value)}`, "an object as oracledb takes it for a connection")
  const given = value as url.Attributes
  const unknown = Object.keys(given).find((name) => given[name] !== undefined && !known.has(name))
  if (unknown !== undefined)
    return refuse(field, `one with ${told(unknown)}`, `of ${[...known].join(", ")}: nothing else would be obeyed`)
  if (isAbsent(given.connectString) && isAbsent(given.connectionString))
    return refuse(field, "one without `connectString`", "one that says where the database is")
  return given
}

interface Given {
  readonly url?: unknown
  readonly password?: unknown
  readonly connection?: unknown
}

const resolve = (given: Given): url.Attributes | InvalidOptions => {
  if (given.connection !== undefined) return attributesOf("connection", given.connection)
  const parsed = url.parse("url", given.url)
  if (parsed instanceof InvalidOptions) return parsed
  const secret = given.password === undefined ? parsed.password : secretOption("password", given.password)
  if (secret instanceof InvalidOptions) return secret
  if (given.password !== undefined && parsed.password !== "")
    return refuse("password", "given beside one in `url`", "absent where `url` has one")
  if (parsed.user === "")
    return refuse("url", "a URL without a user", "one with a user; other ways to log in are those of `connection`")
  if (secret === "")
    return refuse("url", "a URL without a password", "one with a password, or beside the option `password`")
  return { ...parsed, password: secret }
}

/** A value that is given is checked at once; one that is asked for, whenever it is asked. */
export const make = (options: Options): Source | InvalidOptions => {
  const fields = (["url", "password", "connection"] as const).filter((field) => options[field] !== undefined)
  if (options.connection !== undefined && fields.length > 1)
    return refuse(
      "connection",
      `given beside ${fields[0]!}`,
      `absent where there is a \`${fields[0]!}\`: as an Effect or a function, it is asked for at each connection too`
    )
  if (fields.every((field) => isFixed(options[field]))) {
    const fixed = resolve(options)
    return fixed instanceof InvalidOptions ? fixed : { fixed, now: Effect.succeed(fixed) }
  }
  // As far as it can be checked now: with a stand-in for what is not known yet.
  if (options.url !== undefined && isFixed(options.url)) {
    const early = resolve({ url: options.url, password: Redacted.make("unknown yet") })
    if (early instanceof InvalidOptions) return early
  } else if (options.password !== undefined && isFixed(options.password)) {
    const early = secretOption("password", options.password)
    if (early instanceof InvalidOptions) return early
  }
  const each = Effect.forEach(fields, (field) =>
    Effect.map(now<unknown>(operation, field, options[field]), (value) => [field, value] as const)
  )
  return {
    fixed: undefined,
    now: Effect.flatMap(each, (entries) => {
      const resolved = resolve(Object.fromEntries(entries))
      return resolved instanceof InvalidOptions
        ? errors.unfit(`what \`${resolved.field}\` gave just now cannot be used: ${resolved.message}`)
        : Effect.succeed(resolved)
    })
  }
}
