/** Reads an audit: page by page, and on from there. */
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import type { AuditStore, Written } from "../AuditStore.js"
import { storedId } from "../common/ids.js"
import { flagFault, invalid } from "../common/input.js"
import { unknownName } from "../common/optionNames.js"
import { InvalidLockId, type InvalidOptions } from "../LockError.js"
import type { LockEvent } from "../LockEvent.js"
import { eventOf, type Unreadable } from "./auditRows.js"

/**
 * An event that was kept.
 *
 * @since 0.5.0
 * @category models
 */
export interface Entry {
  /** Unique. Entries of one process have ids in the order of what happened. */
  readonly id: string
  /** By the storage's clock. `event.at` is by the clock of the process. */
  readonly writtenAt: DateTime.Utc
  /** Where it happened. */
  readonly host: string
  readonly pid: number
  readonly event: LockEvent | Unreadable
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Query {
  /** Only what happened to this lock. */
  readonly lockId?: string | undefined
  /** Only what was written at this time or later, by the storage's clock. */
  readonly since?: DateTime.Utc | undefined
  /** So many at most. */
  readonly limit?: number | undefined
  /** Goes on with what is written from now on, and never ends. Default `false`. */
  readonly follow?: boolean | undefined
}

const pageSize = 500

/** Who follows looks so often, in milliseconds. */
const poll = 1_000

/** Batches of several processes may be seen in another order than that of their times: so much is read again each time, in milliseconds. */
const overlap = 15_000

const entryOf = (row: Written): Entry => ({
  id: row.id,
  writtenAt: DateTime.makeUnsafe(Math.floor(row.writtenAt)),
  host: row.host,
  pid: row.pid,
  event: eventOf(row)
})

const faultOf = (query: Query): InvalidOptions | undefined => {
  const { limit, since } = query
  return (
    unknownName<Query>(query, { lockId: true, since: true, limit: true, follow: true }) ??
    flagFault("follow", query.follow) ??
    (limit === undefined || (Number.isInteger(limit) && limit > 0)
      ? undefined
      : invalid("limit", limit, "an integer above zero")) ??
    (since === undefined || DateTime.isDateTime(since) ? undefined : invalid("since", since, "a DateTime"))
  )
}

export const make =
  (store: AuditStore, namespace: string | undefined) =>
  (query: Query = {}) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const fault = faultOf(query)
        if (fault !== undefined) return yield* fault
        const { follow = false, limit, lockId } = query
        const asStored = lockId === undefined ? undefined : storedId(lockId, namespace)
        if (asStored instanceof InvalidLockId) return yield* asStored
        const from = query.since === undefined ? undefined : DateTime.toEpochMillis(query.since)
        /** What was told already, of what is read again. */
        const told = new Map<string, number>()
        let newest = Number.NEGATIVE_INFINITY

        const fresh = (rows: ReadonlyArray<Written>): ReadonlyArray<Entry> => {
          if (!follow) return rows.map(entryOf)
          const unknown = rows.filter(({ id }) => !told.has(id))
          for (const { id, writtenAt } of unknown) {
            told.set(id, writtenAt)
            newest = Math.max(newest, writtenAt)
          }
          for (const [id, writtenAt] of told) if (writtenAt < newest - overlap) told.delete(id)
          return unknown.map(entryOf)
        }

        interface Next {
          readonly after: string | undefined
          readonly since: number | undefined
          readonly isLater: boolean
        }
        const all = Stream.paginate<Next, Entry, Effect.Error<ReturnType<AuditStore["page"]>>>(
          { after: undefined, since: from, isLater: false },
          ({ after, isLater, since }) =>
            Effect.map(
              Effect.andThen(
                isLater ? Effect.sleep(poll) : Effect.void,
                store.page({
                  after,
                  since,
                  namespace: namespace ?? "",
                  lockId,
                  limit: Math.min(limit ?? pageSize, pageSize)
                })
              ),
              ({ next, rows }) => {
                const entries = fresh(rows)
                if (next !== undefined) return [entries, Option.some({ after: next, since, isLater: false })]
                if (!follow) return [entries, Option.none()]
                const again = newest === Number.NEGATIVE_INFINITY ? from : Math.max(from ?? 0, newest - overlap)
                return [entries, Option.some({ after: undefined, since: again, isLater: true })]
              }
            )
        )
        return limit === undefined ? all : Stream.take(all, limit)
      })
    )
