/** What the tables of an audit have in common, wherever they stand. */
import * as Effect from "#effect/Effect"
import { invalid } from "../../common/input.js"
import type { AuditStore, Page, PageQuery, PlaceOptions, Row, Written } from "../../AuditStore.js"
import { type InvalidOptions, StorageError } from "../../LockError.js"

/** Connections of its own, one to write and one to read, opened when they are needed: what stands in the way of an audit takes none from a lock. */
export const auditPool = 2

/** What an audit is called beside the locks. */
export const besides = (table: string): string => `${table}_audit`

/** Where to count would be to read everything. */
export const uncounted = ({ mostEntries }: PlaceOptions, storage: string): InvalidOptions | undefined =>
  mostEntries === undefined
    ? undefined
    : invalid(
        "mostEntries",
        mostEntries,
        `left out: ${storage} does not count entries; \`keep\` says how long they stay`
      )

/** The columns, in the order in which rows are given to a storage. */
export const columns = [
  "entry_id",
  "happened_at",
  "event",
  "namespace",
  "lock_id",
  "owner_id",
  "owner_label",
  "token",
  "host",
  "pid",
  "detail"
] as const

/** In the order of the columns. */
export const valuesOf = (row: Row): ReadonlyArray<string | number> => [
  row.id,
  row.at,
  row.event,
  row.namespace,
  row.lockId,
  row.ownerId,
  row.ownerLabel,
  row.token,
  row.host,
  row.pid,
  row.detail
]

/** What a driver gives: numbers may be texts, or bigints. Throws where it is no entry. */
const writtenOf = (row: Readonly<Record<string, unknown>>): Written => {
  const text = (name: string): string => {
    const value = row[name]
    if (typeof value !== "string") throw new Error(`${name} is of type ${typeof value}`)
    return value
  }
  const number = (name: string): number => {
    const value = Number(row[name])
    if (!Number.isSafeInteger(value)) throw new Error(`${name} is no integer`)
    return value
  }
  return {
    id: text("entry_id"),
    writtenAt: number("written_at"),
    at: number("happened_at"),
    event: text("event"),
    namespace: text("namespace"),
    lockId: text("lock_id"),
    ownerId: text("owner_id"),
    ownerLabel: text("owner_label"),
    token: number("token"),
    host: text("host"),
    pid: number("pid"),
    detail: text("detail")
  }
}

/** Where a page ends: by the time of its last entry, and its id. */
const cursorOf = ({ id, writtenAt }: Written): string => `${writtenAt}:${id}`

/** Where a page begins: behind this entry. All ids are greater than an empty one, and so are all from `since` on. */
export const startOf = ({ after, since }: PageQuery): readonly [writtenAt: number, id: string] => {
  if (after === undefined) return [Math.floor(since ?? 0), ""]
  const colon = after.indexOf(":")
  return [Number(after.slice(0, colon)), after.slice(colon + 1)]
}

/** The answer to a query of a page. A full one may have another behind it. */
export const read = (
  operation: string,
  found: ReadonlyArray<Readonly<Record<string, unknown>>>,
  limit: number
): Effect.Effect<Page, StorageError> => {
  try {
    const rows = found.map(writtenOf)
    return Effect.succeed({ rows, next: rows.length < limit ? undefined : cursorOf(rows[rows.length - 1]!) })
  } catch (cause) {
    return new StorageError({
      reason: "Schema",
      operation,
      isRetryable: false,
      applied: "no",
      message: `this is no table of an audit: ${(cause as Error).message}`
    })
  }
}

/** Where the table is missing, in words of an audit. */
export const unlessMissing =
  (storage: string, table: string) =>
  (error: StorageError): StorageError =>
    error.reason !== "Schema"
      ? error
      : new StorageError({
          reason: "Schema",
          operation: error.operation,
          isRetryable: false,
          applied: "no",
          message: `there is no audit in ${table}, or it is another table: \`LockAudit.layer\` makes it, and so does the text of ${storage}.ddlAudit`,
          cause: error
        })

/** Page after page, until one is not full. */
export const dropAll = (page: Effect.Effect<number, StorageError>, limit: number): Effect.Effect<void, StorageError> =>
  Effect.asVoid(Effect.repeat(page, { while: (count) => count >= limit }))

/** A table that was dropped under a running program is recreated, if it is to be made. */
export const remaking = (
  append: AuditStore["append"],
  make: Effect.Effect<unknown, StorageError>,
  { setup }: PlaceOptions
): AuditStore["append"] =>
  setup
    ? (rows) =>
        Effect.catchIf(
          append(rows),
          (error) => error.reason === "Schema",
          () => Effect.andThen(make, append(rows))
        )
    : append
