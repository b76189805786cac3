/** Locks in MySQL on the program's client of Effect 3. The twin is `effect4/fromClient/mysql.ts`. */
import type * as MysqlClient from "@effect/sql-mysql2/MysqlClient"
import { notifyOf, open, type SharedOptions } from "../../../backends/mysql/ports.js"
import { common } from "../../../backends/mysql/options.js"
import { type Ports, portsOf, versionedOf } from "../../../backends/shared/layers.js"
import type { InvalidOptions, StorageError } from "../../../LockError.js"
import type * as Storage from "../../../Storage.js"
import type * as VersionedStore from "../../../VersionedStore.js"
import * as Context from "../Context.js"
import * as Effect from "../Effect.js"
import type * as Layer from "../Layer.js"
import type * as Scope from "effect/Scope"
import * as executor from "./mysqlExecutor.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends SharedOptions {}

/** By key, so that programs without `@effect/sql-mysql2` need not install it. */
const MysqlClientTag = Context.Service<MysqlClient.MysqlClient>("@effect/sql-mysql2/MysqlClient")

/**
 * Both ports, over the program's `MysqlClient`. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, Scope.Scope | MysqlClient.MysqlClient> =>
  Effect.gen(function* () {
    const resolved = yield* common(options, { notify: true })
    const notify = yield* notifyOf(options.notify, undefined)
    return yield* open(executor.make(yield* MysqlClientTag), resolved, notify)
  })

/**
 * The lock storage on the program's own `MysqlClient` of `@effect/sql-mysql2`, whatever its name transforms.
 *
 * Operations never join a transaction of the program: each takes a connection beside it, and fails with reason `Timeout` if none is free in time. So
 * the client's pool must be larger than the number of transactions that acquire locks inside. A statement that is out of time keeps its connection until the server has
 * answered: keep `innodb_lock_wait_timeout` short.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromClient = (
  options: ClientOptions = {}
): Layer.Layer<
  Storage.Storage | VersionedStore.VersionedStore,
  StorageError | InvalidOptions,
  MysqlClient.MysqlClient
> => portsOf(makeFromClient(options))

/**
 * The compare-and-set store on the program's `MysqlClient`, over the same table as `layerFromClient`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVersionedFromClient = (
  options: ClientOptions = {}
): Layer.Layer<VersionedStore.VersionedStore, StorageError | InvalidOptions, MysqlClient.MysqlClient> =>
  versionedOf(makeFromClient(options))
