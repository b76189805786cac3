/** Where the servers are and who we are there: as the options say now. */
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as node from "../http/node.js"
import * as http from "../http/options.js"
import * as present from "../shared/currentValue.js"
import type { Reach } from "./client/ensemble.js"
import * as errors from "./errors.js"
import * as options from "./options.js"

export interface Given {
  readonly url: present.Present<Redacted.Redacted>
  readonly user: present.Present<options.User> | undefined
  readonly tls: present.Present<http.Tls> | undefined
}

export interface Place extends Reach {
  readonly chroot: string
}

/** Asked before each new connection. */
export type Source = (operation: string, until: number) => Effect.Effect<Place, StorageError>

const needless = new InvalidOptions({
  field: "tls",
  kind: "given with a url of zookeeper://",
  rule: "only with a url of zookeepers://"
})

const resolve = (values: {
  readonly url: unknown
  readonly user: unknown
  readonly tls: unknown
}): Place | InvalidOptions => {
  const url = options.url(values.url)
  if (url instanceof InvalidOptions) return url
  const given = values.user === undefined ? undefined : options.user(values.user)
  if (given instanceof InvalidOptions) return given
  if (given !== undefined && url.user !== undefined)
    return new InvalidOptions({ field: "user", kind: "given twice", rule: "given here or in the url" })
  const certificates = http.tls(values.tls)
  if (certificates instanceof InvalidOptions) return certificates
  if (values.tls !== undefined && !url.tls) return needless
  const fault = node.tlsFault(certificates)
  if (fault !== undefined) return fault
  const user = given ?? url.user
  return {
    servers: url.servers,
    chroot: url.chroot,
    tls: url.tls ? certificates : undefined,
    credentials:
      user === undefined
        ? []
        : [{ scheme: "digest", value: Buffer.from(`${user.name}:${Redacted.value(user.password)}`, "utf8") }]
  }
}

/** Nonsense of what is fixed is told at once, before any I/O. */
export const make = (given: Given): Source | InvalidOptions => {
  const { tls, url, user } = given
  if ([url, user, tls].every((each) => each === undefined || present.isFixed(each as present.Present<unknown>))) {
    const place = resolve(given)
    return place instanceof InvalidOptions ? place : () => Effect.succeed(place)
  }
  for (const [option, check] of [
    [url, options.url],
    [user, options.user],
    [tls, http.tls]
  ] as const) {
    const found =
      option !== undefined && present.isFixed(option) ? (check as (value: unknown) => unknown)(option) : undefined
    if (found instanceof InvalidOptions) return found
  }
  if (tls !== undefined && present.isFixed(url) && !(options.url(url) as options.ResolvedUrl).tls) return needless
  return (operation, until) => {
    const began = performance.now()
    const ask = <A>(field: string, option: present.Present<A> | undefined) =>
      option === undefined ? Effect.succeed(undefined) : present.now(`ZookeeperStorage.${operation}`, field, option)
    return Effect.timeoutOrElse(
      Effect.gen(function* () {
        const place = resolve({
          url: yield* ask("url", url),
          user: user === undefined ? undefined : ((yield* ask("user", user)) ?? null),
          tls: tls === undefined ? undefined : ((yield* ask("tls", tls)) ?? null)
        })
        return place instanceof InvalidOptions ? yield* errors.nonsense(operation, place) : place
      }),
      {
        duration: Math.max(1, until - began),
        orElse: () => Effect.fail(errors.noAnswer(operation, performance.now() - began))
      }
    )
  }
}

/** Where it can be seen: rights of a creator need somebody who creates. */
export const hasUser = ({ url, user }: Pick<Given, "url"> & { readonly user?: unknown }): true | InvalidOptions => {
  const found = present.isFixed(url) ? options.url(url) : undefined
  return user !== undefined || found === undefined || found instanceof InvalidOptions || found.user !== undefined
    ? true
    : new InvalidOptions({ field: "acl", kind: '"creator" without a user', rule: "only with a user" })
}
