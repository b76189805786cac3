/** Both ports over a PostgreSQL server, and what all ways to it have in common. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type * as Scope from "#effect/Scope"
import { flagFault, invalid, valid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import type { Ports } from "../shared/layers.js"
import * as Notices from "../shared/notices.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import * as shared from "../shared/options.js"
import * as audit from "../sql/audit.js"
import type { Executor } from "../sql/executor.js"
import type { ServerOptions } from "../sql/options.js"
import * as ports from "../sql/storage.js"
import * as auditDialect from "./audit.js"
import type * as connection from "./connection.js"
import * as dialect from "./dialect.js"
import * as hints from "./hints.js"
import * as options from "./options.js"
import * as setup from "./setup.js"
import type { Statement } from "./statements.js"

/**
 * The table of locks.
 *
 * @since 0.1.0
 * @category models
 */
export interface TableOptions {
  /** Default `storage_lock`. It is quoted: any characters but NUL, up to 63 bytes. */
  readonly table?: string | undefined
  /** Must exist. Default: the first of the connection's `search_path` that has the table. */
  readonly schema?: string | undefined
}

/**
 * The options that all layers have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions extends TableOptions, ServerOptions {
  /**
   * When to try again after a conflict with another statement (SQLSTATE 40001, 40P01), which is rare under read committed isolation. When the schedule ends,
   * the operation fails with reason `Conflict`. Default: `VersionedStore.defaultVersionMissRetry`.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/** How long the listening connection may be silent before it is asked, and may take to answer. */
const listenerKeepAlive = Duration.seconds(10)
const listenerPatience = Duration.seconds(5)

/** Only what a pool, or a session that listens, needs: on a client of Effect, a program may do without `pg`. */
export const own = peer("PostgresStorage", ["pg"], () => import("./withDriver.js"))

export const sourceOf = (
  field: string,
  url: Present<unknown>,
  pooler = false
): Effect.Effect<connection.Source, InvalidOptions> =>
  Effect.flatMap(own, ({ source }) => valid(source(field, url, pooler)))

/** What is given for connections of our own. */
interface OwnOptions extends CommonOptions {
  readonly url: Present<unknown>
  readonly notify?: unknown
  readonly poolSize?: number | undefined
  readonly pooler?: boolean | undefined
}

/** The same, checked. */
interface ResolvedOwn {
  readonly common: options.Resolved
  readonly pooler: boolean
  readonly source: connection.Source
  readonly poolSize: number
}

export const resolved = (given: OwnOptions): Effect.Effect<ResolvedOwn, InvalidOptions> =>
  Effect.gen(function* () {
    const common = yield* options.common(given, { url: true, notify: true, poolSize: true, pooler: true })
    const pooler = yield* valid(flagFault("pooler", given.pooler) ?? given.pooler ?? false)
    const source = yield* sourceOf("url", given.url, pooler)
    const poolSize = yield* valid(shared.poolSize(given.poolSize))
    return { common, pooler, source, poolSize }
  })

/** Where to wake others, and where to hear of it. */
export interface Notify {
  readonly send: boolean
  readonly listen: connection.Source | undefined
}

export const notifyOf = (
  notify: unknown,
  own: connection.Source | undefined
): Effect.Effect<Notify, InvalidOptions> => {
  if (typeof notify === "boolean") return Effect.succeed({ send: notify, listen: notify ? own : undefined })
  const fault = typeof notify === "object" && notify !== null ? unknownName(notify, { url: true }, "notify") : undefined
  if (fault !== undefined) return Effect.fail(fault)
  return typeof notify === "object" && notify !== null && "url" in notify
    ? Effect.map(sourceOf("notify.url", notify.url), (listen) => ({ send: true, listen }))
    : invalid("notify", notify, "true, false, or { url }")
}

/** `second`: for the audit, so that it never takes a connection from a lock. */
export const open = (
  plain: Executor<Statement>,
  common: options.Resolved,
  notify: Notify,
  second: Executor<Statement> = plain
): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const { operationTimeout: millis, qualified: table, setup: create } = common
    const executor = hints.make(plain, yield* Notices.make("PostgresStorage"))
    const found = yield* setup.prepare(executor, { table, setup: create, millis })
    const wakeUps =
      notify.listen === undefined
        ? undefined
        : yield* (yield* own).listen({
            source: notify.listen,
            channel: found.channel,
            keepAlive: listenerKeepAlive,
            patience: listenerPatience
          })
    const place = audit.make({
      ...common,
      storage: "PostgresStorage",
      executor: second,
      qualified: (field, name) => options.nameOf(field, name, found.schema),
      dialect: auditDialect.make
    })
    return ports.make(executor, dialect.make({ ...found, notify: notify.send }), { ...common, wakeUps, audit: place })
  })
