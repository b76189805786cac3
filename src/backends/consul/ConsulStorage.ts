/**
 * Locks in Consul (1.8 and later): one key per lock under a prefix, changed by transactions that compare the index of its last change. Plain HTTP.
 *
 * **What it promises.** An acknowledged claim is in the log of a majority of the servers, so it survives every failover. No two owners hold one lock within the
 * lease, whatever the servers' clocks do. Leases are *observed*: a record holds the length of its lease, and a waiter takes over only after it has seen one
 * change of the key, and no other, for that whole length on its own monotonic clock. Nothing can end a lease early. The price: a process that first looks at a
 * lock whose holder is dead waits for one whole lease.
 *
 * **What it does not promise.** A cluster that is restored from a snapshot, or recovered by hand, may have forgotten the last claims. See
 * `docs/storages/consul.md`, also for why Consul's sessions are not used.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as HttpClient from "#effect/http/HttpClient"
import * as keys from "#effect/http/keys"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { valid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import type { Tls } from "../shared/pem.js"
import * as shared from "../shared/options.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import * as internal from "./options.js"
import * as rules from "./policy.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

export type { Ports } from "../shared/layers.js"

/**
 * The options that all layers have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface CommonOptions {
  /**
   * The key of a lock is this and the lock id, percent-encoded. Default `effect-storage-lock/`. Nothing else may be under it, and no prefix of one set of locks
   * may begin with that of another.
   */
  readonly prefix?: string | undefined
  /** The data centre whose servers keep the locks. Default: that of the agent which is asked. Keys of one data centre are not those of another. */
  readonly datacenter?: string | undefined
  /** Only with Consul Enterprise: the namespace of the keys. Default: that of the token. */
  readonly namespace?: string | undefined
  /**
   * For so many locks at once, an open request tells those who wait when the lock is free; who waits for any more polls. `0`: all poll. Default 16. An agent
   * serves 200 connections of one host (`http_max_conns_per_client`), in all its processes.
   */
  readonly waits?: number | undefined
  /** How long one storage operation may take; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after another client changed the record at the same time. When the schedule ends, the operation fails with reason `Conflict`. Default:
   * `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * Certificates in PEM. Without `ca`, the authorities that Node.js trusts.
 *
 * @since 0.5.0
 * @category models
 */
export interface TlsOptions extends Tls {}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `http://127.0.0.1:8500` or `https://host1:8501,host2:8501/path`. Without a port it is 8500. If one agent does not serve, the next one is tried. A user and a
   * password, as in `https://user:password@host`, are for a gateway in front of the agent. There are no parameters.
   *
   * It may be an Effect, or a function that returns the value or a promise of it. It is evaluated at startup, and again when no agent can be reached or who
   * asks is not accepted. The same holds for `token` and `tls`.
   */
  readonly url: Present<Redacted.Redacted>
  /** The token of the ACL system. For tokens that change: `() => token`. */
  readonly token?: Present<Redacted.Redacted> | undefined
  /** Only with `https://`. If certificates are renewed, pass a function that reads them. */
  readonly tls?: Present<TlsOptions> | undefined
  /** The most connections to one agent, beside those of `waits`. Default 4. */
  readonly poolSize?: number | undefined
}

/**
 * For the program's own `HttpClient`.
 *
 * @since 0.5.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /** As in `Options`. Leave it out if the client puts the host in front of what it is asked for. */
  readonly url?: Present<Redacted.Redacted> | undefined
  /** As in `Options`. Leave it out if the client adds the token. */
  readonly token?: Present<Redacted.Redacted> | undefined
}

const driver = peer("ConsulStorage", [], () => import("./withDriver.js"))

/** By key, so that programs without `@effect/platform` need not install it. */
const ClientTag = Context.Service<HttpClient.HttpClient>(keys.client)

/**
 * Both ports, over connections of their own that close with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, token: true, tls: true, poolSize: true }))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { open, own } = yield* driver
    return yield* open(yield* valid(own(options, poolSize, common.waits)), common)
  })

/**
 * Both ports, over the program's `HttpClient`. See `layerFromClient`.
 *
 * @since 0.5.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, token: true }))
    const { ofProgram, open } = yield* driver
    return yield* open(yield* valid(yield* ofProgram(options, yield* ClientTag)), common)
  })

/**
 * The lock storage of a cluster, with connections of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when no agent can be reached, when there is no leader, or when the token may not read.
 * An operation that is interrupted goes on to its answer or its time-out.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as ConsulStorage from "effect-storage-lock/ConsulStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(ConsulStorage.layer({ url: Redacted.make("http://127.0.0.1:8500") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as ConsulStorage from "effect-storage-lock/ConsulStorage"
 * import { Redacted } from "effect"
 * import { readFileSync } from "node:fs"
 *
 * // A token that changes: it is read again when Consul does not accept it.
 * const storage = ConsulStorage.layer({
 *   url: Redacted.make("https://consul-1:8501,consul-2:8501"),
 *   token: () => Redacted.make(readFileSync("/run/secrets/consul-token", "utf8").trim()),
 *   tls: { ca: readFileSync("/etc/consul/ca.pem") }
 * })
 * ```
 *
 * @since 0.5.0
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
 * import * as ConsulStorage from "effect-storage-lock/ConsulStorage"
 * import { Config } from "effect"
 *
 * const storage = ConsulStorage.layerConfig({ url: Config.redacted("CONSUL_URL"), token: Config.redacted("CONSUL_TOKEN") })
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage over the program's own `HttpClient`: for proxies and traces.
 *
 * The client must not repeat requests by itself: a release that was done would look as if it had found nothing. It may take any time for an answer; operations
 * end by `operationTimeout`. It is also asked by the requests of `waits`, which are open for up to twenty seconds.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions, HttpClient.HttpClient> =>
  portsOf(makeFromClient(options))

/**
 * The compare-and-set store of a cluster, over the same keys as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store over the program's `HttpClient`, over the same keys as `layerFromClient`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, HttpClient.HttpClient> =>
  versionedOf(makeFromClient(options))

/**
 * The rules of an ACL policy with all that a token needs, and no more: `consul acl policy create -name locks -rules @file`. Throws `InvalidOptions` for a
 * prefix that is none.
 *
 * @example
 * ```ts
 * import * as ConsulStorage from "effect-storage-lock/ConsulStorage"
 *
 * console.log(ConsulStorage.policy({ prefix: "locks/" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const policy = (options: Pick<CommonOptions, "prefix" | "namespace"> = {}): string => {
  const given = unknownName<typeof options>(options, { prefix: true, namespace: true }) ?? internal.place(options)
  if (given instanceof InvalidOptions) throw given
  return rules.policy(given)
}
