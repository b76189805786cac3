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
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import type * as Pg from "pg"
import * as client from "./client.js"
import * as dialect from "./dialect.js"
import * as names from "./names.js"
import { invalid, scheduleFault, valid } from "../../common/input.js"
import { checkNames } from "../../common/optionNames.js"
import type * as connection from "./connection.js"
import * as hints from "./hints.js"
import * as internal from "./options.js"
import * as setup from "./setup.js"
import type { Statement } from "./statements.js"
import { type Ports, storageOf, versionedOf } from "../shared/layers.js"
import * as Notices from "../shared/notices.js"
import { peer } from "../shared/peer.js"
import type { Present } from "../shared/present.js"
import type { Executor } from "../sql/executor.js"
import * as ports from "../sql/storage.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import * as VersionedStore from "../../VersionedStore.js"

export type { Ports } from "../shared/layers.js"

/**
 * The table of locks.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableOptions {
  /** Default `storage_lock`. It is quoted: any characters but NUL, up to 63 bytes. */
  readonly table?: string | undefined
  /** Must exist. Default: the first of the connection's `search_path` that has the table. */
  readonly schema?: string | undefined
}

/**
 * The options that all layers have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions extends TableOptions {
  /** Creates the table if it does not exist. If it exists, no right to create is needed. Default `true`. */
  readonly setup?: boolean | undefined
  /**
   * How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds.
   */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after a conflict with another statement (SQLSTATE 40001, 40P01), which is rare under read committed isolation. When the schedule ends,
   * the operation fails with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

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

/** How long the listening connection may be silent before it is asked, and may take to answer. */
const listenerKeepAlive = Duration.seconds(10)
const listenerPatience = Duration.seconds(5)

/** By key, so that programs without `@effect/sql-pg` need not install it. */
const PgClientTag = Context.Service<PgClient.PgClient>("@effect/sql-pg/PgClient")

/** Everything about options comes before any I/O. */
/** Only what a pool, or a session that listens, needs: on a client of Effect, a program may do without `pg`. */
const own = peer("PostgresStorage", ["pg"], () => import("./own.js"))

const checkCommon = (options: CommonOptions): Effect.Effect<internal.ResolvedCommon, InvalidOptions> =>
  Effect.suspend(() => valid(scheduleFault("versionMissRetry", options.versionMissRetry) ?? internal.common(options)))

const checkUrl = (
  field: string,
  url: Present<unknown>,
  pooler = false
): Effect.Effect<connection.Source, InvalidOptions> =>
  Effect.flatMap(own, ({ source }) => valid(source(field, url, pooler)))

/** Where to wake others, and where to hear of it. */
interface Notify {
  readonly send: boolean
  readonly listen: connection.Source | undefined
}

const checkFlag = (field: string, flag: unknown): Effect.Effect<void, InvalidOptions> =>
  flag === undefined || typeof flag === "boolean" ? Effect.void : invalid(field, flag, "true or false")

const checkNotify = (notify: unknown, own: connection.Source | undefined): Effect.Effect<Notify, InvalidOptions> => {
  if (typeof notify === "boolean") return Effect.succeed({ send: notify, listen: notify ? own : undefined })
  return typeof notify === "object" && notify !== null && "url" in notify
    ? Effect.map(checkUrl("notify.url", notify.url), (listen) => ({ send: true, listen }))
    : invalid("notify", notify, "true, false, or { url }")
}

const open = (
  plain: Executor<Statement>,
  common: internal.ResolvedCommon,
  options: CommonOptions,
  notify: Notify
): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const table = names.qualified(common.table, common.schema)
    const executor = hints.make(plain, yield* Notices.make("PostgresStorage"))
    const found = yield* setup.prepare(executor, { table, setup: common.setup, millis: common.operationTimeout })
    const wakeUps =
      notify.listen === undefined
        ? undefined
        : yield* (yield* own).listen({
            source: notify.listen,
            channel: found.channel,
            keepAlive: listenerKeepAlive,
            patience: listenerPatience
          })
    return ports.make(executor, dialect.make({ ...found, notify: notify.send }), {
      wakeUps,
      operationTimeout: common.operationTimeout,
      versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
    })
  })

const commonNames = { table: true, schema: true, setup: true, operationTimeout: true, versionMissRetry: true } as const

/**
 * Both ports, over a small pool of their own that closes with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    yield* checkNames(options, { ...commonNames, url: true, notify: true, poolSize: true, pooler: true })
    const common = yield* checkCommon(options)
    yield* checkFlag("pooler", options.pooler)
    const pooler = options.pooler ?? false
    const source = yield* checkUrl("url", options.url, pooler)
    const poolSize = options.poolSize ?? 4
    if (!Number.isInteger(poolSize) || poolSize < 1 || poolSize > 1000) {
      return yield* invalid("poolSize", poolSize, "an integer from 1 to 1000")
    }
    if (pooler && options.notify === true) {
      return yield* invalid("notify", "true", "{ url } of the server itself, or false, with `pooler: true`")
    }
    const notify = yield* checkNotify(options.notify ?? !pooler, source)
    const { make, unheard } = yield* own
    const passedOver = unheard()
    if (passedOver.length > 0)
      yield* Effect.logWarning(
        `PostgresStorage: the driver does not know ${passedOver.join(", ")} of the environment: say in the URL what must hold`
      )
    const executor = yield* make({
      source,
      poolSize,
      operationTimeout: common.operationTimeout,
      pooler
    })
    return yield* open(executor, common, options, notify)
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
    yield* checkNames(options, { ...commonNames, notify: true })
    const common = yield* checkCommon(options)
    const notify = yield* checkNotify(options.notify ?? false, undefined)
    return yield* open(client.make(yield* PgClientTag), common, options, notify)
  })

/**
 * Both ports, over the program's `pg.Pool`. See `layerFromPool`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromPool = (options: PoolOptions): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    yield* checkNames(options, { ...commonNames, notify: true, pool: true, pooler: true })
    const common = yield* checkCommon(options)
    yield* checkFlag("pooler", options.pooler)
    if (typeof options.pool?.connect !== "function") return yield* invalid("pool", options.pool, "a Pool of pg")
    const notify = yield* checkNotify(options.notify ?? false, undefined)
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
      pooler: options.pooler === true,
      operationTimeout: common.operationTimeout,
      own: false,
      isClosed: () => pool.ending
    })
    return yield* open(executor, common, options, notify)
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
export const layer = (options: Options): Layer.Layer<Storage.Storage, StorageError | InvalidOptions> =>
  storageOf(make(options))

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
): Layer.Layer<Storage.Storage, StorageError | InvalidOptions | Config.ConfigError> =>
  storageOf(Effect.flatMap(Config.unwrap(options), make))

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
): Layer.Layer<Storage.Storage, StorageError | InvalidOptions, PgClient.PgClient> => storageOf(makeFromClient(options))

/**
 * The lock storage on the program's own `Pool` of `pg`. The pool stays open when the layer closes. A connection whose operation ran out of time is closed.
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
export const ddl = (options: TableOptions = {}): string => {
  const common = internal.common({ table: options.table, schema: options.schema })
  if (common instanceof InvalidOptions) throw common
  return setup.ddl(names.qualified(common.table, common.schema))
}
