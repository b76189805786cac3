/**
 * A clock for a store that has none: whatever tells one time to all processes that share the locks.
 *
 * `VersionedStore.withTime` gives it to a store. What that costs in safety, with numbers, is in `docs/time-providers.md`. Without it leases are observed, which needs no clock of anybody.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import { withoutCredentials } from "./common/credentials.js"
import { unknownName } from "./common/optionNames.js"
import { InvalidOptions, type StorageError } from "./LockError.js"

/**
 * Whoever tells the time, and how exactly.
 *
 * @example
 * ```ts
 * import type { TimeProvider } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * declare const query: (sql: string) => Effect.Effect<ReadonlyArray<{ readonly millis: number }>, Error>
 *
 * // A database of the program's own.
 * const database: TimeProvider.TimeProvider = {
 *   name: "the database's clock",
 *   now: Effect.map(query("SELECT extract(epoch FROM clock_timestamp()) * 1000 AS millis"), (rows) => rows[0]!.millis)
 * }
 * ```
 *
 * @since 0.5.0
 * @category models
 */
export interface TimeProvider {
  /** For messages. */
  readonly name: string
  /**
   * Milliseconds since the Unix epoch, as of some moment between the question and its answer. Fractions are welcome. It may be an Effect, or a function that returns the value or a promise of it. Any
   * failure of it, also one that is thrown, is a `StorageError` of the operation that asked.
   */
  readonly now: Effect.Effect<number, unknown> | (() => number | Promise<number>)
  /** The step in which it counts, if what it tells is cut to whole steps: the true time may be later by so much. Default: a millisecond. */
  readonly grain?: Duration.Input | undefined
  /** By how much an answer may be wrong, either way: the clocks of several servers behind one name, or what NTP says of itself. Default: nothing. */
  readonly accuracy?: Duration.Input | undefined
}

/**
 * How far a provider is believed.
 *
 * @since 0.5.0
 * @category models
 */
export interface Options {
  /**
   * By how much its time may leave the course of this process's monotonic clock. If it leaves it further, forward or back, operations fail with `StorageError` (reason `Unknown`, retryable), and nobody is
   * let in by it. Leases are kept for so much longer, so that a step within the tolerance ends none early. 0.1 % of the time between two answers is allowed besides. Default: 250 milliseconds.
   */
  readonly tolerance?: Duration.Input | undefined
  /**
   * For how long it must have kept a new course before it is believed again. Must be longer than the longest lease of any process. Default: a minute.
   */
  readonly steadyFor?: Duration.Input | undefined
  /** For how long an answer is used: so the provider is asked no more often. In between the monotonic clock counts. Default: a second. `0`: it is asked in each operation. */
  readonly maxAge?: Duration.Input | undefined
  /** How long one answer may take. `Storage.TimeLimit` shortens it. Default: a second. */
  readonly timeout?: Duration.Input | undefined
  /**
   * At startup, and before a new course is believed, its time must be within this of the machine's own clock. A process that starts while the provider is wrong cannot know it otherwise. Default: the
   * machine's clock is not asked.
   */
  readonly wallWithin?: Duration.Input | undefined
}

/**
 * The clock of another store, such as the one of a database that `PostgresStorage.layerVersioned` reaches. One query for each answer. Throws `InvalidOptions` for a store that has none.
 *
 * @example
 * ```ts
 * import { TimeProvider, VersionedStore } from "effect-storage-lock"
 * import * as EtcdStorage from "effect-storage-lock/EtcdStorage"
 * import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * // Records in etcd, and leases that end by the clock of PostgreSQL.
 * const storage = Layer.unwrapEffect(
 *   Effect.map(VersionedStore.VersionedStore, (database) =>
 *     VersionedStore.layerStorage().pipe(
 *       Layer.provide(VersionedStore.layerWithTime(TimeProvider.ofStore(database))),
 *       Layer.provide(EtcdStorage.layerVersioned({ url: Redacted.make("http://127.0.0.1:2379"), prefix: "timed-locks/" }))
 *     )
 *   )
 * ).pipe(Layer.provide(PostgresStorage.layerVersioned({ url: Redacted.make("postgres://127.0.0.1/app") })))
 * ```
 *
 * @since 0.5.0
 * @category constructors
 */
export const ofStore = (store: {
  readonly time?: Effect.Effect<number, StorageError> | undefined
  readonly guarantees: { readonly name: string }
}): TimeProvider => {
  const { guarantees, time } = store
  if (time === undefined)
    throw new InvalidOptions({ field: "store", kind: "one without a clock", rule: "a store with a clock of its own" })
  return { name: `the clock of ${guarantees.name}`, now: Effect.map(time, (micros) => micros / 1000) }
}

/**
 * @since 0.5.0
 * @category models
 */
export interface HttpDateOptions {
  /** Of `http://` or `https://`, without a user. It is asked by `HEAD`, so choose one that costs its server nothing. */
  readonly url: string
  /** By how much the clocks of the servers behind the URL differ, and by how much they are late in cutting a new second. Default: nothing. */
  readonly accuracy?: Duration.Input | undefined
  /** In place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

const isUrl = (url: unknown): boolean => {
  try {
    const { password, protocol, username } = new URL(url as string)
    return typeof url === "string" && /^https?:$/.test(protocol) && username === "" && password === ""
  } catch {
    return false
  }
}

/** What may be said of a server's answer, and why it tells no time. */
const dateOf = (response: Pick<Response, "status" | "headers">): number => {
  if (response.status >= 500) throw new Error(`it answered ${response.status}`)
  // What a cache has kept tells when it was new.
  if (Number(response.headers.get("age") ?? 0) > 0) throw new Error("a cache answered in its place")
  const date = response.headers.get("date")
  if (date === null) throw new Error("its answer has no Date")
  return Date.parse(date)
}

/**
 * The `Date` of an HTTP server of your own, which is cut to whole seconds: every lease is longer by that second. All processes must ask the same server, or servers whose clocks differ by less than
 * `accuracy`. Not for servers of others: a page behind a content network tells the time of whichever machine is nearest. Throws `InvalidOptions`.
 *
 * @example
 * ```ts
 * import { TimeProvider } from "effect-storage-lock"
 *
 * const time = TimeProvider.httpDate({ url: "https://time.internal.example/", accuracy: "200 millis" })
 * ```
 *
 * @since 0.5.0
 * @category constructors
 */
export const httpDate = (options: HttpDateOptions): TimeProvider => {
  const unknown = unknownName<HttpDateOptions>(options, { url: true, accuracy: true, fetch: true })
  if (unknown !== undefined) throw unknown
  const { accuracy, url } = options
  if (!isUrl(url))
    throw new InvalidOptions({ field: "url", kind: "something else", rule: "a URL of HTTP without a user" })
  const ask = options.fetch ?? globalThis.fetch
  return {
    name: `the clock of ${new URL(url).host}`,
    now: Effect.tryPromise({
      try: async (signal) =>
        dateOf(
          await ask(url, { method: "HEAD", headers: { "cache-control": "no-store" }, redirect: "manual", signal })
        ),
      catch: (error) => {
        const { cause, message } = error instanceof Error ? error : new Error(String(error))
        const more = cause instanceof Error ? `: ${cause.message}` : ""
        return new Error(withoutCredentials(message + more))
      }
    }),
    grain: "1 second",
    accuracy
  }
}
