/** Both ports over an Oracle database, and what all ways to it have in common. */
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type { StorageError } from "../../LockError.js"
import type { Executor } from "../sql/executor.js"
import type { ServerOptions } from "../sql/options.js"
import * as ports from "../sql/storage.js"
import type { Ports } from "../shared/layers.js"
import * as dialect from "./dialect.js"
import type { Resolved } from "./options.js"
import * as setup from "./setup.js"
import type { Statement } from "./statements.js"

/**
 * The table of locks.
 *
 * @since 0.5.0
 * @category models
 */
export interface TableOptions {
  /**
   * Default `STORAGE_LOCK`. Quoted, and so taken as it is: Oracle's own names are in upper case. Any characters but NUL and double quotes, up to 128 bytes.
   */
  readonly table?: string | undefined
  /** Must exist. Default: the current schema of the connection. */
  readonly schema?: string | undefined
}

/**
 * What all ways to the server have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface CommonOptions extends TableOptions, ServerOptions {
  /**
   * What to do when an operation loses against another at the same time (ORA-00060, ORA-08177, ORA-00001). When it ends, the operation fails with reason
   * `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/** The server gives up waiting for a row before the caller does, so that the caller mostly gets a definite answer. In whole seconds, as the server counts. */
export const waitOf = (millis: number): number => Math.max(1, Math.floor((0.9 * millis) / 1_000))

export const open = (executor: Executor<Statement>, common: Resolved): Effect.Effect<Ports, StorageError> => {
  const { operationTimeout: millis, place: schema, setup: create, table } = common
  return Effect.map(setup.prepare(executor, { table, schema, setup: create, millis }), (found) =>
    ports.make(executor, dialect.make(found, waitOf(millis)), { ...common, wakeUps: undefined })
  )
}
