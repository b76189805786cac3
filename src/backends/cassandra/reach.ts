/** Where the cluster is and who we are there: fixed, or asked for again. */
import * as Effect from "#effect/Effect"
import type * as Redacted from "effect/Redacted"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as present from "../shared/currentValue.js"
import * as errors from "./errors.js"
import * as options from "./options.js"

export interface Given {
  readonly url: present.Present<Redacted.Redacted>
  readonly user: present.Present<options.User> | undefined
  readonly tls: present.Present<options.Tls> | undefined
}

export interface Reach {
  readonly url: options.ResolvedUrl
  readonly tls: options.ResolvedTls | undefined
  readonly user: options.User | undefined
}

export interface Source {
  /** Whether it is the same for ever. */
  readonly fixed: boolean
  readonly now: (operation: string) => Effect.Effect<Reach, StorageError>
  readonly user: () => Effect.Effect<options.User | undefined, StorageError>
}

/** Said at once of what is fixed, before any I/O. */
const early = <A, B>(
  option: present.Present<A> | undefined,
  check: (value: A) => B | InvalidOptions
): B | InvalidOptions | undefined => (option !== undefined && present.isFixed(option) ? check(option) : undefined)

/** Together they make sense. */
const fault = (
  url: options.ResolvedUrl | undefined,
  { tls, user }: { readonly tls: unknown; readonly user: unknown }
): InvalidOptions | undefined =>
  url === undefined
    ? undefined
    : tls !== undefined && !url.tls
      ? new InvalidOptions({ field: "tls", kind: "given", rule: "left out, or the url one of cassandras://" })
      : user !== undefined && url.user !== undefined
        ? new InvalidOptions({ field: "user", kind: "given twice", rule: "given here or in the url" })
        : undefined

export const make = (given: Given): Source | InvalidOptions => {
  const seen = [early(given.url, options.url), early(given.user, options.user), early(given.tls, options.tls)] as const
  const [url] = seen
  const wrong = seen.find((each) => each instanceof InvalidOptions)
  if (wrong instanceof InvalidOptions) return wrong
  // The url is looked at even if it was left out.
  if (url instanceof InvalidOptions || given.url === undefined) return options.url(given.url) as InvalidOptions
  const mismatch = fault(url, given)
  if (mismatch !== undefined) return mismatch

  /** What it gives is judged as if it had been given at first, but for that it may be better the next time. */
  const asked = <A, B>(
    operation: string,
    field: string,
    option: present.Present<A>,
    check: (value: A) => B | InvalidOptions
  ): Effect.Effect<B, StorageError> =>
    Effect.flatMap(
      present.now(`CassandraStorage.${operation}`, field, option),
      (value): Effect.Effect<B, StorageError> => {
        const found = check(value)
        return found instanceof InvalidOptions ? errors.nonsense(operation, found) : Effect.succeed(found)
      }
    )

  const now: Source["now"] = (operation) =>
    Effect.gen(function* () {
      const url = yield* asked(operation, "url", given.url, options.url)
      const found: Reach = {
        url,
        tls: given.tls === undefined ? undefined : yield* asked(operation, "tls", given.tls, options.tls),
        user: given.user === undefined ? url.user : yield* asked(operation, "user", given.user, options.user)
      }
      const wrong = fault(url, given)
      return wrong === undefined ? found : yield* errors.nonsense(operation, wrong)
    })

  return {
    fixed: [given.url, given.user, given.tls].every((option) => option === undefined || present.isFixed(option)),
    now,
    user: () =>
      given.user === undefined
        ? Effect.map(asked("login", "url", given.url, options.url), ({ user }) => user)
        : asked("login", "user", given.user, options.user)
  }
}

/** Whether connections are made in another way: a password is asked for at each anyway. */
export const isSame = (a: Reach, b: Reach): boolean => keyOf(a) === keyOf(b)

const keyOf = ({ tls, url, user }: Reach): string =>
  JSON.stringify([
    url.contactPoints,
    url.tls,
    user === undefined,
    tls?.servername,
    ...[tls?.ca, tls?.cert, tls?.key].map((pem) => pem?.toString("base64"))
  ])
