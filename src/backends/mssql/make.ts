/** What both ways to a SQL Server have in common. */
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
export interface CommonOptions extends TableOptions {
  /** Create the table if it is not there. Where it is, no right to create is needed. Default `true`. */
  readonly setup?: boolean | undefined
  /**
   * How long one storage operation may take, its wait for a connection included; `Storage.TimeLimit` shortens it. Default 5 seconds.
   */
  readonly operationTimeout?: Duration.Input | undefined
  /**
   * What to do when a batch loses against another at the same time (errors 1205, 2627, 3960), which hardly happens here. When it ends, the operation fails with reason
   * `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

export const commonNames = {
  table: true,
  schema: true,
  setup: true,
  operationTimeout: true,
  versionMissRetry: true
} as const

/** Everything about options comes before any I/O. */
export const checkCommon = (options: CommonOptions): Effect.Effect<internal.ResolvedCommon, InvalidOptions> =>
  Effect.suspend(() => valid(scheduleFault("versionMissRetry", options.versionMissRetry) ?? internal.common(options)))

export const open = (
  executor: Executor<Statement>,
  common: internal.ResolvedCommon,
  options: CommonOptions,
  database: string | undefined
): Effect.Effect<Ports, StorageError> =>
  Effect.suspend(() => {
    const lockTimeout = lockTimeoutOf(common.operationTimeout)
    const { schema, table } = common
    return Effect.map(
      setup.prepare(executor, {
        table,
        schema,
        database,
        setup: common.setup,
        millis: common.operationTimeout,
        lockTimeout
      }),
      (place) =>
        ports.make(executor, dialect.make(place.table, lockTimeout, place.database), {
          wakeUps: undefined,
          operationTimeout: common.operationTimeout,
          versionMissRetry: options.versionMissRetry ?? VersionedStore.defaultVersionMissRetry
        })
    )
  })
