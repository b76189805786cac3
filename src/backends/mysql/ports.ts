/** Both ports over a server of MySQL, and what all ways to it have in common. */
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import { invalid, valid } from "../../common/input.js"
import { unknownName } from "../../common/optionNames.js"
import type { InvalidOptions, StorageError } from "../../LockError.js"
import * as audit from "../sql/audit.js"
import type { Executor } from "../sql/executor.js"
import type { ServerOptions } from "../sql/options.js"
import * as ports from "../sql/storage.js"
import type { Ports } from "../shared/layers.js"
import * as Notices from "../shared/notices.js"
import { peer } from "../shared/driverPackage.js"
import type { Present } from "../shared/currentValue.js"
import { namesIn } from "./sleepers.js"
import * as auditDialect from "./audit.js"
import type * as connection from "./connection.js"
import * as dialect from "./dialect.js"
import { Awaited } from "./awaited.js"
import { nameOf as nameOfTable, type Resolved } from "./options.js"
import type { Packet } from "./packet.js"
import * as notifier from "./notifier.js"
import * as setup from "./setup.js"
import type { TlsOptions } from "./tls.js"

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

/**
 * Where this process is woken, by a connection of its own to the server that the program's pool or client leads to.
 *
 * @since 0.5.0
 * @category models
 */
export interface NotifyUrl {
  /** As in `Options`. */
  readonly url: Present<Redacted.Redacted>
  /** As in `Options`. */
  readonly tls?: Present<TlsOptions> | undefined
}

/**
 * What the ways on what the program has already have in common.
 *
 * @since 0.5.0
 * @category models
 */
export interface SharedOptions extends CommonOptions {
  /**
   * Wakes waiters of other processes when a lock is freed. `{ url }`: and those of this one, by a connection of its own, opened when somebody first has to wait. `true`: only others, this process polls. `false`: neither.
   * Default `true`.
   */
  readonly notify?: boolean | NotifyUrl | undefined
}

/** Only what a pool, or a session that sleeps, needs: on a client of Effect, a program may do without `mysql2` of its own. */
export const own = peer("MysqlStorage", ["mysql2"], () => import("./withDriver.js"))

/** Whether to wake others, and where to be woken. */
export interface Notify {
  /** It was said by an option, not by default. */
  readonly isAsked: boolean
  readonly send: boolean
  readonly listen: connection.Source | undefined
}

export const notifyOf = (
  notify: unknown,
  ours: connection.Source | undefined
): Effect.Effect<Notify, InvalidOptions> => {
  const isAsked = notify !== undefined
  const wanted = notify ?? true
  if (typeof wanted === "boolean") return Effect.succeed({ isAsked, send: wanted, listen: wanted ? ours : undefined })
  if (ours !== undefined) return invalid("notify", notify, "true or false")
  if (typeof wanted !== "object" || wanted === null || !("url" in wanted))
    return invalid("notify", notify, "true, false, or { url, tls }")
  const { tls, url } = wanted as NotifyUrl
  const fault = unknownName<NotifyUrl>(wanted, { url: true, tls: true }, "notify")
  return fault !== undefined
    ? Effect.fail(fault)
    : Effect.map(
        Effect.flatMap(own, ({ source }) => valid(source(url, tls, "notify."))),
        (listen) => ({ isAsked, send: true, listen })
      )
}

/** `second`: for the audit, so that it never takes a connection from a lock. */
export const open = (
  plain: Executor<Packet>,
  common: Resolved,
  notify: Notify,
  second: Executor<Packet> = plain
): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const { operationTimeout: millis, place: database, qualified, setup: create, table } = common
    const found = yield* setup.prepare(plain, { table, database, qualified, setup: create, millis })
    const { flavour, groups, mute } = found
    const place = audit.make({
      ...common,
      storage: "MysqlStorage",
      executor: second,
      qualified: (field, name) => nameOfTable(field, name, database ?? found.database),
      dialect: auditDialect.make(flavour)
    })
    if (!notify.send || mute !== undefined) {
      if (notify.send && mute !== undefined && (notify.isAsked || flavour !== "TiDB"))
        yield* Effect.logWarning(
          `MysqlStorage: there are no wake-ups, waiters poll: ${mute}. \`notify: false\` silences this`
        )
      return ports.make(plain, dialect.make(flavour, qualified, groups, undefined), {
        ...common,
        wakeUps: undefined,
        audit: place
      })
    }
    const notices = yield* Notices.make("MysqlStorage")
    const nameOf = namesIn(found.database, table)
    const awaited = new Awaited()
    const wakeUps =
      notify.listen === undefined
        ? undefined
        : yield* (yield* own).listen({
            source: notify.listen,
            executor: plain,
            awaited,
            nameOf,
            table: qualified,
            notices
          })
    const { storage, versioned } = ports.make(
      notifier.make(plain, notices),
      dialect.make(flavour, qualified, groups, nameOf),
      {
        ...common,
        wakeUps,
        audit: place,
        onClaim: wakeUps === undefined ? undefined : (lockId, outcome) => awaited.heard(lockId, outcome)
      }
    )
    // What it compares and sets tells nobody, so nobody hears of it.
    return { storage, versioned: { ...versioned, wakeUps: undefined } }
  })
