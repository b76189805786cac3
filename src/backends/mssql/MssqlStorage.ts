/**
 * Locks in SQL Server and Azure SQL: one table, one batch and one round trip per operation, timed by the server's clock.
 *
 * What it promises: an acknowledged claim is as durable as a commit of that database. No two owners hold one lock within the lease, unless delayed durability
 * or a failover to an asynchronous secondary loses commits. After a failover the new primary's clock may differ. Use synchronous commit, a generous
 * `clockMargin`, and the fencing token at the resource.
 *
 * Two processes share locks if they see the same table of the same database. Without `schema`, the table is found in the user's default schema, else in
 * `dbo`: name the schema if users with different default schemas share locks. The table that was found at startup is used from then on. A later connection
 * that is in another database is refused.
 *
 * SQL Server 2016 or later, at any compatibility level, and any isolation level, collation and setting of the connection. There are no wake-ups: waiters poll.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type * as Tedious from "tedious"
import { valid } from "../../common/input.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import { auditPool } from "../shared/audit.js"
import * as shared from "../shared/options.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import { type CommonOptions, open, type TableOptions } from "./ports.js"
import * as audit from "./audit.js"
import * as internal from "./options.js"
import * as setup from "./setup.js"

export type { CommonOptions, TableOptions } from "./ports.js"
export type { Ports } from "../shared/layers.js"

// On the program's client of Effect, where there is one for SQL Server.
export * from "#effect/fromClient/mssql"

/**
 * Give either `url` or `connection`. For short-lived passwords and tokens, or a primary that moves, each value may be an Effect, or a function that returns
 * it or a promise of it. It is evaluated for each new connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `mssql://user:password@host:1433/database`, with the parameters `encrypt` (`true`, the default, `false` or `strict`), `trustServerCertificate`, `hostNameInCertificate`, `instanceName`
   * (instead of a port), `multiSubnetFailover`, `loginTimeout` (seconds) and `applicationName`. Any other is refused by name.
   */
  readonly url?: Present<Redacted.Redacted> | undefined
  /** The password of the user in `url`, if the URL has none. */
  readonly password?: Present<Redacted.Redacted> | undefined
  /** A token of Microsoft Entra for Azure SQL, beside a `url` without user and password. */
  readonly accessToken?: Present<Redacted.Redacted> | undefined
  /**
   * The connection options of the driver `tedious`, for what a URL cannot express: Microsoft Entra ID, NTLM, certificates. A setting that the storage cannot
   * honour is refused by name: its time limit is `operationTimeout`, it never retries by itself, and it reads rows by column names.
   */
  readonly connection?: Present<Tedious.ConnectionConfiguration> | undefined
  /**
   * The size of the pool, which serves locks alone. Default 4. The server may have as many abandoned sessions besides, whose batch could not be stopped, for up
   * to 45 seconds.
   */
  readonly poolSize?: number | undefined
}

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, {
      url: true,
      password: true,
      accessToken: true,
      connection: true,
      poolSize: true
    })
    const { operationTimeout } = common
    const own = yield* peer("MssqlStorage", ["tedious"], () => import("./withDriver.js"))
    const source = yield* valid(own.source(options, operationTimeout))
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    // Each connection is held to the database that it was asked for.
    const executor = yield* own.make({ source, poolSize, operationTimeout })
    const second = yield* own.make({ source, poolSize: auditPool, operationTimeout })
    return yield* open(executor, common, undefined, second)
  })

/**
 * The DDL that creates the table, for your own migrations. It may be run again.
 *
 * @since 0.1.0
 * @category setup
 */
export const ddl = (options: TableOptions = {}): string => internal.ddl(setup.ddl, options)

/**
 * The lock storage at a URL, with a small pool of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses the login, or has a foreign table of that
 * name. An operation that is interrupted runs on until its answer or its timeout. A timeout cancels it and closes its connection.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as MssqlStorage from "effect-storage-lock/MssqlStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const Locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(MssqlStorage.layer({ url: Redacted.make("mssql://app:secret@localhost:1433/app") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(Locks))
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
 * import * as MssqlStorage from "effect-storage-lock/MssqlStorage"
 * import { Config } from "effect"
 *
 * const storage = MssqlStorage.layerConfig({ url: Config.redacted("DATABASE_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Omit<Options, "connection">>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

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
 * The statements that make the table of `LockAudit`, whose name is `table`: `storage_lock_audit` if nothing is said. Then set its `setup: false`.
 *
 * @since 0.5.0
 * @category setup
 */
export const ddlAudit = (options: TableOptions = {}): string => internal.ddlAudit(audit.createTable, options)
