/** The table of the audit, and the statements on it. */
import * as shared from "../shared/audit.js"
import type { Dialect } from "../sql/audit.js"
import { statementName } from "./names.js"
import { advisoryKey } from "./setup.js"
import type { Statement } from "./statements.js"

/** Milliseconds since the epoch, by the server's clock. */
const clock = "s AS MATERIALIZED (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS t)"

const types: Readonly<Record<(typeof shared.columns)[number], string>> = {
  entry_id: 'text COLLATE "C"',
  happened_at: "bigint",
  event: "text",
  namespace: 'text COLLATE "C"',
  lock_id: 'text COLLATE "C"',
  owner_id: "text",
  owner_label: "text",
  token: "bigint",
  host: "text",
  pid: "bigint",
  detail: "text"
}

const columns = shared.columns.join(", ")

/** The second index is the order in which entries are read and dropped. */
export const createTable = (table: string): string =>
  `CREATE TABLE IF NOT EXISTS ${table} (
${shared.columns.map((name) => `  ${name} ${types[name]} NOT NULL,`).join("\n")}
  written_at bigint NOT NULL,
  PRIMARY KEY (entry_id),
  UNIQUE (written_at, entry_id)
);`

const values = shared.columns.map((name, i) => `(v->>${i})${types[name] === "bigint" ? "::bigint" : ""}`).join(", ")

const named = (operation: string, text: string): Statement => ({ name: statementName(operation, text), text })

export const make = (table: string): Dialect<Statement> => {
  // One value, whatever the number of rows.
  const insert = named(
    "audit.append",
    `WITH ${clock} INSERT INTO ${table} (${columns}, written_at) SELECT ${values}, s.t FROM s, json_array_elements(($1::text)::json) AS v ON CONFLICT (entry_id) DO NOTHING`
  )
  const page = named(
    "audit.page",
    `SELECT ${columns}, written_at FROM ${table} WHERE (written_at, entry_id) > ($1::bigint, $2::text) AND namespace = $3::text AND ($4::text = '' OR lock_id = $4::text) ORDER BY written_at, entry_id LIMIT $5::bigint`
  )
  const drop = named(
    "audit.drop",
    `WITH ${clock}, d AS (DELETE FROM ${table} WHERE entry_id IN (SELECT a.entry_id FROM ${table} AS a, s WHERE a.written_at < s.t - $1::bigint ORDER BY a.written_at, a.entry_id LIMIT $2::bigint) RETURNING 1) SELECT count(*) AS dropped FROM d`
  )
  // Who waits to change a table keeps everybody from it: so it does not wait long. Set-ups go one after the other.
  const parts = ["SET LOCAL lock_timeout = 500;", `SELECT pg_advisory_xact_lock(${advisoryKey});`, createTable(table)]
  return {
    create: { name: "", text: parts.join("\n"), parts },
    check: named("audit.check", `SELECT ${columns}, written_at FROM ${table} LIMIT 0`),
    insert: (rows) => ({ statement: insert, values: [JSON.stringify(rows.map(shared.valuesOf))] }),
    page: (writtenAt, id, { limit, lockId = "", namespace }) => ({
      statement: page,
      values: [writtenAt, id, namespace, lockId, limit]
    }),
    drop: (olderThan, limit) => ({ statement: drop, values: [olderThan, limit] })
  }
}
