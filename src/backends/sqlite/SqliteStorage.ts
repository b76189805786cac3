/**
 * Locks in a SQLite file, for the processes of one machine. Needs `better-sqlite3`.
 *
 * **What it promises.** Claims, renewals and releases are single statements, serialized by SQLite's one write lock per file. Leases end by the clock of the machine,
 * in milliseconds. With `synchronous: "full"` (the default) an acknowledged change survives a loss of power, if the disk keeps what it acknowledged.
 *
 * **What it does not promise.** SQLite's file locks do not work on network file systems: keep the file on a local disk. A process that is stopped in the
 * middle of a write keeps the others out until it continues or is killed. Meanwhile they fail with reason `Timeout`. Do not open the file with a second
 * SQLite library in one process: closing one drops the file locks of the other. The driver is synchronous: each change blocks the event loop while the disk
 * syncs, usually for a few milliseconds at most. Waiting for another writer does not block it.
 *
 * **Use a separate file.** The storage has its own connection and never joins the program's transaction. But a file has one writer at a time: a long write
 * transaction of the program on the same file makes renewals wait, and after `operationTimeout` they fail.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import { peer } from "../shared/driverPackage.js"
import * as audit from "./audit.js"
import type { Options } from "./options.js"
import * as resolved from "./options.js"
import * as statements from "./statements.js"
import * as native from "./storage.js"
import * as versioned from "./versioned.js"
import * as wakeUps from "./wakeUps.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

export type { Options } from "./options.js"
export type { Ports } from "../shared/layers.js"

/**
 * The statement that `setup` runs, for your own migrations. It may run in a transaction. The layer itself switches the file to WAL mode.
 *
 * @throws `InvalidOptions` for a table name that `layer` would refuse
 *
 * @example
 * ```ts
 * import * as SqliteStorage from "effect-storage-lock/SqliteStorage"
 *
 * console.log(SqliteStorage.ddl({ table: "storage_lock" }))
 * ```
 *
 * @since 0.1.0
 * @category setup
 */
export const ddl = (options: { readonly table?: string | undefined } = {}): string =>
  `-- effect-storage-lock, SQLite, format 1\n${statements.createTable(resolved.tableOrThrow(options))};\n`

/**
 * Both ports, over a connection of their own that closes with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const checked = resolved.resolve(options)
    if (checked instanceof InvalidOptions) return yield* checked
    const connection = yield* peer("SqliteStorage", ["better-sqlite3"], () => import("./connection.js"))
    const handle = yield* connection.open(checked, native.guarantees.name)
    const changes = wakeUps.make(handle, checked.filename, native.guarantees.name)
    return {
      storage: native.make(handle, checked.table, changes, audit.make(handle, checked.table)),
      versioned: versioned.make(handle, checked.table, Stream.as(changes, "all"))
    }
  })

/**
 * A lock storage in a SQLite file, with one connection of its own for the life of the layer.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError`: `Connection` (the file cannot be opened), `Permission` (it cannot be written),
 * `Timeout` (another connection keeps it for too long), `Schema` (it is no database, or the table is missing or foreign).
 *
 * @example
 * ```ts
 * import { Storage } from "effect-storage-lock"
 * import * as SqliteStorage from "effect-storage-lock/SqliteStorage"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const storage = yield* Storage.Storage
 *   return yield* storage.get("must-serial-operation-resource-foo")
 * })
 *
 * program.pipe(Effect.provide(SqliteStorage.layer({ filename: "locks.db" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> => portsOf(make(options))

/**
 * As `layer`, with options from the program's configuration.
 *
 * @example
 * ```ts
 * import * as SqliteStorage from "effect-storage-lock/SqliteStorage"
 * import { Config } from "effect"
 *
 * const storage = SqliteStorage.layerConfig({ filename: Config.string("LOCK_FILE") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/**
 * The smaller port over the same table, for locks of other kinds: one row per lock id, so that no two kinds overlap on one id.
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
export const ddlAudit = (options: { readonly table?: string | undefined } = {}): string =>
  `-- The table of the audit. Times are milliseconds since the epoch.\n${audit
    .createTable(resolved.tableOrThrow(options, "storage_lock_audit"))
    .join(";\n")};\n`
