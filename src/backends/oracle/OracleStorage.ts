/**
 * Locks in a table of Oracle Database 12.2 or later. Needs `oracledb`, in its thin mode: no Oracle Client. **Not yet run on Oracle**: what was run instead is told in the documentation.
 *
 * **What it promises.** Each operation is one block of PL/SQL, and one round trip. Leases end by the server's clock (`SYSTIMESTAMP`, in UTC). Time zone,
 * language, collation and isolation level of a session do not matter. An acknowledged change is as durable as a commit that waits for its redo.
 *
 * **What it does not promise.** A standby that takes over without the last transactions of its primary (maximum performance mode, asynchronous redo) has
 * forgotten the last claims. Then two owners may hold one lock until the first one's lease ends. Fencing tokens still grow, if the failover takes longer than
 * the difference of the clocks. There are no wake-ups: waiters poll.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { valid } from "../../common/input.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import type { Present } from "../shared/currentValue.js"
import { peer } from "../shared/driverPackage.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import * as shared from "../shared/options.js"
import type * as driver from "./driver.js"
import * as givenPool from "./givenPool.js"
import { type CommonOptions, open, type TableOptions } from "./ports.js"
import * as internal from "./options.js"
import * as ownPool from "./pool.js"
import * as setup from "./setup.js"
import * as source from "./source.js"

export type { CommonOptions, TableOptions } from "./ports.js"
export type { Ports } from "../shared/layers.js"

/**
 * What `oracledb` takes for one connection: `user`, `password`, `connectString`, `walletContent`, `accessToken`, …. A setting that would not be obeyed is
 * refused by name.
 *
 * @since 0.5.0
 * @category models
 */
export interface ConnectionAttributes {
  readonly connectString?: string | undefined
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly [name: string]: unknown
}

/**
 * A pool of `oracledb`, as its `createPool` makes it.
 *
 * @since 0.5.0
 * @category models
 */
export interface Pool {
  readonly getConnection: () => Promise<object>
  readonly poolMax?: number | undefined
  readonly status?: number | undefined
}

/**
 * Give either `url` or `connection`. For short-lived passwords and tokens each value may be an Effect, or a function that returns it or a promise of it. It is
 * evaluated for each new connection.
 *
 * @since 0.5.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `oracle://user:password@host:1521/service`, or `oracles://` for TLS (port 2484), with the parameters `connectTimeout` (seconds), `sslServerDNMatch`,
   * `sslServerCertDN` and `walletLocation`. Any other is refused by name.
   */
  readonly url?: Present<Redacted.Redacted> | undefined
  /** The password of the user in `url`, if the URL has none. */
  readonly password?: Present<Redacted.Redacted> | undefined
  /** For what a URL cannot express: wallets, tokens, connect descriptors with several addresses. */
  readonly connection?: Present<ConnectionAttributes> | undefined
  /** The size of the pool, which serves locks alone. Default 4. */
  readonly poolSize?: number | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface PoolOptions extends CommonOptions {
  /** The program's pool of `oracledb`. Stays open when the layer closes. */
  readonly pool: Pool
}

const load = peer("OracleStorage", ["oracledb"], () => import("./withDriver.js"))

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, { url: true, password: true, connection: true, poolSize: true })
    const from = yield* valid(source.make(options))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { driver } = yield* load
    const { operationTimeout } = common
    return yield* open(yield* ownPool.make({ driver, source: from, poolSize, operationTimeout }), common)
  })

/**
 * Both ports, over the program's pool of `oracledb`. See `layerFromPool`.
 *
 * @since 0.5.0
 * @category constructors
 */
export const makeFromPool = (options: PoolOptions): Effect.Effect<Ports, StorageError | InvalidOptions> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, { pool: true })
    const { driver } = yield* load
    const executor = yield* valid(givenPool.make(driver, options.pool as driver.Pool | undefined))
    return yield* open(executor, common)
  })

/**
 * The DDL that creates the table, for your own migrations. It may be run again. Throws `InvalidOptions` for a name that Oracle does not allow.
 *
 * @example
 * ```ts
 * import * as OracleStorage from "effect-storage-lock/OracleStorage"
 *
 * console.log(OracleStorage.ddl({ schema: "APP" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const ddl = (options: TableOptions = {}): string => internal.ddl(setup.ddl, options)

/**
 * The lock storage at a URL, with a small pool of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses the login, is too old, or has a foreign table
 * of that name. An operation that is interrupted runs on until its answer or its timeout. A timeout asks the server to stop, and closes the connection.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as OracleStorage from "effect-storage-lock/OracleStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const Locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(OracleStorage.layer({ url: Redacted.make("oracle://app:secret@localhost:1521/freepdb1") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(Locks))
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
 * import * as OracleStorage from "effect-storage-lock/OracleStorage"
 * import { Config } from "effect"
 *
 * const storage = OracleStorage.layerConfig({ url: Config.redacted("DATABASE_URL") })
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Omit<Options, "connection">>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage on the program's own pool of `oracledb`, which stays open when the layer closes. Each operation takes a connection beside the program's
 * transactions, and is never part of one: make the pool larger than the number of transactions that acquire inside. Nothing of a session is changed.
 *
 * @example
 * ```ts
 * import * as OracleStorage from "effect-storage-lock/OracleStorage"
 *
 * const storageOn = (pool: OracleStorage.Pool) => OracleStorage.layerFromPool({ pool })
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layerFromPool = (
  options: PoolOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromPool(options))

/**
 * The compare-and-set store at a URL, over the same table as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store on the program's pool, over the same table as `layerFromPool`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersionedFromPool = (
  options: PoolOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromPool(options))
