/** What all ways to a server of MySQL have in common. */
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type { StorageError } from "../../LockError.js"
import type { Executor } from "../sql/executor.js"
import type { ServerOptions } from "../sql/options.js"
import * as ports from "../sql/storage.js"
import type { Ports } from "../shared/layers.js"
import * as dialect from "./dialect.js"
import type { Resolved } from "./options.js"
import type { Packet } from "./packet.js"
import * as setup from "./setup.js"

/**
 * The table of locks.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableOptions {
  /** Default `storage_lock`. Quoted: any characters of the basic plane but NUL, up to 64. */
  readonly table?: string | undefined
  /** Must exist. Default: the one that the connection names. */
  readonly database?: string | undefined
}

/**
 * What all ways to the server have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions extends TableOptions, ServerOptions {
  /**
   * What to do when an operation loses against another at the same time (deadlock, or a write conflict of a cluster). When it ends, the operation
   * fails with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

export const open = (executor: Executor<Packet>, common: Resolved): Effect.Effect<Ports, StorageError> => {
  const { operationTimeout: millis, place: database, qualified, setup: create, table } = common
  return Effect.map(
    setup.prepare(executor, { table, database, qualified, setup: create, millis }),
    ({ flavour, groups }) =>
      ports.make(executor, dialect.make(flavour, qualified, groups), { ...common, wakeUps: undefined })
  )
}
