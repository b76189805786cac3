/** An OracleStorage whose blocks MariaDB runs. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { open } from "../../src/backends/oracle/ports.js"
import * as options from "../../src/backends/oracle/options.js"
import * as OracleStorage from "../../src/backends/oracle/OracleStorage.js"
import * as pool from "../../src/backends/oracle/pool.js"
import type { InvalidOptions, StorageError } from "../../src/LockError.js"
import type * as Mysql from "../harness/mysql.js"
import * as OnMariadb from "../harness/oracleOnMariadb.js"

/** Over a database of its own. */
export const fresh = (
  server: Pick<Mysql.MysqlServer, "freshDatabase">,
  options?: OnMariadb.Options
): Effect.Effect<OnMariadb.Fake & { readonly url: string }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const url = yield* server.freshDatabase
    yield* Effect.orDie(OnMariadb.prepare(url))
    return { ...OnMariadb.make(url, url, options), url }
  })

/** Both ports over a pool of the storage's own, whose connections are those of the stand-in. */
export const own = (
  { driver }: Pick<OnMariadb.Fake, "driver">,
  given: OracleStorage.CommonOptions & { readonly poolSize?: number } = {}
): Effect.Effect<OracleStorage.Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const { poolSize = 4, ...common } = given
    const resolved = yield* options.common(common, {})
    const source = { fixed: {}, now: Effect.succeed({}) }
    const executor = yield* pool.make({ driver, source, poolSize, operationTimeout: resolved.operationTimeout })
    return yield* open(executor, resolved)
  })

/** Both ports over a pool of the program's, which ends with the scope. */
export const onPool = (
  { pool }: Pick<OnMariadb.Fake, "pool">,
  size = 4
): Effect.Effect<OracleStorage.Ports, StorageError | InvalidOptions, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.sync(() => pool(size)),
      ({ close }) => Effect.sync(close)
    ),
    (pool) => OracleStorage.makeFromPool({ pool })
  )
