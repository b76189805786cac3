/** Locks in SQL Server on the program's client of Effect 3. The twin is `effect4/fromClient/mssql.ts`. */
import type * as MssqlClient from "@effect/sql-mssql/MssqlClient"
import { type CommonOptions, open } from "../../../backends/mssql/ports.js"
import { common } from "../../../backends/mssql/options.js"
import { peer } from "../../../backends/shared/driverPackage.js"
import { type Ports, portsOf, versionedOf } from "../../../backends/shared/layers.js"
import type { InvalidOptions, StorageError } from "../../../LockError.js"
import type * as Storage from "../../../Storage.js"
import type * as VersionedStore from "../../../VersionedStore.js"
import * as Context from "../Context.js"
import * as Effect from "../Effect.js"
import type * as Layer from "../Layer.js"

/**
 * On the program's own `MssqlClient`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends CommonOptions {}

/** By key, so that programs without `@effect/sql-mssql` need not install it. */
const MssqlClientTag = Context.Service<MssqlClient.MssqlClient>("@effect/sql-mssql/MssqlClient")

/**
 * Both ports, over the program's `MssqlClient`. See `layerFromClient`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeFromClient = (
  options: ClientOptions = {}
): Effect.Effect<Ports, StorageError | InvalidOptions, MssqlClient.MssqlClient> =>
  Effect.gen(function* () {
    const resolved = yield* common(options, {})
    const sql = yield* MssqlClientTag
    const executor = yield* peer("MssqlStorage", ["tedious"], () => import("./mssqlExecutor.js"))
    return yield* open(executor.make(sql), resolved, sql.config.database)
  })

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
): Layer.Layer<
  Storage.Storage | VersionedStore.VersionedStore,
  StorageError | InvalidOptions,
  MssqlClient.MssqlClient
> => portsOf(makeFromClient(options))

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
