/** Both ports over a SQL Server, and what both ways to it have in common. */
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type { StorageError } from "../../LockError.js"
import * as audit from "../sql/audit.js"
import type { Executor } from "../sql/executor.js"
import type { ServerOptions } from "../sql/options.js"
import * as ports from "../sql/storage.js"
import type { Ports } from "../shared/layers.js"
import * as auditDialect from "./audit.js"
import * as dialect from "./dialect.js"
import { nameOf, type Resolved } from "./options.js"
import * as setup from "./setup.js"
import { lockTimeoutOf, type Statement } from "./statements.js"

/**
 * The table of locks.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableOptions {
  /** Default `storage_lock`. Quoted: any characters but NUL, up to 128 UTF-16 units. */
  readonly table?: string | undefined
  /** Must exist. Default: the user's default schema, else `dbo`. */
  readonly schema?: string | undefined
}

/**
 * What both ways to the server have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions extends TableOptions, ServerOptions {
  /**
   * What to do when a batch loses against another at the same time (errors 1205, 2627, 3960), which hardly happens here. When it ends, the operation fails with reason
   * `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

export const open = (
  executor: Executor<Statement>,
  common: Resolved,
  database: string | undefined,
  /** For the audit, so that it never takes a connection from a lock. */
  second: Executor<Statement> = executor
): Effect.Effect<Ports, StorageError> => {
  const { operationTimeout: millis, place: schema, setup: create, table } = common
  const lockTimeout = lockTimeoutOf(millis)
  return Effect.map(setup.prepare(executor, { table, schema, database, setup: create, millis, lockTimeout }), (found) =>
    ports.make(executor, dialect.make(found.table, lockTimeout, found.database), {
      ...common,
      wakeUps: undefined,
      audit: audit.make({
        ...common,
        storage: "MssqlStorage",
        executor: second,
        qualified: (field, name) => nameOf(field, name, found.schema),
        dialect: auditDialect.make(lockTimeout, found.database)
      })
    })
  )
}
