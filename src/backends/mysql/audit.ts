/** The audit trail as a table of the MySQL family. */
import type { ResultSetHeader } from "mysql2"
import * as shared from "../shared/audit.js"
import type { Dialect } from "../sql/audit.js"
import type { Query } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as judge from "./judge.js"
import { commit, decoded, hex, int, type Packet } from "./packet.js"
import { clusterClock, type Flavour } from "./statements.js"

/** Texts, which people can read; each with a character set of its own, whatever that of the database is. */
const text = (type: string): string => `${type} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`

const types: Readonly<Record<(typeof shared.columns)[number], string>> = {
  entry_id: "varchar(64) CHARACTER SET ascii COLLATE ascii_bin",
  happened_at: "bigint",
  event: text("varchar(64)"),
  namespace: text("varchar(64)"),
  lock_id: text("varchar(255)"),
  owner_id: text("varchar(255)"),
  owner_label: text("varchar(255)"),
  token: "bigint",
  host: text("varchar(255)"),
  pid: "bigint",
  detail: text("mediumtext")
}

/** The second index is the order in which entries are read and dropped. */
export const createTable = (table: string): string =>
  `CREATE TABLE IF NOT EXISTS ${table} (
${shared.columns.map((name) => `  ${name} ${types[name]} NOT NULL,`).join("\n")}
  written_at bigint NOT NULL,
  PRIMARY KEY (entry_id),
  KEY (written_at, entry_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`

const columns = shared.columns.join(", ")

/** As bytes, whatever the character set of the connection. */
const told = shared.columns
  .map((name) => (types[name] === "bigint" ? name : `CAST(${name} AS BINARY) AS ${name}`))
  .join(", ")

const literal = (value: string | number): string =>
  typeof value === "number" ? int(value) : value === "" ? "''" : `_utf8mb4 ${hex(value)}`

/** Milliseconds since the epoch, of the sample. */
const now = `(${judge.t} DIV 1000)`

export const make =
  (flavour: Flavour) =>
  (table: string): Dialect<Packet> => {
    const packet = (statement: string, read: (result: unknown) => ReadonlyArray<Row>): Packet =>
      flavour === "TiDB"
        ? {
            statements: ["BEGIN", `SET ${judge.t} = ${clusterClock}`, statement, commit],
            read: (results) => read(results[2])
          }
        : { statements: [judge.sample, statement, commit], read: (results) => read(results[1]) }
    const query = (statement: string, read: (result: unknown) => ReadonlyArray<Row>): Query<Packet> => ({
      statement: packet(statement, read),
      values: []
    })
    const nothing = () => []
    return {
      create: { statements: [createTable(table)], read: nothing },
      check: { statements: [`SELECT ${columns}, written_at FROM ${table} LIMIT 0`], read: nothing },
      // IGNORE would pass over more than what is there already.
      insert: (rows) =>
        query(
          `INSERT INTO ${table} (${columns}, written_at) VALUES ${rows.map((row) => `(${shared.valuesOf(row).map(literal).join(", ")}, ${now})`).join(", ")} ON DUPLICATE KEY UPDATE pid = ${table}.pid`,
          nothing
        ),
      page: (writtenAt, id, { limit, lockId, namespace }) => {
        const [at, last] = [int(writtenAt), `_ascii ${hex(id)}`]
        return query(
          `SELECT ${told}, written_at FROM ${table} WHERE written_at >= ${at} AND (written_at > ${at} OR entry_id > ${last}) AND CAST(namespace AS BINARY) = ${hex(namespace)}${
            // Bytes, for blanks at the end of texts do not count.
            lockId === undefined ? "" : ` AND CAST(lock_id AS BINARY) = ${hex(lockId)}`
          } ORDER BY written_at, entry_id LIMIT ${int(limit)}`,
          decoded
        )
      },
      drop: (olderThan, limit) =>
        query(
          `DELETE FROM ${table} WHERE written_at < ${now} - ${int(olderThan)} ORDER BY written_at, entry_id LIMIT ${int(limit)}`,
          (result) => [{ dropped: (result as ResultSetHeader).affectedRows }]
        )
    }
  }
