/** The audit trail of the memory storage. */
import * as Effect from "#effect/Effect"
import type { Place, Written } from "../../AuditStore.js"

const defaultName = "storage_lock_audit"
const defaultMost = 10_000

class Table {
  readonly rows: Array<Written> = []
  readonly ids = new Set<string>()
  /** How many were dropped: a cursor counts those, too. */
  gone = 0

  drop(count: number): void {
    for (const { id } of this.rows.splice(0, count)) this.ids.delete(id)
    this.gone += count
  }
}

/** `time`: microseconds since the Unix epoch. */
export const make = (time: Effect.Effect<number>): Place => {
  const tables = new Map<string, Table>()
  const millis = Effect.map(time, (micros) => Math.floor(micros / 1_000))
  return ({ mostEntries = defaultMost, name = defaultName }) =>
    Effect.sync(() => {
      const table = tables.get(name) ?? new Table()
      tables.set(name, table)
      const { ids, rows } = table
      return {
        append: (more) =>
          Effect.map(millis, (writtenAt) => {
            for (const row of more) if (!ids.has(row.id)) rows.push({ ...row, writtenAt })
            for (const { id } of more) ids.add(id)
            if (rows.length > mostEntries) table.drop(rows.length - mostEntries)
          }),
        page: ({ after = "0", limit, lockId, namespace, since = Number.NEGATIVE_INFINITY }) =>
          Effect.sync(() => {
            const page: Array<Written> = []
            for (let i = Math.max(0, Number(after) - table.gone); i < rows.length; i++) {
              const row = rows[i]!
              if (row.writtenAt < since || row.namespace !== namespace || (lockId ?? row.lockId) !== row.lockId)
                continue
              page.push(row)
              if (page.length === limit) return { rows: page, next: String(table.gone + i + 1) }
            }
            return { rows: page, next: undefined }
          }),
        drop: (olderThan) =>
          Effect.map(millis, (now) => {
            const young = rows.findIndex(({ writtenAt }) => writtenAt >= now - olderThan)
            table.drop(young < 0 ? rows.length : young)
          })
      }
    })
}
