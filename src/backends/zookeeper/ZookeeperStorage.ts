/**
 * Locks in Apache ZooKeeper 3.6 or newer: one persistent node per lock below a root, changed by compare-and-set on its version. Needs no driver.
 *
 * **What it promises.** An acknowledged claim is in the log of a majority, so it survives every failover. No two owners hold one lock within the lease,
 * whatever the servers' clocks do, and whatever becomes of a session. Leases are *observed*: a record holds the length of its lease, and a waiter takes over
 * only after it has seen one change of the node, and no other, for that whole length on its own monotonic clock. Nothing can end a lease early. The price: a
 * process that first looks at a lock whose holder is dead waits for one whole lease.
 *
 * **What it does not promise.** An ensemble that is restored from a backup may have forgotten the last claims. A node of a lock that is deleted by hand
 * forgets who holds it. See `docs/storages/zookeeper.md`, also for why ephemeral nodes are not used.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { valid } from "../../common/input.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import type { Present } from "../shared/currentValue.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import * as commands from "./ddl.js"
import * as internal from "./options.js"
import { open } from "./ports.js"
import * as source from "./source.js"

export type { Ports } from "../shared/layers.js"

/**
 * Certificates in PEM. Without `ca`, the authorities that Node.js trusts.
 *
 * @since 0.5.0
 * @category models
 */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | undefined
  /** The client's certificate, for ensembles that require one, with its `key`. */
  readonly cert?: string | Uint8Array | undefined
  readonly key?: Redacted.Redacted<string | Uint8Array> | undefined
}

/**
 * A user of the scheme `digest`. ZooKeeper keeps no list of them: whoever names the user and password that a node was made with may use the node.
 *
 * @since 0.5.0
 * @category models
 */
export interface UserOptions {
  readonly name: string
  readonly password: Redacted.Redacted
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options {
  /**
   * `zookeeper://user:password@host1:2181,host2:2181/chroot`, or `zookeepers://…` for TLS. User, password and the path may be left out; without a port it is
   * 2181. If one server does not serve, the next one is tried. What stands as path is put in front of `root`. There are no parameters.
   *
   * It may be an Effect, or a function that returns the value or a promise of it. It is evaluated for each new connection. The same holds for `user` and `tls`.
   */
  readonly url: Present<Redacted.Redacted>
  /** In place of user and password in the URL. */
  readonly user?: Present<UserOptions> | undefined
  /** Only with `zookeepers://`. If certificates are renewed, pass a function that reads them. */
  readonly tls?: Present<TlsOptions> | undefined
  /** The node below which each lock has one. Default `/effect-storage-lock`. Nothing else may be below it. */
  readonly root?: string | undefined
  /**
   * Who may use nodes that are made: `"open"`, everybody; `"creator"`, the user that made them. Default: `"creator"` where there is a user, else `"open"`.
   * Of programs that share locks, all have the same. Nobody may delete the node of a lock without changing the rights of the root first.
   */
  readonly acl?: "open" | "creator" | undefined
  /** Whether the root is made if it is missing. Default `true`; for `false`, `ddl` says how to make it. */
  readonly setup?: boolean | undefined
  /** How long one storage operation may take; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after another client changed the record at the same time, or after an outcome was lost with its connection. When the schedule ends, the
   * operation fails. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * What `ddl` is told.
 *
 * @since 0.5.0
 * @category models
 */
export interface DdlOptions {
  /** Default `/effect-storage-lock`. */
  readonly root?: string | undefined
  /** Default `"open"`. */
  readonly acl?: "open" | "creator" | undefined
}

/**
 * What `setup` makes, as commands of `zkCli.sh`: for `setup: false`. Throws `InvalidOptions`.
 *
 * @example
 * ```ts
 * import * as ZookeeperStorage from "effect-storage-lock/ZookeeperStorage"
 *
 * console.log(ZookeeperStorage.ddl({ root: "/locks" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const ddl = (options?: DdlOptions): string => commands.ddl(options)

/**
 * Both ports, over connections of their own that close with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, user: true, tls: true }))
    const place = yield* valid(source.make({ url: options.url, user: options.user, tls: options.tls }))
    if (common.acl === "creator") yield* valid(source.hasUser(options))
    return yield* open(place, common)
  })

/**
 * The lock storage of an ensemble, with connections of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when no server can be reached, or the root can be neither found nor made. An operation
 * that is interrupted is not taken back. Whether it was applied is then unknown. Other operations are not affected.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as ZookeeperStorage from "effect-storage-lock/ZookeeperStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(ZookeeperStorage.layer({ url: Redacted.make("zookeeper://zk-1:2181,zk-2:2181,zk-3:2181") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
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
 * import * as ZookeeperStorage from "effect-storage-lock/ZookeeperStorage"
 * import { Config } from "effect"
 *
 * const storage = ZookeeperStorage.layerConfig({ url: Config.redacted("ZOOKEEPER_URL") })
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
 * The compare-and-set store of an ensemble, over the same nodes as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))
