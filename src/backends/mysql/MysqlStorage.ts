/**
 * Locks in a table of MySQL 8.0 or later, MariaDB 10.5 or later, or TiDB. Needs `mysql2`; for `layerFromClient` also `@effect/sql-mysql2` and what it needs.
 *
 * **What it promises.** Each operation is one packet, and one round trip. Leases end by the server's clock (`UTC_TIMESTAMP(6)`), on TiDB by that of the cluster (its timestamp oracle), whichever of its servers is
 * asked; the time zone, the SQL mode and the isolation level of a session do not matter. With the defaults of InnoDB (`innodb_flush_log_at_trx_commit = 1`) what was acknowledged outlives a crash.
 *
 * **What it does not.** A replica that is promoted without the last transactions of its source has forgotten the last claims: two owners may hold one lock until the first one's
 * lease ends; fencing tokens still grow if the promotion takes longer than the clocks differ. In a Galera cluster, send all processes to one node. There is no way to be
 * told of a change: waiters poll.
 *
 * @since 0.1.0
 */
import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type * as Mysql from "mysql2"
import type * as MysqlPromise from "mysql2/promise"
import { inRealTime } from "../../common/clocks.js"
import { invalid } from "../../common/input.js"
import * as connection from "./connection.js"
import * as clients from "./clients.js"
import * as dialect from "./dialect.js"
import * as internal from "./options.js"
import type { Packet } from "./packet.js"
import * as ownPool from "./pool.js"
import * as setup from "./setup.js"
import type * as tls from "./tls.js"
import type { Present } from "../shared/present.js"
import type { Executor } from "../sql/executor.js"
import * as ports from "../sql/storage.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"

/**
 * The table of locks.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableOptions {
  /** Default `storage_lock`. Quoted: any characters of the basic plane but NUL, up to 64. */
  readonly table?: string | undefined
  /** Must exist. Default: the one that the connection names. */
  readonly database?: string | undefined
}

/**
 * What all ways to the server have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions extends TableOptions {
  /** Create the table if it is not there. Where it is, no right to create is needed. Default `true`. */
  readonly setup?: boolean | undefined
  /** How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * What to do when an operation loses against another at the same time (deadlock, or a write conflict of a cluster). When it ends, the operation
   * fails with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * Certificates and keys in PEM, and what is verified: `rejectUnauthorized` the certificate, `verifyIdentity` that it is for the host of the URL. Both by default.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsOptions extends tls.TlsOptions {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `mysql://user:password@host:port/database`, with parameters of the `mysql2` driver that concern a connection. One that is not honoured is refused by name.
   *
   * TLS: `ssl-mode=VERIFY_IDENTITY` (or `ssl=true`) verifies the certificate and its name, `VERIFY_CA` the certificate alone, `REQUIRED` nothing; beside it `ssl-ca`, `ssl-cert` and `ssl-key`
   * name files in PEM, which are read anew for each connection.
   *
   * A value, or an Effect or a function that gives the present one, asked at each new connection: for passwords that live for minutes.
   */
  readonly url: Present<Redacted.Redacted>
  /** TLS, with certificates and keys in PEM, where the URL says nothing of it. What is not switched off is verified. A value, or what gives the present one, as with `url`. Default: what the URL says. */
  readonly tls?: Present<TlsOptions> | undefined
  /** The most connections of the pool, which serves locks alone. Default 4. */
  readonly poolSize?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {}

/**
 * @since 0.1.0
 * @category models
 */
export interface PoolOptions extends CommonOptions {
  /** The program's pool, of `mysql2` or `mysql2/promise`, made with `multipleStatements: true`. Stays open when the layer closes. */
  readonly pool: Mysql.Pool | MysqlPromise.Pool
}

/**
 * Both ports over one table: locks of this library, and of other kinds, that never overlap on one id.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ports {
  readonly storage: Storage.Service
  readonly versioned: VersionedStore.Service
}

/** By key, so that programs without `@effect/sql-mysql2` need not install it. */
const MysqlClientTag = Context.Service<MysqlClient.MysqlClient>("@effect/sql-mysql2/MysqlClient")

const valid = <A>(resolved: A | InvalidOptions): Effect.Effect<A, InvalidOptions> =>
  resolved instanceof InvalidOptions ? Effect.fail(resolved) : Effect.succeed(resolved)

/** Everything about options comes before any I/O. */
const checkCommon = (options: CommonOptions): Effect.Effect<internal.ResolvedCommon, InvalidOptions> =>
  Effect.suspend(() =>
    options.versionMissRetry !== undefined && !Schedule.isSchedule(options.versionMissRetry)
      ? invalid("versionMissRetry", options.versionMissRetry, "a Schedule")
      : valid(internal.common(options))
  )

const open = (
  executor: Executor<Packet>,
  common: internal.ResolvedCommon,
  options: CommonOptions
): Effect.Effect<Ports, StorageError> => {
  const qualified = internal.qualified(common.table, common.database)
  return Effect.map(
    setup.prepare(executor, { ...common, qualified, millis: common.operationTimeout }),
    (flavour) =>
      ports.make(executor, dialect.make(flavour, qualified), {
        wakeUps: undefined,
        operationTimeout: common.operationTimeout,
        versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
      })
  )
}

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    const common = yield* checkCommon(options)
    const source = yield* Effect.suspend(() => valid(connection.source(options.url, options.tls)))
    const poolSize = options.poolSize ?? 4
    if (!Number.isInteger(poolSize) || poolSize < 1 || poolSize > 1000) {
      return yield* invalid("poolSize", poolSize, "an integer from 1 to 1000")
    }
    const executor = yield* ownPool.make({ source, poolSize, operationTimeout: common.operationTimeout })
    return yield* open(executor, common, options)
  })

/**
 * Both ports, over the program's `MysqlClient`. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, MysqlClient.MysqlClient> =>
  Effect.gen(function*() {
    const common = yield* checkCommon(options)
    return yield* open(clients.ofClient(yield* MysqlClientTag), common, options)
  })

/**
 * Both ports, over the program's pool of `mysql2`. See `layerFromPool`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromPool = (options: PoolOptions): Effect.Effect<Ports, StorageError | InvalidOptions> =>
  Effect.gen(function*() {
    const common = yield* checkCommon(options)
    return yield* open(yield* valid(clients.ofPool(options.pool)), common, options)
  })

const storageOf = <E, R>(made: Effect.Effect<Ports, E, R>): Layer.Layer<Storage.Storage, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(Storage.Storage, inRealTime(Effect.map(made, (both) => both.storage)))

const versionedOf = <E, R>(
  made: Effect.Effect<Ports, E, R>
): Layer.Layer<VersionedStore.VersionedStore, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(VersionedStore.VersionedStore, inRealTime(Effect.map(made, (both) => both.versioned)))

/**
 * The lock storage at a URL, with a small pool of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses us, is too old, or has a table that is not ours. What kind of server it is,
 * it says itself. A connection serves when the server has confirmed its database and the settings that we rely on. An interrupted operation goes on by itself to its answer or its time-out, which
 * closes its connection; nothing is killed at the server, and no more than `poolSize` sessions that nobody waits for are left there.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as MysqlStorage from "effect-storage-lock/MysqlStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(MysqlStorage.layer({ url: Redacted.make("mysql://app:secret@localhost:3306/app") }))
 * )
 *
 * const program = Effect.log("no other process does this now").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
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
 * import * as MysqlStorage from "effect-storage-lock/MysqlStorage"
 * import { Config } from "effect"
 *
 * const storage = MysqlStorage.layerConfig({ url: Config.redacted("DATABASE_URL") })
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
 * The lock storage on the program's own `MysqlClient` of `@effect/sql-mysql2`, whatever its name transforms.
 *
 * Operations never join a transaction of the program: each takes a connection beside it, and fails with reason `Timeout` if none is free in time. So
 * the client's pool must be larger than the number of transactions that acquire locks inside. A statement that is out of time keeps its connection until the server has
 * answered: keep `innodb_lock_wait_timeout` short.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<Storage.Storage, StorageError | InvalidOptions, MysqlClient.MysqlClient> => storageOf(makeFromClient(options))

/**
 * The lock storage on the program's own pool of `mysql2`, made with `multipleStatements: true`. The pool is not closed with the layer; a connection whose operation is out of time is, and so is one
 * to a server that cannot write (a primary that was demoted). A packet lowers the time that its session waits for locks, and gives it back.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromPool = (options: PoolOptions): Layer.Layer<Storage.Storage, StorageError | InvalidOptions> =>
  storageOf(makeFromPool(options))

/**
 * The compare-and-set store at a URL, over the same table as `layer`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store on the program's `MysqlClient`, over the same table as `layerFromClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, MysqlClient.MysqlClient> =>
  versionedOf(makeFromClient(options))

/**
 * The compare-and-set store on the program's pool, over the same table as `layerFromPool`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromPool = (
  options: PoolOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromPool(options))

/**
 * The statement that makes the table, for those who run migrations; then set `setup: false`. Running it twice does no harm. Throws `InvalidOptions` for a
 * name that MySQL cannot have.
 *
 * @example
 * ```ts
 * import * as MysqlStorage from "effect-storage-lock/MysqlStorage"
 *
 * console.log(MysqlStorage.ddl({ table: "locks", database: "app" }))
 * ```
 *
 * @since 0.1.0
 * @category setup
 */
export const ddl = (options: TableOptions = {}): string => {
  const common = internal.common({ table: options.table, database: options.database })
  if (common instanceof InvalidOptions) throw common
  return setup.ddl(internal.qualified(common.table, common.database))
}
