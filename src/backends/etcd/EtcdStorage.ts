/**
 * Locks in etcd 3: one key per lock under a prefix, changed by compare-and-set on its revision. Needs `@grpc/grpc-js` and `@grpc/proto-loader`.
 *
 * **What it promises.** An acknowledged claim is in the log of a majority, so it survives every failover. No two owners hold one lock within the lease,
 * whatever the servers' clocks do. Leases are *observed*: a record holds the length of its lease, and a waiter takes over only after it has seen one revision
 * of the key, unchanged, for that whole length on its own monotonic clock. Nothing can end a lease early. The price: a process that first looks at a lock
 * whose holder is dead waits for one whole lease.
 *
 * **What it does not promise.** A cluster that is restored from a backup, or started with `--force-new-cluster`, may have forgotten the last claims. See
 * `docs/storages/etcd.md`, also for why etcd's own leases are not used.
 *
 * @since 0.1.0
 */
import "#effect/major"
import type * as Grpc from "@grpc/grpc-js"
import * as Config from "#effect/Config"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import type { Tls } from "../shared/pem.js"
import { peer } from "../shared/driverPackage.js"
import * as internal from "./options.js"
import { invalid, valid } from "../../common/input.js"
import type { Present } from "../shared/currentValue.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

export type { Ports } from "../shared/layers.js"

/**
 * The options that all layers have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions {
  /**
   * The key of a lock is this and the lock id. Default `effect-storage-lock/`. Nothing else may be under it, and no prefix of one set of locks may begin with
   * that of another.
   */
  readonly prefix?: string | undefined
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
 * @since 0.1.0
 * @category models
 */
export interface TlsOptions extends Tls {}

/**
 * A user of the cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface UserOptions {
  readonly name: string
  readonly password: Redacted.Redacted
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `etcd://user:password@host1:2379,host2:2379`, or `etcds://…` for TLS. User and password may be left out; without a port it is 2379. If one endpoint does
   * not serve, the next one is tried. There are no parameters.
   *
   * It may be an Effect, or a function that returns the value or a promise of it. It is evaluated for each new connection and each login. The same holds for
   * `user` and `tls`.
   */
  readonly url: Present<Redacted.Redacted>
  /** In place of user and password in the URL: for passwords that change, `() => ({ name, password })`. */
  readonly user?: Present<UserOptions> | undefined
  /** Only with `etcds://`. If certificates are renewed, pass a function that reads them. */
  readonly tls?: Present<TlsOptions> | undefined
}

/**
 * The program's own channel to the cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChannelOptions extends CommonOptions {
  /** A channel of `@grpc/grpc-js`, with its own credentials, balancing and interceptors. It stays open when the layer closes. */
  readonly channel: Grpc.Channel
  /** For clusters with authentication by name. An Effect or a function is evaluated at each login. */
  readonly user?: Present<UserOptions> | undefined
}

const grpc = peer("EtcdStorage", ["@grpc/grpc-js", "@grpc/proto-loader"], () => import("./withDriver.js"))

/**
 * Both ports, over connections of their own that close with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, user: true, tls: true }))
    const { open, source } = yield* grpc
    const reach = yield* valid(source({ url: options.url, tls: options.tls, user: options.user }))
    return yield* open(common, { source: reach, owned: true })
  })

/**
 * Both ports, over the program's channel. See `layerFromChannel`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromChannel = (
  options: ChannelOptions
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { channel: true, user: true }))
    if (typeof options.channel?.createCall !== "function")
      return yield* invalid("channel", options.channel, "a Channel of @grpc/grpc-js")
    const { ofChannel, open } = yield* grpc
    return yield* open(common, {
      source: yield* valid(ofChannel(options.channel, options.user)),
      owned: false
    })
  })

/**
 * The lock storage of a cluster, with connections of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when no endpoint can be reached, or the cluster refuses the login. An operation that is
 * interrupted is cancelled. Whether it was applied is then unknown. Other operations are not affected.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as EtcdStorage from "effect-storage-lock/EtcdStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(EtcdStorage.layer({ url: Redacted.make("etcd://etcd-1:2379,etcd-2:2379,etcd-3:2379") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as EtcdStorage from "effect-storage-lock/EtcdStorage"
 * import { Redacted } from "effect"
 * import { readFileSync } from "node:fs"
 *
 * // A password that changes: it is read again at each login.
 * const storage = EtcdStorage.layer({
 *   url: Redacted.make("etcds://etcd-1:2379,etcd-2:2379,etcd-3:2379"),
 *   user: () => ({ name: "app", password: Redacted.make(readFileSync("/run/secrets/etcd-password", "utf8").trim()) })
 * })
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
 * import * as EtcdStorage from "effect-storage-lock/EtcdStorage"
 * import { Config } from "effect"
 *
 * const storage = EtcdStorage.layerConfig({ url: Config.redacted("ETCD_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage over the program's own channel of `@grpc/grpc-js`: for credentials, balancing or tunnels that a URL cannot express.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromChannel = (
  options: ChannelOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromChannel(options))

/**
 * The compare-and-set store of a cluster, over the same keys as `layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store over the program's channel, over the same keys as `layerFromChannel`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromChannel = (
  options: ChannelOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromChannel(options))
