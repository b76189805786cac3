/** The fence in the words of each dialect. */

export type Dialect = "pg" | "sqlite" | "mysql" | "mssql"

/**
 * Waits for whoever writes to this resource now, and judges what they left. One statement after the other, and the last one gives a row if the token is accepted. Where a resource stands in
 * the text it is in hex: bytes, whatever the connection makes of its character set.
 */
type Check = (table: string, resource: string, token: number) => ReadonlyArray<Statement>

export interface Fence {
  /** Quoted. */
  readonly table: (name: string) => string
  /** Of a resource, in bytes of UTF-8: where the column has a length. */
  readonly longest: number
  /** `withReaders`: of a table that keeps the greatest token that has read, too. */
  readonly ddl: (table: string, withReaders: boolean) => string
  readonly check: Check
  /** On a table with readers: at least what has written, and raises what has read. */
  readonly read: Check
  /** On a table with readers: at least what has written and what has read. */
  readonly write: Check
}

export interface Statement {
  readonly text: string
  readonly values?: ReadonlyArray<string | number> | undefined
}

const doubled =
  (mark: string) =>
  (name: string): string =>
    mark + name.replaceAll(mark, mark + mark) + mark

const hex = (text: string): string => Buffer.from(text, "utf8").toString("hex")

const columns = (resource: string, withReaders: boolean): string =>
  `(resource ${resource} NOT NULL PRIMARY KEY, token BIGINT NOT NULL${withReaders ? ", read_token BIGINT NOT NULL" : ""})`

const standard = {
  table: doubled('"'),
  longest: Number.POSITIVE_INFINITY,
  ddl: (table: string, withReaders: boolean) => `CREATE TABLE IF NOT EXISTS ${table} ${columns("TEXT", withReaders)}`
}

/** By their words for the two parameters, and for the greater of two numbers. */
const upserts = (resource: string, token: string, greater: string) => {
  const upsert =
    (row: string, change: string): Check =>
    (table, ...values) => [
      {
        text: `INSERT INTO ${table} AS fence ${row}
ON CONFLICT (resource) DO UPDATE SET ${change} RETURNING 1 AS accepted`,
        values
      }
    ]
  return {
    check: upsert(
      `(resource, token) VALUES (${resource}, ${token})`,
      "token = excluded.token WHERE fence.token <= excluded.token"
    ),
    read: upsert(
      `(resource, token, read_token) VALUES (${resource}, 0, ${token})`,
      `read_token = ${greater}(fence.read_token, excluded.read_token) WHERE fence.token <= excluded.read_token`
    ),
    write: upsert(
      `(resource, token, read_token) VALUES (${resource}, ${token}, 0)`,
      `token = excluded.token WHERE ${greater}(fence.token, fence.read_token) <= excluded.token`
    )
  }
}

/** MySQL, MariaDB and TiDB: a statement that changes what it may, and one that reads the newest version, not that of when the transaction began. */
const changed =
  (row: (token: number) => string, change: (token: number) => string, accepted: (token: number) => string): Check =>
  (table, resource, token) => [
    {
      text: `INSERT INTO ${table} ${row(token).replace("?", `x'${hex(resource)}'`)} ON DUPLICATE KEY UPDATE ${change(token)}`
    },
    {
      text: `SELECT 1 AS accepted FROM ${table} WHERE resource = x'${hex(resource)}' AND ${accepted(token)} LIMIT 1 FOR UPDATE`
    }
  ]

/** SQL Server: the lock is kept to the end of the transaction; HOLDLOCK keeps the place of a row that is not there yet. */
const merge =
  (matched: string, change: string, row: string): Check =>
  (table, resource, token) => [
    {
      text: `MERGE INTO ${table} WITH (HOLDLOCK) AS fence
USING (VALUES (CAST(0x${hex(resource)} AS VARBINARY(900)), CAST(${token} AS BIGINT))) AS given (resource, token) ON fence.resource = given.resource
WHEN MATCHED AND ${matched} THEN UPDATE SET ${change}
WHEN NOT MATCHED THEN INSERT ${row}
OUTPUT 1 AS accepted;`
    }
  ]

export const of: Record<Dialect, Fence> = {
  pg: { ...standard, ...upserts("$1", "$2", "GREATEST") },
  sqlite: { ...standard, ...upserts("?", "?", "MAX") },
  mysql: {
    table: doubled("`"),
    longest: 1020,
    ddl: (table, withReaders) =>
      `CREATE TABLE IF NOT EXISTS ${table} ${columns("VARBINARY(1020)", withReaders)} ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
    check: changed(
      (token) => `(resource, token) VALUES (?, ${token})`,
      (token) => `token = GREATEST(token, ${token})`,
      (token) => `token = ${token}`
    ),
    read: changed(
      (token) => `(resource, token, read_token) VALUES (?, 0, ${token})`,
      (token) => `read_token = IF(token <= ${token}, GREATEST(read_token, ${token}), read_token)`,
      (token) => `token <= ${token}`
    ),
    write: changed(
      (token) => `(resource, token, read_token) VALUES (?, ${token}, 0)`,
      (token) => `token = IF(GREATEST(token, read_token) <= ${token}, ${token}, token)`,
      (token) => `token = ${token} AND read_token <= ${token}`
    )
  },
  mssql: {
    table: (name) => `[${name.replaceAll("]", "]]")}]`,
    longest: 900,
    ddl: (table, withReaders) =>
      `IF OBJECT_ID(N${doubled("'")(table)}, N'U') IS NULL CREATE TABLE ${table} ${columns("VARBINARY(900)", withReaders)}`,
    check: merge(
      "fence.token <= given.token",
      "token = given.token",
      "(resource, token) VALUES (given.resource, given.token)"
    ),
    read: merge(
      "fence.token <= given.token",
      "read_token = CASE WHEN fence.read_token > given.token THEN fence.read_token ELSE given.token END",
      "(resource, token, read_token) VALUES (given.resource, 0, given.token)"
    ),
    write: merge(
      "fence.token <= given.token AND fence.read_token <= given.token",
      "token = given.token",
      "(resource, token, read_token) VALUES (given.resource, given.token, 0)"
    )
  }
}
