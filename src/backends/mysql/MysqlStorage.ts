/**
 * Locks in a table of MySQL 8.0 or later, MariaDB 10.5 or later, or TiDB. Needs `mysql2`. `layerFromClient`, with Effect 3 only, also needs
 * `@effect/sql-mysql2` and its peers.
 *
 * **What it promises.** Each operation is one packet, and one round trip. Leases end by the server's clock (`UTC_TIMESTAMP(6)`), on TiDB by the clock of the
 * cluster (its timestamp oracle). Time zone, SQL mode and isolation level of a session do not matter. With the defaults of InnoDB
 * (`innodb_flush_log_at_trx_commit = 1`) an acknowledged change survives a crash.
 *
 * **What it does not promise.** A replica that is promoted without the last transactions of its source has forgotten the last claims. Then two owners may
 * hold one lock until the first one's lease ends. Fencing tokens still grow, if the promotion takes longer than the difference of the clocks. In a Galera
 * cluster, connect all processes to one node. On it, and on TiDB, there are no wake-ups: waiters poll.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type * as Mysql from "mysql2"
import type * as MysqlPromise from "mysql2/promise"
import { valid } from "../../common/input.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import { auditPool } from "../shared/audit.js"
import * as shared from "../shared/options.js"
import type { Present } from "../shared/currentValue.js"
import * as givenPool from "./givenPool.js"
import { type CommonOptions, notifyOf, open, own, type SharedOptions, type TableOptions } from "./ports.js"
import * as audit from "./audit.js"
import * as internal from "./options.js"
import * as setup from "./setup.js"
import type * as tls from "./tls.js"

export type { CommonOptions, NotifyUrl, SharedOptions, TableOptions } from "./ports.js"
export type { Ports } from "../shared/layers.js"

// On the program's client of Effect, where there is one for MySQL.
export * from "#effect/fromClient/mysql"

/**
 * Certificates and keys in PEM, and what is verified. `rejectUnauthorized` verifies the certificate, `verifyIdentity` that it is for the host of the URL.
 * Both are on by default.
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
   * name files in PEM, which are read again for each connection.
   *
   * For short-lived passwords it may be an Effect or a function that returns the current URL. It is evaluated for each new connection.
   */
  readonly url: Present<Redacted.Redacted>
  /**
   * TLS, with certificates and keys in PEM, if the URL does not set it. Everything is verified that is not switched off. It may be an Effect or a function, as
   * `url`. Default: what the URL says.
   */
  readonly tls?: Present<TlsOptions> | undefined
  /** The size of the pool, which serves locks alone. Default 4. */
  readonly poolSize?: number | undefined
  /**
   * Wakes waiters when a lock is freed: whoever waits sleeps in a session of its own, which is opened when somebody first has to wait, and whoever frees the lock ends that sleep by KILL QUERY. No right is
   * needed if all processes use one user. `false`: neither, waiters poll. Default `true`.
   *
   * @since 0.5.0
   */
  readonly notify?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface PoolOptions extends SharedOptions {
  /** The program's pool, of `mysql2` or `mysql2/promise`, made with `multipleStatements: true`. Stays open when the layer closes. */
  readonly pool: Mysql.Pool | MysqlPromise.Pool
}

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, { url: true, tls: true, poolSize: true, notify: true })
    const driver = yield* own
    const source = yield* valid(driver.source(options.url, options.tls))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const notify = yield* notifyOf(options.notify, source)
    const executor = yield* driver.make({ source, poolSize, operationTimeout: common.operationTimeout })
    const second = yield* driver.make({ source, poolSize: auditPool, operationTimeout: common.operationTimeout })
    return yield* open(executor, common, notify, second)
  })

/**
 * Both ports, over the program's pool of `mysql2`. See `layerFromPool`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromPool = (options: PoolOptions): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, { pool: true, notify: true })
    const executor = yield* valid(givenPool.make(options.pool))
    return yield* open(executor, common, yield* notifyOf(options.notify, undefined))
  })

/**
 * The lock storage at a URL, with a small pool of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses the login, is too old, or has a foreign
 * table of that name. The kind of server is detected. A connection is used once the server has confirmed its database and settings.
 *
 * An operation that is interrupted runs on until its answer or its timeout, and a timeout closes its connection. Nothing is killed at the server. At most
 * `poolSize` abandoned sessions remain there.
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
export const layer = (
  options: Options
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> => portsOf(make(options))

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
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage on the program's own pool of `mysql2`, made with `multipleStatements: true`. The pool stays open when the layer closes. A connection is
 * closed if its operation ran out of time, or if its server cannot write (a demoted primary). Each packet lowers the time that its session waits for locks,
 * and restores it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromPool = (
  options: PoolOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromPool(options))

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
 * The compare-and-set store on the program's pool, over the same table as `layerFromPool`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromPool = (
  options: PoolOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromPool(options))

/**
 * The statement that creates the table, for your own migrations. Then set `setup: false`. It may be run again. Throws `InvalidOptions` for a name that MySQL
 * does not allow.
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
export const ddl = (options: TableOptions = {}): string => internal.ddl(setup.ddl, options)

/**
 * The statements that make the table of `LockAudit`, whose name is `table`: `storage_lock_audit` if nothing is said. Then set its `setup: false`.
 *
 * @since 0.5.0
 * @category setup
 */
export const ddlAudit = (options: TableOptions = {}): string =>
  internal.ddlAudit((table) => `${audit.createTable(table)};`, options)
