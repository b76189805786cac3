/** How each connection is made: by what the options say then. */
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Tedious from "tedious"
import { secretOption } from "../../common/input.js"
import { InvalidOptions, StorageError } from "../../LockError.js"
import { isFixed, now, type Present } from "../shared/currentValue.js"
import * as config from "./config.js"
import * as url from "./url.js"

export interface Options {
  readonly url?: Present<unknown> | undefined
  readonly connection?: Present<unknown> | undefined
  readonly password?: Present<unknown> | undefined
  readonly accessToken?: Present<unknown> | undefined
}

/** Given once, or asked for at each connection. */
export interface Source {
  readonly fixed: Tedious.ConnectionConfiguration | undefined
  readonly now: Effect.Effect<Tedious.ConnectionConfiguration, StorageError>
}

const operation = "MssqlStorage.connect"

interface Given {
  readonly url?: unknown
  readonly connection?: unknown
  readonly password?: unknown
  readonly accessToken?: unknown
}

const refuse = (field: string, kind: string, rule: string) => new InvalidOptions({ field, kind, rule })

/** Credentials of their own, beside those that the URL has no place for. */
const withSecret = (
  parsed: Tedious.ConnectionConfiguration,
  given: Given
): Tedious.ConnectionConfiguration | InvalidOptions => {
  const { password, userName } = parsed.authentication!.options as {
    readonly userName: string
    readonly password: string
  }
  if (given.accessToken !== undefined) {
    const token = secretOption("accessToken", given.accessToken)
    if (token instanceof InvalidOptions) return token
    if (userName !== "" || password !== "")
      return refuse(
        "accessToken",
        "given beside a user in `url`",
        "absent, or beside a `url` without user and password: the token says who it is"
      )
    if (parsed.options?.encrypt === false)
      return refuse(
        "accessToken",
        "given beside `encrypt=false` in `url`",
        "beside a `url` with `encrypt` true or strict"
      )
    return { ...parsed, authentication: { type: "azure-active-directory-access-token", options: { token } } }
  }
  if (given.password === undefined) return parsed
  const secret = secretOption("password", given.password)
  if (secret instanceof InvalidOptions) return secret
  if (password !== "") return refuse("password", "given beside one in `url`", "absent where `url` has one")
  return { ...parsed, authentication: { type: "default", options: { userName, password: secret } } }
}

const resolve = (given: Given, patience: number): Tedious.ConnectionConfiguration | InvalidOptions => {
  if (given.connection !== undefined) return config.resolve("connection", given.connection, patience)
  const parsed = url.parse("url", given.url)
  if (parsed instanceof InvalidOptions) return parsed
  const complete = withSecret(parsed, given)
  return complete instanceof InvalidOptions ? complete : config.resolve("url", complete, patience)
}

/** A value that is given is checked at once; one that is asked for, whenever it is asked. */
export const make = (options: Options, patience: number): Source | InvalidOptions => {
  if (options.connection !== undefined) {
    for (const field of ["url", "password", "accessToken"] as const) {
      if (options[field] !== undefined) {
        return refuse(
          "connection",
          `given beside ${field}`,
          `absent where there is a \`${field}\`: as an Effect or a function, it is asked for at each connection too`
        )
      }
    }
  }
  if (options.password !== undefined && options.accessToken !== undefined)
    return refuse("accessToken", "given beside `password`", "one of the two")
  const fields = (["url", "connection", "password", "accessToken"] as const).filter(
    (field) => options[field] !== undefined
  )
  const asked = fields.filter((field) => !isFixed(options[field]))
  if (asked.length === 0) {
    const fixed = resolve(options, patience)
    return fixed instanceof InvalidOptions ? fixed : { fixed, now: Effect.succeed(fixed) }
  }
  // As far as it can be checked now: with a stand-in for what is not known yet.
  if (isFixed(options.url) && options.connection === undefined) {
    const standIn = Redacted.make("unknown yet")
    const early = resolve(
      {
        url: options.url,
        ...Object.fromEntries(
          fields
            .filter((field) => field !== "url")
            .map((field) => [field, isFixed(options[field]) ? options[field] : standIn])
        )
      },
      patience
    )
    if (early instanceof InvalidOptions) return early
  } else {
    for (const field of ["password", "accessToken"] as const) {
      const early =
        options[field] !== undefined && isFixed(options[field]) ? secretOption(field, options[field]) : undefined
      if (early instanceof InvalidOptions) return early
    }
  }
  const each = Effect.forEach(fields, (field) =>
    Effect.map(now<unknown>(operation, field, options[field]), (value) => [field, value] as const)
  )
  return {
    fixed: undefined,
    now: Effect.flatMap(each, (entries) => {
      const resolved = resolve(Object.fromEntries(entries), patience)
      return resolved instanceof InvalidOptions
        ? new StorageError({
            reason: "Connection",
            operation,
            isRetryable: true,
            applied: "no",
            message: `what \`${resolved.field}\` gave just now cannot be used: ${resolved.message}`,
            cause: resolved
          })
        : Effect.succeed(resolved)
    })
  }
}
