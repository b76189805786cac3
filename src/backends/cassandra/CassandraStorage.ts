/**
 * Locks in Apache Cassandra and ScyllaDB: one table, one row per lock, one lightweight transaction per claim. Needs `cassandra-driver`.
 *
 * **What it promises.** An acknowledged claim is with a majority of the replicas. No two owners hold one lock within the lease, whatever any clock says.
 * Leases are *observed*: a row holds the length of its lease, and a waiter takes over only after it has seen one version of the row, unchanged, for that whole
 * length on its own monotonic clock. Nothing can end a lease early. The price: a process that first looks at a lock whose holder is dead waits for one whole
 * lease.
 *
 * **What it does not promise.** What a majority forgets is forgotten: Cassandra writes its log to the disk every ten seconds, unless it is told otherwise. With
 * `LOCAL_SERIAL`, locks are those of one data centre. There are no wake-ups, so waiters poll. See `docs/storages/cassandra.md`.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type { Client } from "cassandra-driver"
import * as Config from "#effect/Config"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { invalid, valid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import type { Present } from "../shared/currentValue.js"
import { peer } from "../shared/driverPackage.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import type { Tls } from "../shared/pem.js"
import * as internal from "./options.js"
import * as reach from "./reach.js"
import * as statements from "./statements.js"

export type { Ports } from "../shared/layers.js"

/**
 * The options that all layers have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface CommonOptions {
  /** The name of the table in the keyspace, as the schema has it: it is quoted. For locks alone. Default `storage_lock`. */
  readonly table?: string | undefined
  /** Whether to make the table if it is missing. `false`: it must be there, see `ddl`. The keyspace is never made. Default `true`. */
  readonly setup?: boolean | undefined
  /**
   * Who has to agree: with `"SERIAL"` a majority of all replicas, in all data centres; with `"LOCAL_SERIAL"` a majority of those in `localDataCenter`, which is
   * faster, and makes locks that processes elsewhere know nothing of. All processes must have the same. Default `"SERIAL"`.
   */
  readonly serialConsistency?: "SERIAL" | "LOCAL_SERIAL" | undefined
  /** How long one storage operation may take; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after another client changed the row at the same time. When the schedule ends, the operation fails with reason `Conflict`. Default:
   * `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * A role of the cluster.
 *
 * @since 0.5.0
 * @category models
 */
export interface UserOptions {
  readonly name: string
  readonly password: Redacted.Redacted
}

/**
 * Certificates in PEM. Without `ca`, the authorities that Node.js trusts.
 *
 * @since 0.5.0
 * @category models
 */
export interface TlsOptions extends Tls {
  /**
   * The name that stands in the certificates of all nodes. Nodes are known by their addresses, so without this a certificate must have the address of its
   * node.
   */
  readonly servername?: string | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `cassandra://user:password@host1:9042,host2:9042/keyspace`, or `cassandras://…` for TLS. User and password may be left out; without a port it is 9042. The
   * hosts are those that are asked first; the others are found through them. There are no parameters.
   *
   * It may be an Effect, or a function that returns the value or a promise of it. It is evaluated at startup, for the password of each new connection, and
   * again when a node is lost or none can be reached. The same holds for `user` and `tls`.
   */
  readonly url: Present<Redacted.Redacted>
  /** In place of user and password in the URL: for passwords that change, `() => ({ name, password })`. */
  readonly user?: Present<UserOptions> | undefined
  /** Only with `cassandras://`. If certificates are renewed, pass a function that reads them. */
  readonly tls?: Present<TlsOptions> | undefined
  /** The data centre whose nodes are asked. May be left out if the cluster has one, and not with `"LOCAL_SERIAL"`. */
  readonly localDataCenter?: string | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /** The program's client, with its own nodes, credentials and pools. Stays open when the layer closes. */
  readonly client: Client
  /** The keyspace of the table. Default: that of the client. */
  readonly keyspace?: string | undefined
}

const cassandra = peer("CassandraStorage", ["cassandra-driver"], () => import("./withDriver.js"))

/**
 * Both ports, over a client of their own that closes with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, user: true, tls: true, localDataCenter: true }))
    const { localDataCenter } = options
    const fault = internal.dataCenterFault(localDataCenter, common.local)
    if (fault !== undefined) return yield* fault
    const source = yield* valid(reach.make({ url: options.url, user: options.user, tls: options.tls }))
    const { open, own } = yield* cassandra
    const { operationTimeout } = common
    const { keyspace, ...connection } = yield* own(source, { localDataCenter, operationTimeout })
    return yield* open(connection, keyspace, localDataCenter, common)
  })

/** Of the driver, and not in its types. */
interface Configured {
  readonly options?: { readonly localDataCenter?: unknown }
}

/**
 * Both ports, over the program's `Client`. See `layerFromClient`.
 *
 * @since 0.5.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { client: true, keyspace: true }))
    const { client } = options
    if (
      typeof client?.execute !== "function" ||
      typeof client.connect !== "function" ||
      typeof client.getReplicas !== "function"
    )
      return yield* invalid("client", client, "a Client of cassandra-driver")
    const keyspace: unknown = options.keyspace ?? client.keyspace
    const fault =
      keyspace === undefined || keyspace === null
        ? new InvalidOptions({ field: "keyspace", kind: "left out", rule: "given here, or as that of the client" })
        : internal.nameFault("keyspace", keyspace)
    if (fault !== undefined) return yield* fault
    const given = (client as unknown as Configured).options?.localDataCenter
    const localDataCenter = typeof given === "string" ? given : undefined
    if (common.local && localDataCenter === undefined)
      return yield* new InvalidOptions({
        field: "client",
        kind: "without localDataCenter",
        rule: 'one with localDataCenter, which "LOCAL_SERIAL" needs'
      })
    const { ofProgram, open } = yield* cassandra
    return yield* open(yield* ofProgram(client, common.operationTimeout), keyspace as string, localDataCenter, common)
  })

/**
 * The lock storage of a cluster, with a client of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when no node can be reached or the login is refused, when there is no such keyspace, or
 * when the table is unsuitable. An operation that is interrupted goes on to its answer or its time-out.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as CassandraStorage from "effect-storage-lock/CassandraStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(CassandraStorage.layer({ url: Redacted.make("cassandra://node-1,node-2/app") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as CassandraStorage from "effect-storage-lock/CassandraStorage"
 * import { Redacted } from "effect"
 * import { readFileSync } from "node:fs"
 *
 * // A password that changes: it is read again at each new connection.
 * const storage = CassandraStorage.layer({
 *   url: Redacted.make("cassandras://node-1,node-2/app"),
 *   user: () => ({ name: "app", password: Redacted.make(readFileSync("/run/secrets/cassandra", "utf8").trim()) }),
 *   tls: { ca: readFileSync("/etc/cassandra/ca.pem") },
 *   localDataCenter: "europe"
 * })
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
 * import * as CassandraStorage from "effect-storage-lock/CassandraStorage"
 * import { Config } from "effect"
 *
 * const storage = CassandraStorage.layerConfig({
 *   url: Config.redacted("CASSANDRA_URL"),
 *   localDataCenter: Config.string("CASSANDRA_DC")
 * })
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions | Config.ConfigError> =>
  portsOf(Effect.flatMap(Config.unwrap(options), make))

/**
 * The lock storage over the program's own `Client` of `cassandra-driver`: for credentials, address translation or bundles of its own.
 *
 * The client's consistency, retries and idempotence do not apply to the statements of locks, and neither does the order in which it would ask nodes: that of
 * its load balancing policy tells only which nodes are near, and which are not to be asked. Its pools and time-outs are used as they are.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromClient(options))

/**
 * The compare-and-set store in a table, over the same rows as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store over the program's client, over the same rows as `layerFromClient`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromClient(options))

/**
 * @since 0.5.0
 * @category models
 */
export interface DdlOptions {
  /** Default: that of the session in which it is run. */
  readonly keyspace?: string | undefined
  readonly table?: string | undefined
}

/**
 * The table as CQL, for `cqlsh`. Then set `setup: false`. Throws `InvalidOptions` for a name that is none.
 *
 * @example
 * ```ts
 * import * as CassandraStorage from "effect-storage-lock/CassandraStorage"
 *
 * console.log(CassandraStorage.ddl({ keyspace: "app", table: "locks" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const ddl = (options: DdlOptions = {}): string => {
  const fault = unknownName<DdlOptions>(options, { keyspace: true, table: true })
  if (fault !== undefined) throw fault
  return statements.ddl(options.keyspace, options.table)
}
