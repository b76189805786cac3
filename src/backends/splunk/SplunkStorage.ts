/**
 * Locks in the KV store of Splunk Enterprise: one document for each version of a lock, and whoever inserts the next one has written it. Plain HTTP.
 *
 * **Not verified.** No Splunk was to be had: this was run against a server of our own that answers as Splunk's public documentation says. Before you rely on it, run its suite on a server of yours
 * (`EFFECT_STORAGE_LOCK_SPLUNK_URL`, see `docs/testing.md`).
 *
 * **What it promises**, if Splunk does what is documented. Of several who insert a document of one key, one can; so no two owners hold one lock within the lease, whatever the servers' clocks do. Leases are *observed*: a
 * record holds the length of its lease, and a waiter takes over only after it has seen one version, and no other, for that whole length on its own monotonic clock. The price: a process that first looks at a lock whose
 * holder is dead waits for one whole lease.
 *
 * **What it does not promise.** What a failover of the KV store's captain loses is not documented, and a restored backup has forgotten the last claims. See `docs/storages/splunk.md`.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Config from "#effect/Config"
import * as Context from "#effect/Context"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as HttpClient from "#effect/http/HttpClient"
import * as keys from "#effect/http/keys"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { valid } from "../../common/input.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import type { Tls } from "../shared/pem.js"
import * as shared from "../shared/options.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import * as definitions from "./ddl.js"
import * as internal from "./options.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

export type { Ports } from "../shared/layers.js"

/**
 * Where the documents are. All processes that share locks must name the same.
 *
 * @since 0.5.0
 * @category models
 */
export interface PlaceOptions {
  /** The app that has the collection. Default `search`. An app of your own is better: its files may bring the collection, and say who may use it. */
  readonly app?: string | undefined
  /** Whose documents they are. Default `nobody`, which stands for all users: documents of one owner are not those of another. */
  readonly owner?: string | undefined
  /** The collection, for locks alone. Default `storage_lock`. */
  readonly collection?: string | undefined
}

/**
 * The options that all layers have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface CommonOptions extends PlaceOptions {
  /** Makes the collection if there is none. Default `true`. With `false` it must be there: see `ddl`. */
  readonly setup?: boolean | undefined
  /** How long one storage operation may take; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after another client changed the record at the same time. When the schedule ends, the operation fails with reason `Conflict`. Default:
   * `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * Certificates in PEM. Without `ca`, the authorities that Node.js trusts: a Splunk that has its first certificate still needs one.
 *
 * @since 0.5.0
 * @category models
 */
export interface TlsOptions extends Tls {}

/**
 * Who logs in.
 *
 * @since 0.5.0
 * @category models
 */
export interface User {
  readonly name: string
  readonly password: Redacted.Redacted
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * The management port of one server: `https://host` or `https://user:password@host:8089`. Without a port it is 8089. Of a search head cluster, one member, and the same for all processes. A user in it logs in, as
   * with `user`. There are no parameters.
   *
   * It may be an Effect, or a function that returns the value or a promise of it. It is evaluated at startup, and again when the server cannot be reached or does not accept who asks. The same holds for `token`, `user`
   * and `tls`.
   */
  readonly url: Present<Redacted.Redacted>
  /** An authentication token (`Authorization: Bearer`). For tokens that change: `() => token`. */
  readonly token?: Present<Redacted.Redacted> | undefined
  /** Logs in, and again when its session has ended. In place of `token`. */
  readonly user?: Present<User> | undefined
  /** Only with `https://`. If certificates are renewed, pass a function that reads them. */
  readonly tls?: Present<TlsOptions> | undefined
  /** The most connections. Default 4. */
  readonly poolSize?: number | undefined
}

/**
 * For the program's own `HttpClient`.
 *
 * @since 0.5.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /** As in `Options`. Leave it out if the client puts the host in front of what it is asked for. */
  readonly url?: Present<Redacted.Redacted> | undefined
  /** As in `Options`. Leave it out if the client says who asks. */
  readonly token?: Present<Redacted.Redacted> | undefined
  /** As in `Options`. */
  readonly user?: Present<User> | undefined
}

const driver = peer("SplunkStorage", [], () => import("./withDriver.js"))

/** By key, so that programs without `@effect/platform` need not install it. */
const ClientTag = Context.Service<HttpClient.HttpClient>(keys.client)

/**
 * Both ports, over connections of their own that close with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(
      internal.common(options, { url: true, token: true, user: true, tls: true, poolSize: true })
    )
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { open, own } = yield* driver
    return yield* open(yield* valid(yield* own(options, poolSize, common.operationTimeout)), common)
  })

/**
 * Both ports, over the program's `HttpClient`. See `layerFromClient`.
 *
 * @since 0.5.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope | HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, token: true, user: true }))
    const { ofProgram, open } = yield* driver
    const source = yield* ofProgram(options, yield* ClientTag, common.operationTimeout)
    return yield* open(yield* valid(source), common)
  })

/**
 * The lock storage in a collection, with connections of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when the server cannot be reached, when it does not accept who asks, or when there is no collection and none may be made. An operation that is
 * interrupted goes on to its answer or its time-out.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as SplunkStorage from "effect-storage-lock/SplunkStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(SplunkStorage.layer({ url: Redacted.make("https://splunk:8089"), token: Redacted.make("eyJ…"), app: "locks" }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as SplunkStorage from "effect-storage-lock/SplunkStorage"
 * import { Redacted } from "effect"
 * import { readFileSync } from "node:fs"
 *
 * // A user who logs in, and again when the session has ended, with the password as it is then.
 * const storage = SplunkStorage.layer({
 *   url: Redacted.make("https://splunk:8089"),
 *   user: () => ({ name: "locks", password: Redacted.make(readFileSync("/run/secrets/splunk", "utf8").trim()) }),
 *   tls: { ca: readFileSync("/etc/splunk/ca.pem") }
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
 * import * as SplunkStorage from "effect-storage-lock/SplunkStorage"
 * import { Config } from "effect"
 *
 * const storage = SplunkStorage.layerConfig({ url: Config.redacted("SPLUNK_URL"), token: Config.redacted("SPLUNK_TOKEN") })
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
 * The lock storage over the program's own `HttpClient`: for proxies and traces.
 *
 * It may take any time for an answer; operations end by `operationTimeout`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions, HttpClient.HttpClient> =>
  portsOf(makeFromClient(options))

/**
 * The compare-and-set store in a collection, over the same documents as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store over the program's `HttpClient`, over the same documents as `layerFromClient`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, HttpClient.HttpClient> =>
  versionedOf(makeFromClient(options))

const placed = (options: PlaceOptions): internal.ResolvedPlace => {
  const found = internal.printed(options)
  if (found instanceof InvalidOptions) throw found
  return found
}

/**
 * The collection as the app's `collections.conf` has it, for `setup: false`. Throws `InvalidOptions` for names that are none.
 *
 * @example
 * ```ts
 * import * as SplunkStorage from "effect-storage-lock/SplunkStorage"
 *
 * console.log(SplunkStorage.ddl({ collection: "locks" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const ddl = (options: PlaceOptions = {}): string => definitions.ddl(placed(options))

/**
 * Who may use the collection, as the app's `metadata/default.meta` or `local.meta` has it. Throws `InvalidOptions` for names that are none.
 *
 * @example
 * ```ts
 * import * as SplunkStorage from "effect-storage-lock/SplunkStorage"
 *
 * console.log(SplunkStorage.metadata({ collection: "locks" }, "lock_user"))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const metadata = (options: PlaceOptions, role: string): string => {
  if (typeof role !== "string" || !/^[\w.-]{1,100}$/.test(role))
    throw new InvalidOptions({ field: "role", kind: typeof role, rule: "the name of a role" })
  return definitions.metadata(placed(options), role)
}
