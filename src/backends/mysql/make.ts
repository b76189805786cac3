/** What all ways to a server of MySQL have in common. */
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import { scheduleFault, valid } from "../../common/input.js"
import type { InvalidOptions } from "../../LockError.js"
import { type StorageError } from "../../LockError.js"
import * as VersionedStore from "../../VersionedStore.js"
import type { Executor } from "../sql/executor.js"
import * as ports from "../sql/storage.js"
import type { Ports } from "../shared/layers.js"
import * as dialect from "./dialect.js"
import * as internal from "./options.js"
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
export interface CommonOptions extends TableOptions {
  /** Create the table if it is not there. Where it is, no right to create is needed. Default `true`. */
  readonly setup?: boolean | undefined
  /** How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds. */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * What to do when an operation loses against another at the same time (deadlock, or a write conflict of a cluster). When it ends, the operation
   * fails with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

export const commonNames = {
  table: true,
  database: true,
  setup: true,
  operationTimeout: true,
  versionMissRetry: true
} as const

/** Everything about options comes before any I/O. */
export const checkCommon = (options: CommonOptions): Effect.Effect<internal.ResolvedCommon, InvalidOptions> =>
  Effect.suspend(() => valid(scheduleFault("versionMissRetry", options.versionMissRetry) ?? internal.common(options)))

export const open = (
  executor: Executor<Packet>,
  common: internal.ResolvedCommon,
  options: CommonOptions
): Effect.Effect<Ports, StorageError> => {
  const qualified = internal.qualified(common.table, common.database)
  return Effect.map(setup.prepare(executor, { ...common, qualified, millis: common.operationTimeout }), (flavour) =>
    ports.make(executor, dialect.make(flavour, qualified), {
      wakeUps: undefined,
      operationTimeout: common.operationTimeout,
      versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
    })
  )
}
