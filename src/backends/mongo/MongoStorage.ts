/**
 * Locks in MongoDB: one collection, one document per lock, one command per operation, timed by the server's clock.
 *
 * What it promises: an acknowledged claim is in the journal of a majority of the replica set, so a failover does not roll it back. The clock is that of the
 * primary, or in a sharded cluster that of the router (`mongos`) that a client talks to. `clockMargin` must cover the differences between these clocks.
 *
 * Needs MongoDB 4.4 or newer. Other servers of its protocol, and those that do not run update pipelines as MongoDB does, are recognised and served by
 * compare-and-set.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type { MongoClient } from "mongodb"
import { invalid, valid } from "../../common/input.js"
import { type Ports as Both, portsOf, versionedOf } from "../shared/layers.js"
import * as shared from "../shared/options.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import * as internal from "./options.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

/**
 * The options that both layers have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions {
  /** Default `storage_lock`. For locks alone. If it does not exist, the first use creates it. */
  readonly collection?: string | undefined
  /**
   * How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds.
   */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after a conflict with another operation: both create one document (11000), or a write conflict (112). When the schedule ends, the
   * operation fails with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
  /**
   * Wakes waiters by a change stream. It needs a replica set or a sharded cluster, and one connection of each process that ever waits. `false`: waiters poll.
   * Default `true`.
   */
  readonly wakeUps?: boolean | undefined
  /**
   * `"pipeline"`: each operation is one update by an aggregation pipeline. `"versioned"`: reads and compare-and-set in several round trips, for servers
   * without such updates. Both keep the same documents. Default `"auto"`: chosen at startup, by what the server says it is and by a trial on the document
   * with the `_id` 0. `"pipeline"` fails where `"auto"` would not choose it.
   */
  readonly mode?: "auto" | "pipeline" | "versioned" | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `mongodb://user:password@host:port/database` or `mongodb+srv://…`, with the driver's parameters. `w`, `journal`, `readPreference` and `readConcernLevel`
   * are refused if they differ from what locks need.
   *
   * For passwords that change it may be an Effect, or a function that returns the URL or a promise of it. It is evaluated at startup, and again whenever no
   * connection can be made with the last one. Certificate files that it names are then read again, too. The database stays that of the startup.
   */
  readonly url: Present<Redacted.Redacted>
  /** Default: the one of the URL's path. */
  readonly database?: string | undefined
  /** The size of the pool, which serves locks alone. The connection for wake-ups is not counted. Default 4. `maxPoolSize` of the URL overrides it. */
  readonly poolSize?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /** The program's client. Stays open when the layer closes. */
  readonly client: MongoClient
  readonly database: string
}

/**
 * Both ports over one collection: locks of this library, and of other kinds, that never overlap on one id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ports extends Both {
  /** How `storage` works on this server. */
  readonly mode: "pipeline" | "versioned"
}

const mongodb = peer("MongoStorage", ["mongodb"], () => import("./withDriver.js"))

/**
 * Both ports, over a small client of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, poolSize: true }))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { open, own, url } = yield* mongodb
    const connection = yield* own(options.url, (value) =>
      url(value, common.database, poolSize, common.operationTimeout)
    )
    return yield* open(connection, { ...common, database: connection.database })
  })

/**
 * Both ports, over the program's `MongoClient`. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { client: true }))
    const { client } = options
    if (typeof client?.db !== "function") return yield* invalid("client", client, "a MongoClient of mongodb")
    const { database } = common
    if (database === undefined) return yield* invalid("database", database, "the name of a database")
    const { ofProgram, open } = yield* mongodb
    return yield* open(ofProgram(client), { ...common, database })
  })

/**
 * The lock storage at a URL, with a small client of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached or refuses the login, or when the collection is
 * unsuitable: a view, a capped collection, one with a collation, or one that is sharded by anything but its `_id`.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as MongoStorage from "effect-storage-lock/MongoStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(MongoStorage.layer({ url: Redacted.make("mongodb://app:secret@localhost:27017/app") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as MongoStorage from "effect-storage-lock/MongoStorage"
 * import { Redacted } from "effect"
 * import { readFileSync } from "node:fs"
 *
 * // A URL with a password that changes: it is read again when a login is refused.
 * const storage = MongoStorage.layer({ url: () => Redacted.make(readFileSync("/run/secrets/mongodb-url", "utf8").trim()) })
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
 * import * as MongoStorage from "effect-storage-lock/MongoStorage"
 * import { Config } from "effect"
 *
 * const storage = MongoStorage.layerConfig({ url: Config.redacted("MONGODB_URL") })
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
 * The lock storage on the program's own `MongoClient`, whatever its read preference, write concern and BSON settings.
 *
 * Operations use no session of the program, so they never join its transaction. The client stays open when the layer closes. A connection whose operation ran
 * out of time is closed.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromClient(options))

/**
 * The compare-and-set store at a URL, over the same collection as `layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store on the program's `MongoClient`, over the same collection as `layerFromClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromClient(options))
