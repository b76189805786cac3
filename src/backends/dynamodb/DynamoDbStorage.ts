/**
 * Locks in Amazon DynamoDB: one table, one item per lock, one conditional update per claim. Needs `@aws-sdk/client-dynamodb`.
 *
 * **What it promises.** An acknowledged claim is on the disks of several availability zones. No two owners hold one lock within the lease, whatever any clock
 * says. Leases are *observed*: an item holds the length of its lease, and a waiter takes over only after it has seen one version of the item, unchanged, for
 * that whole length on its own monotonic clock. Nothing can end a lease early. The price: a process that first looks at a lock whose holder is dead waits for
 * one whole lease.
 *
 * **What it does not promise.** Locks over several regions of a global table with eventual consistency: such a table is refused. There are no wake-ups, so
 * waiters poll. See `docs/storages/dynamodb.md`, also for what an operation costs.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type { DynamoDBClient } from "@aws-sdk/client-dynamodb"
import * as Config from "#effect/Config"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { invalid, valid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import type { Present } from "../shared/currentValue.js"
import { peer } from "../shared/driverPackage.js"
import { type Ports, portsOf, versionedOf } from "../shared/layers.js"
import * as internal from "./options.js"
import * as templates from "./templates.js"

export type { Ports } from "../shared/layers.js"

/**
 * @since 0.5.0
 * @category models
 */
export interface TableOptions {
  /** The name of the table, or its ARN. For locks alone. Default `storage_lock`. */
  readonly table?: string | undefined
}

/**
 * The options that all layers have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface CommonOptions extends TableOptions {
  /** Whether to make the table if it is missing, on demand. `false`: it must be there, see `ddl`. Default `true`. */
  readonly setup?: boolean | undefined
  /**
   * Set it if the table is a global one with eventual consistency, and only the table of this region is ever used for locks. Without it such a table is
   * refused, because each of its regions takes claims without asking the others. Default `false`.
   */
  readonly oneRegion?: boolean | undefined
  /** How long one storage operation may take; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * When to try again after another client changed the item at the same time. When the schedule ends, the operation fails with reason `Conflict`. Default:
   * `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface CredentialsOptions {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted
  readonly sessionToken?: Redacted.Redacted | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options extends CommonOptions {
  /** Default: `AWS_REGION`, or the region of the profile. Without any, the layer fails with `InvalidOptions` before it sends anything. */
  readonly region?: string | undefined
  /** The URL of DynamoDB, if it is not that of the region: for DynamoDB Local, or an endpoint of a VPC. */
  readonly endpoint?: string | undefined
  /**
   * Default: what the SDK finds, from the environment to the role of the machine, and renews by itself.
   *
   * For credentials that change it may be an Effect, or a function that returns the value or a promise of it. It is evaluated at the first request, and again
   * when DynamoDB does not accept the last ones.
   */
  readonly credentials?: Present<CredentialsOptions> | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {
  /** The program's client, with its own region, endpoint and credentials. Stays open when the layer closes. */
  readonly client: DynamoDBClient
}

const dynamodb = peer("DynamoDbStorage", ["@aws-sdk/client-dynamodb"], () => import("./withDriver.js"))

/**
 * Both ports, over a client of their own that closes with the scope.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { region: true, endpoint: true, credentials: true }))
    const reach = yield* valid(internal.reach(options))
    const { open, own } = yield* dynamodb
    return yield* open(yield* own({ ...reach, credentials: options.credentials }), common)
  })

/**
 * Both ports, over the program's `DynamoDBClient`. See `layerFromClient`.
 *
 * @since 0.5.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { client: true }))
    const { client } = options
    if (typeof client?.send !== "function" || typeof client.config?.region !== "function")
      return yield* invalid("client", client, "a DynamoDBClient of @aws-sdk/client-dynamodb")
    const { ofProgram, open } = yield* dynamodb
    return yield* open(yield* ofProgram(client), common)
  })

/**
 * The lock storage in a table of a region, with a client of its own.
 *
 * Fails with `InvalidOptions` before any I/O, and with `StorageError` when DynamoDB cannot be reached or refuses the credentials, or when the table is
 * unsuitable: of another key, or a global table with eventual consistency.
 *
 * @example
 * ```ts
 * import { StorageLock } from "effect-storage-lock"
 * import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"
 * import { Effect, Layer } from "effect"
 *
 * const locks = StorageLock.layer({ leaseExpireAfter: "30 seconds" }).pipe(
 *   Layer.provide(DynamoDbStorage.layer({ region: "eu-central-1" }))
 * )
 *
 * const program = Effect.log("alone").pipe(StorageLock.withLockIfAvailable("nightly-report"), Effect.provide(locks))
 * ```
 *
 * @example
 * ```ts
 * import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"
 * import { Redacted } from "effect"
 *
 * // DynamoDB Local, which takes any credentials.
 * const storage = DynamoDbStorage.layer({
 *   endpoint: "http://localhost:8000",
 *   region: "local",
 *   credentials: { accessKeyId: "any", secretAccessKey: Redacted.make("any") }
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
 * import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"
 * import { Config } from "effect"
 *
 * const storage = DynamoDbStorage.layerConfig({ table: Config.string("LOCK_TABLE") })
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
 * The lock storage over the program's own `DynamoDBClient`: for credentials, agents or middleware of its own.
 *
 * The client's own retries do not apply to the commands of locks: they are sent once, and the library decides what may be repeated.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions
): Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions> =>
  portsOf(makeFromClient(options))

/**
 * The compare-and-set store in a table, over the same items as `layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersioned = (
  options: Options
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(make(options))

/**
 * The compare-and-set store over the program's client, over the same items as `layerFromClient`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions> => versionedOf(makeFromClient(options))

const printed = (print: (table: string) => string, options: TableOptions): string => {
  const fault = unknownName<TableOptions>(options, { table: true })
  if (fault !== undefined) throw fault
  return print(options.table ?? "storage_lock")
}

/**
 * The table as a resource of CloudFormation, in YAML, for your own template. Then set `setup: false`. Throws `InvalidOptions` for a name that DynamoDB does not
 * allow.
 *
 * @example
 * ```ts
 * import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"
 *
 * console.log(DynamoDbStorage.ddl({ table: "locks" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const ddl = (options: TableOptions = {}): string => printed(templates.cloudFormation, options)

/**
 * The table as a construct of the AWS CDK, in TypeScript. As `ddl` otherwise.
 *
 * @example
 * ```ts
 * import * as DynamoDbStorage from "effect-storage-lock/DynamoDbStorage"
 *
 * console.log(DynamoDbStorage.cdk({ table: "locks" }))
 * ```
 *
 * @since 0.5.0
 * @category setup
 */
export const cdk = (options: TableOptions = {}): string => printed(templates.cdk, options)
