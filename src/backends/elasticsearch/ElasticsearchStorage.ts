/**
 * Locks in Elasticsearch (7.10 and later) or OpenSearch: one index behind an alias, one document per lock, plain HTTP. This module serves both products: there
 * is none of another name for OpenSearch.
 *
 * **What it promises.** An acknowledged claim is in the log of the primary shard and of every copy that is in sync. Each operation is one request: a script
 * that the server runs on the document, judged by the clock of the node that has the primary shard. `clockMargin` must cover the differences between the clocks
 * of the nodes that may have it.
 *
 * Where the server runs no scripts, locks go by compare-and-set on the order of changes (`_seq_no`), and leases are *observed*: a waiter takes over only after
 * it has seen one version unchanged for its whole lease. All that use an index use the same way; the first of them decides.
 *
 * **What it does not promise.** An index with one copy goes where its disk goes, and one that is restored may have forgotten the last claims.
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
import { unknownName } from "../../common/optionNames.js"
import { type Ports as Both, portsOf, versionedOf } from "../shared/layers.js"
import type { Tls } from "../shared/pem.js"
import * as shared from "../shared/options.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import * as audit from "./audit.js"
import * as statements from "./ddl.js"
import * as internal from "./options.js"
import { InvalidOptions, type StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"

/**
 * The options that all layers have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface CommonOptions {
  /**
   * The alias of the index for locks. Default `storage_lock`; the index is `storage_lock-1`. For locks alone. Every write names it as an alias, so an index that
   * is missing is never made by accident.
   */
  readonly index?: string | undefined
  /**
   * `"script"`: each operation is one request, timed by the server. `"versioned"`: compare-and-set without scripts, in several requests, with observed leases.
   * Default `"auto"`: `"script"` if the server runs scripts, which is tried at startup on the document with the `_id` `clock`. An index has one mode for all.
   */
  readonly mode?: "auto" | "script" | "versioned" | undefined
  /** Whether a missing index is made at startup. Default `true`. If `false`, make it by the request of `ddl`. */
  readonly setup?: boolean | undefined
  /** How long one storage operation may take; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * For `mode: "versioned"`: when to try again after another client changed the record at the same time. When the schedule ends, the operation fails with reason
   * `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * Certificates in PEM. Without `ca`, the authorities that Node.js trusts.
 *
 * @since 0.5.0
 * @category models
 */
export interface TlsOptions extends Tls {}

/**
 * A user of the cluster.
 *
 * @since 0.5.0
 * @category models
 */
export interface UserOptions {
  readonly name: string
  readonly password: Redacted.Redacted
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options extends CommonOptions {
  /**
   * `https://user:password@host1:9200,host2:9200/path`. User, password and path may be left out; without a port it is 9200. If one node does not serve, the next
   * one is tried. There are no parameters.
   *
   * It may be an Effect, or a function that returns the value or a promise of it. It is evaluated at startup, and again when no node can be reached or the
   * server does not accept who asks. The same holds for `user`, `apiKey` and `tls`.
   */
  readonly url: Present<Redacted.Redacted>
  /** In place of user and password in the URL: for passwords that change, `() => ({ name, password })`. */
  readonly user?: Present<UserOptions> | undefined
  /** In place of a user: an API key in the form that the server calls `encoded`. */
  readonly apiKey?: Present<Redacted.Redacted> | undefined
  /** Only with `https://`. If certificates are renewed, pass a function that reads them. */
  readonly tls?: Present<TlsOptions> | undefined
  /** The most connections to one node, which serve locks alone. Default 4. */
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
  /** As in `Options`. Leave it out if the client signs requests. */
  readonly user?: Present<UserOptions> | undefined
  /** As in `Options`. */
  readonly apiKey?: Present<Redacted.Redacted> | undefined
}

/**
 * Both ports over one index: locks of this library, and of other kinds, that never overlap on one id.
 *
 * @since 0.5.0
 * @category models
 */
export interface Ports extends Both {
  /** How `storage` works on this index. */
  readonly mode: "script" | "versioned"
}

const driver = peer("ElasticsearchStorage", [], () => import("./withDriver.js"))

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
      internal.common(options, { url: true, user: true, apiKey: true, tls: true, poolSize: true })
    )
    const poolSize = yield* valid(shared.poolSize(options.poolSize))
    const { open, own } = yield* driver
    return yield* open(yield* valid(own(options, poolSize)), common)
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
    const common = yield* valid(internal.common(options, { url: true, user: true, apiKey: true }))
    const { ofProgram, open } = yield* driver
    return yield* open(yield* valid(yield* ofProgram(options, yield* ClientTag)), common)
  })

/**
 * The lock storage of a cluster, with connections of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when no node can be reached, when the cluster refuses the login, or when the index is
 * unsuitable. An operation that is interrupted goes on to its answer or its time-out.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as ElasticsearchStorage from "effect-storage-lock/ElasticsearchStorage"
 * import { Effect, Layer, Redacted } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(ElasticsearchStorage.layer({ url: Redacted.make("https://app:secret@search-1:9200,search-2:9200") }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as ElasticsearchStorage from "effect-storage-lock/ElasticsearchStorage"
 * import { Redacted } from "effect"
 * import { readFileSync } from "node:fs"
 *
 * // An API key that changes: it is read again when the server does not accept it.
 * const storage = ElasticsearchStorage.layer({
 *   url: Redacted.make("https://search-1:9200,search-2:9200"),
 *   apiKey: () => Redacted.make(readFileSync("/run/secrets/search-key", "utf8").trim()),
 *   tls: { ca: readFileSync("/etc/search/ca.pem") }
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
 * import * as ElasticsearchStorage from "effect-storage-lock/ElasticsearchStorage"
 * import { Config } from "effect"
 *
 * const storage = ElasticsearchStorage.layerConfig({ url: Config.redacted("SEARCH_URL") })
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
 * The lock storage over the program's own `HttpClient`: for requests that are signed, such as those to Amazon OpenSearch Service, and for proxies and traces.
 *
 * The client must not repeat requests by itself: a release that was done would look as if it had found nothing. It may take any time for an answer; operations
 * end by `operationTimeout`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions, HttpClient.HttpClient> =>
  portsOf(makeFromClient(options))

/**
 * The compare-and-set store of a cluster, over the same index as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store over the program's `HttpClient`, over the same index as `layerFromClient`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, HttpClient.HttpClient> =>
  versionedOf(makeFromClient(options))

/**
 * The request that makes the index, with method and path in its first line and its body below. Then set `setup: false`. Throws `InvalidOptions` for a name that
 * is none of an index.
 *
 * @example
 * ```ts
 * import * as ElasticsearchStorage from "effect-storage-lock/ElasticsearchStorage"
 *
 * console.log(ElasticsearchStorage.ddl({ index: "storage_lock" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const ddl = (options: Pick<CommonOptions, "index"> = {}): string => {
  const index = unknownName<typeof options>(options, { index: true }) ?? internal.index(options.index)
  if (index instanceof InvalidOptions) throw index
  return statements.ddl(index)
}

/**
 * The request that makes the index of `LockAudit` behind its alias, `index`: `storage_lock_audit` if nothing is said. Then set its `setup: false`.
 *
 * @since 0.5.0
 * @category setup
 */
export const ddlAudit = (options: Pick<CommonOptions, "index"> = {}): string => {
  const index =
    unknownName<typeof options>(options, { index: true }) ?? internal.index(options.index ?? "storage_lock_audit")
  if (index instanceof InvalidOptions) throw index
  return statements.request(index, audit.definition(index))
}
