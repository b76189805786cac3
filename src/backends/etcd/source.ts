/** Where the cluster is and who we are there, as of now: fixed, or asked again at each new connection and each login. */
import * as Grpc from "@grpc/grpc-js"
import * as Effect from "#effect/Effect"
import * as Semaphore from "#effect/Semaphore"
import type * as Redacted from "effect/Redacted"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as present from "../shared/currentValue.js"
import type { Open } from "./channels.js"
import * as errors from "./errors.js"
import * as options from "./options.js"

export interface Reach {
  /** The same array for as long as nothing has changed that a connection is made with. */
  readonly opens: ReadonlyArray<Open>
  readonly user: options.User | undefined
}

export interface Source {
  /** Whether it is the same for ever. */
  readonly fixed: boolean
  /** What need not be asked for. */
  readonly initial: Reach | undefined
  /** As of `since`, a moment of `performance.now()`, or later. Many who ask at once are told by one question. */
  readonly now: (operation: string, since: number) => Effect.Effect<Reach, StorageError>
}

export const fixed = (opens: ReadonlyArray<Open>, user?: options.User): Source => ({
  fixed: true,
  initial: { opens, user },
  now: () => Effect.succeed({ opens, user })
})

const settings: Grpc.ClientOptions = {
  // Each layer has connections of its own: one that hangs can be left for another.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  // Not faster: etcd ends connections that ask more often than every 5 seconds, or without a call.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 0,
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.max_receive_message_length": -1,
  "grpc.primary_user_agent": "effect-storage-lock"
}

const opens = (
  { endpoints, tls }: options.ResolvedUrl,
  pem: options.ResolvedTls
): ReadonlyArray<Open> | InvalidOptions => {
  try {
    const credentials = tls ? Grpc.credentials.createSsl(pem.ca, pem.key, pem.cert) : Grpc.credentials.createInsecure()
    return endpoints.map((endpoint) => () => new Grpc.Client(endpoint, credentials, settings))
  } catch {
    // What is wrong with them is not told: it might quote the key.
    return new InvalidOptions({
      field: "tls",
      kind: "not to be read",
      rule: "certificates and a key in PEM that belong together"
    })
  }
}

export const openChannel =
  (channel: Grpc.Channel): Open =>
  () =>
    new Grpc.Client(channel.getTarget(), Grpc.credentials.createInsecure(), { channelOverride: channel })

interface Given {
  readonly url: options.ResolvedUrl
  readonly tls: options.ResolvedTls | undefined
  readonly user: options.User | undefined
}

/** Together they make sense. */
const fitting = ({ tls, url, user }: Given): InvalidOptions | undefined =>
  tls !== undefined && !url.tls
    ? new InvalidOptions({ field: "tls", kind: "given", rule: "left out, or the url one of etcds://" })
    : user !== undefined && url.user !== undefined
      ? new InvalidOptions({ field: "user", kind: "given twice", rule: "given here or in the url" })
      : undefined

const reachOf = (given: Given): Reach | InvalidOptions => {
  const made = fitting(given) ?? opens(given.url, given.tls ?? options.noTls)
  return made instanceof InvalidOptions ? made : { opens: made, user: given.user ?? given.url.user }
}

/** Whether the same connections would be made. */
const key = ({ tls, url }: Given): string => JSON.stringify([url.tls, url.endpoints, tls?.ca, tls?.cert, tls?.key])

/** Asks for what is not fixed, and what it gives is judged as if it had been given at first, but for that it may be better the next time. */
const asked = <A, B>(
  operation: string,
  field: string,
  option: present.Present<A>,
  check: (value: A) => B | InvalidOptions
) =>
  Effect.flatMap(present.now(`EtcdStorage.${operation}`, field, option), (value): Effect.Effect<B, StorageError> => {
    const found = check(value)
    return found instanceof InvalidOptions ? errors.nonsense(operation, found) : Effect.succeed(found)
  })

/** Said at once of what is fixed, before any I/O. */
const early = <A>(
  field: string,
  option: present.Present<A> | undefined,
  check: (value: A) => unknown
): InvalidOptions | undefined => {
  if (option === undefined && field !== "url") return undefined
  const fixed = present.isFixed(option as present.Present<A>)
  const found = fixed ? check(option as A) : undefined
  return found instanceof InvalidOptions ? found : undefined
}

const asking = (ask: (operation: string) => Effect.Effect<Reach, StorageError>): Source => {
  const one = Semaphore.makeUnsafe(1)
  let last: { readonly began: number; readonly reach: Reach } | undefined
  const anew = (operation: string) =>
    // Those who come in the same turn are told by this question, too: it begins after the last of them.
    Effect.flatMap(Effect.yieldNow, () => {
      const began = performance.now()
      return Effect.map(ask(operation), (reach) => {
        last = { began, reach }
        return reach
      })
    })
  return {
    fixed: false,
    initial: undefined,
    now: (operation, since) =>
      one.withPermits(1)(
        Effect.suspend(() => (last !== undefined && last.began >= since ? Effect.succeed(last.reach) : anew(operation)))
      )
  }
}

export const make = (given: {
  readonly url: present.Present<Redacted.Redacted>
  readonly tls: present.Present<options.Tls> | undefined
  readonly user: present.Present<options.User> | undefined
}): Source | InvalidOptions => {
  const wrong =
    early("url", given.url, options.url) ??
    early("tls", given.tls, options.tls) ??
    early("user", given.user, options.user)
  if (wrong !== undefined) return wrong
  const isFixed = [given.url, given.tls, given.user].every((option) => option === undefined || present.isFixed(option))
  if (isFixed) {
    const reach = reachOf({
      url: options.url(given.url) as options.ResolvedUrl,
      tls: given.tls === undefined ? undefined : (options.tls(given.tls as options.Tls) as options.ResolvedTls),
      user: options.user(given.user) as options.User | undefined
    })
    return reach instanceof InvalidOptions ? reach : fixed(reach.opens, reach.user)
  }
  // What can be seen of the rest already.
  if (given.tls !== undefined && present.isFixed(given.url) && !(options.url(given.url) as options.ResolvedUrl).tls) {
    return new InvalidOptions({ field: "tls", kind: "given", rule: "left out, or the url one of etcds://" })
  }
  let last: { readonly key: string; readonly reach: Reach } | undefined
  return asking((operation) =>
    Effect.gen(function* () {
      const all: Given = {
        url: yield* asked(operation, "url", given.url, options.url),
        tls: given.tls === undefined ? undefined : yield* asked(operation, "tls", given.tls, options.tls),
        user: given.user === undefined ? undefined : yield* asked(operation, "user", given.user, options.someUser)
      }
      const reach = reachOf(all)
      if (reach instanceof InvalidOptions) return yield* errors.nonsense(operation, reach)
      const found = key(all)
      // A connection that is made already need not be opened again for another password.
      last = { key: found, reach: last?.key === found ? { opens: last.reach.opens, user: reach.user } : reach }
      return last.reach
    })
  )
}

/** The program's channel, and who we are on it. */
export const ofChannel = (
  channel: Grpc.Channel,
  user: present.Present<options.User> | undefined
): Source | InvalidOptions => {
  const wrong = early("user", user, options.user)
  if (wrong !== undefined) return wrong
  const opens = [openChannel(channel)]
  if (user === undefined || present.isFixed(user)) return fixed(opens, options.user(user) as options.User | undefined)
  return asking((operation) =>
    Effect.map(asked(operation, "user", user, options.someUser), (found) => ({ opens, user: found }))
  )
}
