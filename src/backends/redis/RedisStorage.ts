/**
 * Locks in Redis 5 or newer, or Valkey, on `ioredis` 5: one hash per lock, one script and one round trip per operation, timed by the server's clock.
 *
 * **What it promises.** On one server with `appendonly yes` and `appendfsync always`, an acknowledged change is on disk, and no two owners hold one lock
 * within the lease. With `everysec` a crash of the machine may undo the last second or two. With snapshots alone a restart undoes much more. Weak settings
 * are logged as warnings at startup.
 *
 * **What it does not promise.** Redis replicates asynchronously, also in a Cluster and under Sentinel. A promoted replica may lack the last claims. Then
 * **two owners hold one lock** until the first one's lease ends. `wait` makes that rarer, not impossible. If it matters, let the resource check the fencing
 * token. Tokens begin at the server's clock, so the later token is the higher one even if the record was lost, provided that the servers' clocks differ by
 * less than the failover takes.
 *
 * **Keys.** The record of lock `a` is the hash at `storage-lock:a`. It never expires, because a free record remembers the last token. `purge` deletes old
 * ones. Nothing may evict them: `maxmemory-policy` must not be one of `allkeys-*`.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type { Cluster, Redis, RedisOptions } from "ioredis"
import { invalid, valid } from "../../common/input.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import * as resolve from "./options.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

export type { Ports } from "../shared/layers.js"

/**
 * How many replicas must acknowledge a write, and how long it waits for them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wait {
  readonly replicas: number
  /** Below `operationTimeout`, and well below the lease. */
  readonly timeout: Duration.Input
}

/**
 * The options that both layers have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions {
  /**
   * The beginning of the keys of locks, after the `keyPrefix` of the client, and of the channel for wake-ups. Two processes share locks if prefix,
   * `keyPrefix` and database are the same. Up to 128 UTF-16 units.
   * Braces in it put all locks on one node of a Cluster. Default `storage-lock:`.
   */
  readonly prefix?: string | undefined
  /**
   * Wakes waiters when a lock is freed, by a PUBLISH in the release and one connection that subscribes when somebody first waits. `false`: neither, waiters
   * poll. A Cluster passes each message to all its nodes: switch it off if that costs too much. Default `true`.
   */
  readonly notify?: boolean | undefined
  /** How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * Claims, renewals and revocations wait until so many replicas have acknowledged them (WAIT). With fewer, a claim fails with reason `Timeout` and is given
   * back, and a renewal counts as not answered. This makes it rarer that a failover loses a claim, but it is not consensus. All commands of the connection
   * wait meanwhile. It applies to the lock storage only, not to `VersionedStore`, and not on a Cluster. Default: none.
   */
  readonly wait?: Wait | undefined
}

/**
 * Where the server is: `url`, or `redis` with `host`, `path` or `sentinels`, or both. For short-lived passwords and renewed certificates each may also be an
 * Effect or a function that returns it. It is evaluated for each connection. Plain values are checked before any I/O. The database and the `keyPrefix` are
 * those of the first connection: another one later is refused.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /** `redis://user:password@host:port/database`, or `rediss://` for TLS. */
  readonly url?: Present<Redacted.Redacted> | undefined
  /**
   * More options of `ioredis`: Sentinels, certificates, timeouts. If `url` has a host, user, password or database, a different one here is refused. The
   * storage itself decides when to reconnect, and that nothing is queued or sent again. So these have no effect: `retryStrategy`, `sentinelRetryStrategy`,
   * `reconnectOnError`, `enableOfflineQueue`, `maxRetriesPerRequest`,
   * `autoResendUnfulfilledCommands`, `enableAutoPipelining`, `enableReadyCheck`, `lazyConnect`, `commandTimeout` and `socketTimeout` (see `operationTimeout`).
   */
  readonly redis?: Present<RedisOptions> | undefined
  /** The password, in place of that of `url` or `redis`. For passwords that change while the rest stays. */
  readonly password?: Present<Redacted.Redacted> | undefined
}

/**
 * `Options` with values alone, for `layerConfig`.
 *
 * @since 0.1.0
 * @category models
 */
export interface FixedOptions extends CommonOptions {
  readonly url?: Redacted.Redacted | undefined
  readonly redis?: RedisOptions | undefined
  readonly password?: Redacted.Redacted | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /**
   * The program's `Redis` or `Cluster`. Beside a `Redis`, connections are made with its current settings. A `Cluster` is used directly. Both stay open when the
   * layer closes.
   */
  readonly client: Redis | Cluster
}

const ioredis = peer("RedisStorage", ["ioredis"], () => import("./withDriver.js"))

/**
 * Both ports, over a connection of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(resolve.common(options, { url: true, redis: true, password: true }))
    return yield* (yield* ioredis).make(options, common)
  })

/**
 * Both ports, over the program's client. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(resolve.common(options, { client: true }))
    const { client } = options
    if (typeof client?.sendCommand !== "function" || typeof client.duplicate !== "function") {
      return yield* invalid("client", client, "a Redis or Cluster of ioredis")
    }
    return yield* (yield* ioredis).fromClient(client, common)
  })

/**
 * The lock storage at a URL, with a connection of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached or refuses the login. An operation that is
 * interrupted runs on until its answer or its timeout. A connection that has fallen silent is replaced.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as RedisStorage from "effect-storage-lock/RedisStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(RedisStorage.layer({ url: Redacted.make("redis://app:secret@localhost:6379/0") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> => portsOf(make(options))

/**
 * As `layer`, with its options from `Config`.
 *
 * @example
 * ```ts
 * import * as RedisStorage from "effect-storage-lock/RedisStorage"
 * import { Config } from "effect"
 *
 * const storage = RedisStorage.layerConfig({ url: Config.redacted("REDIS_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<FixedOptions>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage with the settings of the program's own `Redis` (Sentinels, TLS, …), or on its `Cluster`.
 *
 * Beside a `Redis` a separate connection is made: on the program's connection an operation would join an open MULTI, or wait behind a blocking command. A
 * `Cluster` is shared, with the program's settings, and stays open when the layer closes. When a connection of a `Cluster` breaks, its driver sends commands
 * again for as long as `maxRedirections` and `retryDelayOnFailover` allow. A claim that arrives after its operation was given up may block the lock until its
 * lease ends. If the program uses blocking commands (BLPOP, …) on it, pass a `duplicate()`.
 *
 * @example
 * ```ts
 * import * as RedisStorage from "effect-storage-lock/RedisStorage"
 * import { Cluster } from "ioredis"
 *
 * const client = new Cluster([{ host: "localhost", port: 7000 }], { lazyConnect: true })
 * const storage = RedisStorage.layerFromClient({ client })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromClient(options))

/** Of types it has none, but who has no types may give it. */
const without = <A extends object>(options: A): Effect.Effect<A, InvalidOptions> => {
  const { wait } = options as { readonly wait?: unknown }
  return wait === undefined
    ? Effect.succeed(options)
    : Effect.fail(invalid("wait", wait, "left out: only the lock storage waits for replicas"))
}

/**
 * The compare-and-set store at a URL, over the same records as `layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersioned = (
  options: Omit<Options, "wait">
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  versionedOf(Effect.flatMap(without(options), make))

/**
 * The compare-and-set store on the program's client, over the same records as `layerFromClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: Omit<ClientOptions, "wait">
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  versionedOf(Effect.flatMap(without(options), makeFromClient))
