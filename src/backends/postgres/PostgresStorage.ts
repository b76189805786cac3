/**
 * Locks in PostgreSQL: one table, one statement and one round trip per operation, timed by the server's clock.
 *
 * What it promises: an acknowledged claim is as durable as a commit of that server. With `synchronous_commit = on` and no failover, no two owners hold one
 * lock within the lease. A failover to an asynchronous replica may forget the last claims, and the promoted server's clock may differ. Use synchronous
 * replication, a generous `clockMargin`, and the fencing token at the resource.
 *
 * Two processes share locks if they see the same table of the same database. Without `schema`, the table is found by the
 * connection's `search_path`: name the schema if users with different paths share locks.
 *
 * @since 0.1.0
 */
import "#effect/major"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type * as Pg from "pg"
import { flagFault, invalid, valid } from "../../common/input.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import { auditPool } from "../shared/audit.js"
import type { Present } from "../shared/currentValue.js"
import * as client from "./client.js"
import { type CommonOptions, notifyOf, open, own, resolved, type TableOptions } from "./ports.js"
import * as audit from "./audit.js"
import * as internal from "./options.js"
import * as setup from "./setup.js"

export type { CommonOptions, TableOptions } from "./ports.js"
export type { Ports } from "../shared/layers.js"

/**
 * Where this process listens for wake-ups. LISTEN needs the server itself, or a pooler that keeps sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface NotifyUrl {
  /** It may be an Effect or a function that returns the current URL. It is evaluated for each new connection. */
  readonly url: Present<Redacted.Redacted>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `postgres://user:password@host:port/database`, with parameters that the `pg` driver knows (`sslmode`, `options`, …). Any other is refused by name. For
   * short-lived passwords, or a primary that moves, it may be an Effect, or a function that returns the URL or a promise of it. It is evaluated for each new
   * connection.
   */
  readonly url: Present<Redacted.Redacted>
  /**
   * Wakes waiters when a lock is freed, by a NOTIFY in the release and one connection that listens. `false`: neither, waiters poll. NOTIFY takes a
   * server-wide lock for the length of a commit: switch it off if you need thousands of releases per second. Default `true`, behind a `pooler` `false`.
   */
  readonly notify?: boolean | NotifyUrl | undefined
  /** The size of the pool, which serves locks alone. Default 4. */
  readonly poolSize?: number | undefined
  /**
   * The URL leads to a pooler that hands every transaction to another session (PgBouncer in transaction mode, and its like): statements are not prepared, and the
   * connection sets nothing (no `statement_timeout`). Default `false`.
   */
  readonly pooler?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /**
   * `{ url }`: listens on a separate connection, and wakes others. `true`: only wakes others. Default `false`: neither.
   */
  readonly notify?: boolean | NotifyUrl | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface PoolOptions extends ClientOptions {
  /** The program's pool. Stays open when the layer closes. */
  readonly pool: Pg.Pool
  /** As in `Options`. */
  readonly pooler?: boolean | undefined
}

/** By key, so that programs without `@effect/sql-pg` need not install it. */
const PgClientTag = Context.Service<PgClient.PgClient>("@effect/sql-pg/PgClient")

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const { common, pooler, poolSize, source } = yield* resolved(options)
    if (pooler && options.notify === true) {
      return yield* invalid("notify", "true", "{ url } of the server itself, or false, with `pooler: true`")
    }
    const notify = yield* notifyOf(options.notify ?? !pooler, source)
    const { make, unheard } = yield* own
    const passedOver = unheard()
    if (passedOver.length > 0)
      yield* Effect.logWarning(
        `PostgresStorage: the driver does not know ${passedOver.join(", ")} of the environment: say in the URL what must hold`
      )
    const { operationTimeout } = common
    const executor = yield* make({ source, poolSize, operationTimeout, pooler })
    const second = yield* make({ source, poolSize: auditPool, operationTimeout, pooler })
    return yield* open(executor, common, notify, second)
  })

/**
 * Both ports, over the program's `PgClient`. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope | PgClient.PgClient> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, { notify: true })
    const notify = yield* notifyOf(options.notify ?? false, undefined)
    return yield* open(client.make(yield* PgClientTag), common, notify)
  })

/**
 * Both ports, over the program's `pg.Pool`. See `layerFromPool`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromPool = (options: PoolOptions): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* internal.common(options, { notify: true, pool: true, pooler: true })
    const pooler = yield* valid(flagFault("pooler", options.pooler) ?? options.pooler ?? false)
    if (typeof options.pool?.connect !== "function") return yield* invalid("pool", options.pool, "a Pool of pg")
    const notify = yield* notifyOf(options.notify ?? false, undefined)
    // An idle connection that breaks is an "error" of the pool, and one that nobody hears ends the process.
    const { pool } = options
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const ignore = () => {}
        pool.on("error", ignore)
        return ignore
      }),
      (ignore) => Effect.sync(() => pool.off("error", ignore))
    )
    const executor = (yield* own).overPool(pool, {
      pooler,
      operationTimeout: common.operationTimeout,
      own: false,
      isClosed: () => pool.ending
    })
    return yield* open(executor, common, notify)
  })

/**
 * The lock storage at a URL, with a small pool of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, refuses the login, or has a foreign table of that
 * name. An operation that is interrupted runs on until its answer or its timeout, and a timeout closes its connection.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(PostgresStorage.layer({ url: Redacted.make("postgres://app:secret@localhost:5432/app") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
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
 * import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
 * import { Config } from "effect"
 *
 * const storage = PostgresStorage.layerConfig({ url: Config.redacted("DATABASE_URL") })
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
 * The lock storage on the program's own `PgClient` of `@effect/sql-pg`, whatever its name transforms.
 *
 * Operations never join a transaction of the program: each takes a connection beside it, and fails with reason `Timeout` if none is free in time. So
 * the client's pool must be larger than the number of transactions that acquire locks inside. A statement that is out of time keeps its connection until the server has
 * answered: set `statement_timeout` in the client's own configuration.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions, PgClient.PgClient> =>
  portsOf(makeFromClient(options))

/**
 * The lock storage on the program's own `Pool` of `pg`. The pool stays open when the layer closes. A connection whose operation ran out of time is closed.
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
 * The compare-and-set store on the program's `PgClient`, over the same table as `layerFromClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, PgClient.PgClient> =>
  versionedOf(makeFromClient(options))

/**
 * The compare-and-set store on the program's `Pool`, over the same table as `layerFromPool`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromPool = (
  options: PoolOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromPool(options))

/**
 * The numbered statements that create the table, for your own migrations. Then set `setup: false`. They may be run again. Throws `InvalidOptions` for a name
 * that PostgreSQL does not allow.
 *
 * @example
 * ```ts
 * import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
 *
 * console.log(PostgresStorage.ddl({ table: "locks", schema: "app" }))
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
export const ddlAudit = (options: TableOptions = {}): string => internal.ddlAudit(audit.createTable, options)
