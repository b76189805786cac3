/**
 * Locks in SQL Server and Azure SQL: one table, one batch and one round trip for each operation, judged by the server's clock.
 *
 * What it promises: a claim that was answered is as durable as a commit of that database. Without delayed durability, and with no failover to a secondary that
 * commits asynchronously, no two owners hold one lock within the lease. A failover that forgets commits may forget the last claims, and the new primary's clock may differ by
 * its skew: use synchronous commit, a generous `clockMargin`, and the fencing token at the resource.
 *
 * Two processes share locks if they see the same table of the same database. Without `schema`, the table is found in the user's default schema, else in `dbo`: name the schema where
 * users of different default schemas share one. What was found at the start is what is used from then on: a connection that is in another database later is refused.
 *
 * SQL Server 2016 or later, at any compatibility level, and any isolation level, collation and setting of the connection. There are no wake-ups: waiters poll.
 *
 * @since 0.1.0
 */
import type * as MssqlClient from "@effect/sql-mssql/MssqlClient"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type * as Tedious from "tedious"
import { inRealTime } from "../../common/clocks.js"
import { invalid } from "../../common/input.js"
import * as client from "./client.js"
import * as dialect from "./dialect.js"
import * as names from "./names.js"
import * as internal from "./options.js"
import * as ownPool from "./pool.js"
import * as setup from "./setup.js"
import * as source from "./source.js"
import { lockTimeoutOf, type Statement } from "./statements.js"
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
  /** Default `storage_lock`. Quoted: any characters but NUL, up to 128 UTF-16 units. */
  readonly table?: string | undefined
  /** Must exist. Default: the user's default schema, else `dbo`. */
  readonly schema?: string | undefined
}

/**
 * What both ways to the server have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions extends TableOptions {
  /** Create the table if it is not there. Where it is, no right to create is needed. Default `true`. */
  readonly setup?: boolean | undefined
  /**
   * How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds.
   */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * What to do when a batch loses against another at the same time (errors 1205, 2627, 3960), which hardly happens here. When it ends, the operation fails with reason
   * `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * On the program's own `MssqlClient`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {}

/**
 * With either `url` or `connection`. An Effect, or a function that gives the value or a promise of it, is asked at each new connection: for passwords and tokens that live shortly, or a primary that moves.
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
  /** The password of the user in `url`, where it does not stand there. */
  readonly password?: Present<Redacted.Redacted> | undefined
  /** A token of Microsoft Entra for Azure SQL, beside a `url` without user and password. */
  readonly accessToken?: Present<Redacted.Redacted> | undefined
  /**
   * What the driver `tedious` takes for a connection, where a URL cannot say it: Microsoft Entra ID, NTLM, certificates. A setting of it that the storage cannot obey is refused by name: its time limit is
   * `operationTimeout`, it tries again by itself nowhere, and it reads rows by the names of columns.
   */
  readonly connection?: Present<Tedious.ConnectionConfiguration> | undefined
  /** The most connections of the pool, which serves locks alone. Default 4. At the server there may be as many again for up to 45 seconds, whose batch was given up and could not be stopped. */
  readonly poolSize?: number | undefined
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

/** By key, so that programs without `@effect/sql-mssql` need not install it. */
const MssqlClientTag = Context.Service<MssqlClient.MssqlClient>("@effect/sql-mssql/MssqlClient")

/** Everything about options comes before any I/O. */
const checkCommon = (options: CommonOptions): Effect.Effect<internal.ResolvedCommon, InvalidOptions> =>
  Effect.suspend(() => {
    if (options.versionMissRetry !== undefined && !Schedule.isSchedule(options.versionMissRetry)) {
      return invalid("versionMissRetry", options.versionMissRetry, "a Schedule")
    }
    const common = internal.common(options)
    return common instanceof InvalidOptions ? common : Effect.succeed(common)
  })

const checkSource = (options: Options, patience: number): Effect.Effect<source.Source, InvalidOptions> =>
  Effect.suspend(() => {
    const made = source.make(options, patience)
    return made instanceof InvalidOptions ? made : Effect.succeed(made)
  })

const open = (
  executor: Executor<Statement>,
  common: internal.ResolvedCommon,
  options: CommonOptions,
  database: string | undefined
): Effect.Effect<Ports, StorageError> =>
  Effect.suspend(() => {
    const lockTimeout = lockTimeoutOf(common.operationTimeout)
    const { schema, table } = common
    return Effect.map(
      setup.prepare(executor, { table, schema, database, setup: common.setup, millis: common.operationTimeout, lockTimeout }),
      (place) =>
        ports.make(executor, dialect.make(place.table, lockTimeout, place.database), {
          wakeUps: undefined,
          operationTimeout: common.operationTimeout,
          versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
        })
    )
  })

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function*() {
    const common = yield* checkCommon(options)
    const { operationTimeout } = common
    const source = yield* checkSource(options, operationTimeout)
    const poolSize = options.poolSize ?? 4
    if (!Number.isInteger(poolSize) || poolSize < 1 || poolSize > 1000) {
      return yield* invalid("poolSize", poolSize, "an integer from 1 to 1000")
    }
    // Each connection is held to the database that it was asked for.
    return yield* open(yield* ownPool.make({ source, poolSize, operationTimeout }), common, options, undefined)
  })

/**
 * Both ports, over the program's `MssqlClient`. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, MssqlClient.MssqlClient> =>
  Effect.flatMap(checkCommon(options), (common) =>
    Effect.flatMap(MssqlClientTag, (sql) => open(client.make(sql), common, options, sql.config.database)))

/**
 * The text that makes the table, for migrations and for those who want to read it. May be run again.
 *
 * @since 0.1.0
 * @category setup
 */
export const ddl = (options: TableOptions = {}): string => {
  const fault = setup.invalidNames(options.table ?? internal.defaultTable, options.schema)
  if (fault !== undefined) throw fault
  return setup.ddl(names.qualified(options.table ?? internal.defaultTable, options.schema))
}

const storageOf = <E, R>(made: Effect.Effect<Ports, E, R>): Layer.Layer<Storage.Storage, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(Storage.Storage, inRealTime(Effect.map(made, (both) => both.storage)))

const versionedOf = <E, R>(
  made: Effect.Effect<Ports, E, R>
): Layer.Layer<VersionedStore.VersionedStore, E, Exclude<R, Scope.Scope>> =>
  Layer.effect(VersionedStore.VersionedStore, inRealTime(Effect.map(made, (both) => both.versioned)))

/**
 * The lock storage at a URL, with a small pool of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses us, or has a table that is not ours. An interrupted operation goes on by
 * itself to its answer or its time-out, which cancels it and closes its connection.
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
export const layer = (options: Options): Layer.Layer<Storage.Storage, StorageError | InvalidOptions> =>
  storageOf(make(options))

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
): Layer.Layer<Storage.Storage, StorageError | InvalidOptions | Config.ConfigError> =>
  storageOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage on the program's own `MssqlClient` of `@effect/sql-mssql`, whatever its names and parameter types are.
 *
 * Operations never join a transaction of the program: each takes a connection beside it, and fails with reason `Timeout` if none is free in time. So
 * the client's pool must be larger than the number of transactions that acquire locks inside. A batch that is out of time keeps its connection until the server has answered, or for
 * the 15 seconds after which the driver cancels it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<Storage.Storage, StorageError | InvalidOptions, MssqlClient.MssqlClient> =>
  storageOf(makeFromClient(options))

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
 * The compare-and-set store on the program's `MssqlClient`, over the same table as `layerFromClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, MssqlClient.MssqlClient> =>
  versionedOf(makeFromClient(options))
