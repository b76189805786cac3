/**
 * Locks in MongoDB: one collection, one document a lock, one command on that document for each operation, judged by the server's clock.
 *
 * What it promises: a claim that was answered is in the journal of a majority of the replica set, and is not rolled back by a failover. The clock is that of the primary, or in a
 * sharded cluster that of the router (`mongos`) which a client talks to: `clockMargin` must cover what these clocks differ by.
 *
 * Needs MongoDB 4.4 or newer. Servers that speak its protocol and are not MongoDB, or do not run update pipelines as it does, are recognised, and served by compare-and-set.
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
import { invalid, scheduleFault, valid } from "../../common/input.js"
import { type Ports as Both, storageOf, versionedOf } from "../shared/layers.js"
import { peer } from "../shared/peer.js"
import type { Present } from "../shared/present.js"
import type { InvalidOptions } from "../../LockError.js"
import { type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"

/**
 * What both ways to the server have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions {
  /** Default `storage_lock`. For locks alone. If it is not there, the first use makes it. */
  readonly collection?: string | undefined
  /**
   * How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds.
   */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * What to do when an operation meets another at the same time: two that make one document (11000), or a write conflict (112). When it ends, the operation fails
   * with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
  /**
   * Wake waiters by a change stream, which a replica set or a sharded cluster has, and which takes one connection of each process that ever waited. `false`: waiters poll. Default `true`.
   */
  readonly wakeUps?: boolean | undefined
  /**
   * `"pipeline"`: each operation is one update by an aggregation pipeline. `"versioned"`: reads, and compare-and-set, for servers without those; several round trips. Both
   * keep the same documents. Default `"auto"`: found out at start, by what the server says that it is, and by a trial on the document with the `_id` 0. `"pipeline"` fails where
   * `"auto"` would not choose it.
   */
  readonly mode?: "auto" | "pipeline" | "versioned" | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `mongodb://user:password@host:port/database` or `mongodb+srv://…`, with what the driver knows of parameters, except `w`, `journal`, `readPreference` and `readConcernLevel` of other values than those that
   * locks need.
   *
   * As an Effect, or a function that gives it or a promise of it, it is asked for at the start, and whenever no connection can be made with what it was: for passwords that change. The database stays
   * that of the start. Files of certificates that it names are read again then, too.
   */
  readonly url: Present<Redacted.Redacted>
  /** Default: the one of the URL's path. */
  readonly database?: string | undefined
  /** The most connections of the pool, which serves locks alone, besides the one for wake-ups. Default 4. `maxPoolSize` of the URL stands before it. */
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

/** Everything about options comes before any I/O. */
const mongodb = peer("MongoStorage", ["mongodb"], () => import("./own.js"))

const checkCommon = (options: CommonOptions & { readonly database?: string | undefined }) =>
  Effect.flatMap(mongodb, ({ common }) =>
    valid(scheduleFault("versionMissRetry", options.versionMissRetry) ?? common(options))
  )

/**
 * Both ports, over a small client of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* checkCommon(options)
    const poolSize = options.poolSize ?? 4
    if (!Number.isInteger(poolSize) || poolSize < 1 || poolSize > 1000) {
      return yield* invalid("poolSize", poolSize, "an integer from 1 to 1000")
    }
    const { open, own, url } = yield* mongodb
    const connection = yield* own(options.url, (value) =>
      url(value, common.database, poolSize, common.operationTimeout)
    )
    return yield* open(connection, {
      ...common,
      database: connection.database,
      versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
    })
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
    const common = yield* checkCommon(options)
    const { client } = options
    if (typeof client?.db !== "function") return yield* invalid("client", client, "a MongoClient of mongodb")
    const { database } = common
    if (database === undefined) return yield* invalid("database", database, "the name of a database")
    const { ofProgram, open } = yield* mongodb
    return yield* open(ofProgram(client), {
      ...common,
      database,
      versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
    })
  })

/**
 * The lock storage at a URL, with a small client of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses us, or has a collection that is not fit: a view, a capped one, one
 * with a collation, one that is sharded by anything but its `_id`.
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
 * // A URL with a password that is rotated: read again when a login is refused.
 * const storage = MongoStorage.layer({ url: () => Redacted.make(readFileSync("/run/secrets/mongodb-url", "utf8").trim()) })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Storage.Storage, StorageError | InvalidOptions> =>
  storageOf(make(options))

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
): Layer.Layer<Storage.Storage, StorageError | InvalidOptions | Config.ConfigError> =>
  storageOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage on the program's own `MongoClient`, whatever its read preference, write concern and BSON settings.
 *
 * Operations use no session of the program, so they never join its transaction. The client is not closed with the layer; a connection whose operation is out of time is.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (options: ClientOptions): Layer.Layer<Storage.Storage, StorageError | InvalidOptions> =>
  storageOf(makeFromClient(options))

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
