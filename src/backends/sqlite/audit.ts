/** The audit trail as a table of SQLite. */
import * as Effect from "#effect/Effect"
import type { Place } from "../../AuditStore.js"
import { valid } from "../../common/input.js"
import * as shared from "../shared/audit.js"
import type { Handle } from "./handle.js"
import { tableOf } from "./options.js"
import { quote } from "./statements.js"

/** Few at a time: each is a commit, in whose way nobody should stand for long. */
const dropLimit = 500

/** Milliseconds since the epoch. */
const now = "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)"

/** The second index is the order in which entries are read and dropped. */
export const createTable = (table: string): ReadonlyArray<string> => [
  `CREATE TABLE IF NOT EXISTS ${quote(table)} (
  entry_id TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
  written_at INTEGER NOT NULL,
  happened_at INTEGER NOT NULL,
  event TEXT NOT NULL,
  namespace TEXT NOT NULL,
  lock_id TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  owner_label TEXT NOT NULL,
  token INTEGER NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  detail TEXT NOT NULL
) STRICT, WITHOUT ROWID`,
  `CREATE INDEX IF NOT EXISTS ${quote(`${table}_written`)} ON ${quote(table)} (written_at, entry_id)`
]

/** Never together with a claim: not in its transaction, and not in its turn of the event loop. */
export const make =
  (handle: Handle, locks: string): Place =>
  (options) =>
    Effect.gen(function* () {
      const table = yield* valid(
        shared.uncounted(options, "SqliteStorage") ?? tableOf(options.name ?? shared.besides(locks), "name")
      )
      const to = quote(table)
      const columns = shared.columns.join(", ")
      const texts = {
        insert: `INSERT INTO ${to} (${columns}, written_at) SELECT ${shared.columns.map((_, i) => `value ->> ${i}`).join(", ")}, ${now} FROM json_each(@rows) WHERE true ON CONFLICT (entry_id) DO NOTHING`,
        page: `SELECT ${columns}, written_at FROM ${to} WHERE (written_at, entry_id) > (@written, @id) AND namespace = @namespace AND (@lockId IS NULL OR lock_id = @lockId) ORDER BY written_at, entry_id LIMIT @limit`,
        drop: `DELETE FROM ${to} WHERE entry_id IN (SELECT entry_id FROM ${to} WHERE written_at < ${now} - @span ORDER BY written_at, entry_id LIMIT @limit) RETURNING 1`
      }
      const name = (operation: string) => `SqliteStorage.audit.${operation}`
      const create = Effect.forEach(createTable(table), (text) => handle.run(name("setup"), text), { discard: true })
      if (options.setup) yield* create
      else {
        yield* Effect.mapError(
          handle.run(name("setup"), `SELECT ${columns}, written_at FROM ${to} LIMIT 0`),
          shared.unlessMissing("SqliteStorage", to)
        )
      }

      return {
        append: shared.remaking(
          (rows) =>
            Effect.asVoid(
              handle.run(name("append"), texts.insert, { rows: JSON.stringify(rows.map(shared.valuesOf)) })
            ),
          create,
          options
        ),
        page: (query) =>
          Effect.flatMap(
            Effect.suspend(() => {
              const [written, id] = shared.startOf(query)
              const { limit, lockId = null, namespace } = query
              return handle.run<Record<string, unknown>>(name("page"), texts.page, {
                written,
                id,
                namespace,
                lockId,
                limit
              })
            }),
            (rows) => shared.read(name("page"), rows, query.limit)
          ),
        drop: (olderThan) =>
          shared.dropAll(
            Effect.map(
              handle.run<unknown>(name("drop"), texts.drop, { span: Math.floor(olderThan), limit: dropLimit }),
              (rows) => rows.length
            ),
            dropLimit
          )
      }
    })
