/** The fence in the words of each dialect. */

export type Dialect = "pg" | "sqlite" | "mysql" | "mssql"

export interface Fence {
  /** Quoted. */
  readonly table: (name: string) => string
  /** Of a resource, in bytes of UTF-8: where the column has a length. */
  readonly longest: number
  readonly ddl: (table: string) => string
  /**
   * Waits for whoever writes to this resource now, and judges what they left. One statement after the other, and the last one gives a row if the token is accepted. Where a resource stands in
   * the text it is in hex: bytes, whatever the connection makes of its character set.
   */
  readonly check: (table: string, resource: string, token: number) => ReadonlyArray<Statement>
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

const standard = {
  table: doubled('"'),
  longest: Number.POSITIVE_INFINITY,
  ddl: (table: string) =>
    `CREATE TABLE IF NOT EXISTS ${table} (resource TEXT NOT NULL PRIMARY KEY, token BIGINT NOT NULL)`
}

const upsert =
  (resource: string, token: string) =>
  (table: string, ...values: readonly [string, number]) => [
    {
      text: `INSERT INTO ${table} AS fence (resource, token) VALUES (${resource}, ${token})
ON CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE fence.token <= excluded.token RETURNING 1 AS accepted`,
      values
    }
  ]

export const of: Record<Dialect, Fence> = {
  pg: { ...standard, check: upsert("$1", "$2") },
  sqlite: { ...standard, check: upsert("?", "?") },
  // MySQL, MariaDB and TiDB.
  mysql: {
    table: doubled("`"),
    longest: 1020,
    ddl: (table) =>
      `CREATE TABLE IF NOT EXISTS ${table} (resource VARBINARY(1020) NOT NULL PRIMARY KEY, token BIGINT NOT NULL) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
    check: (table, resource, token) => [
      {
        text: `INSERT INTO ${table} (resource, token) VALUES (x'${hex(resource)}', ${token}) ON DUPLICATE KEY UPDATE token = GREATEST(token, ${token})`
      },
      // The newest version, not that of when the transaction began.
      {
        text: `SELECT 1 AS accepted FROM ${table} WHERE resource = x'${hex(resource)}' AND token = ${token} LIMIT 1 FOR UPDATE`
      }
    ]
  },
  // The lock is kept to the end of the transaction; HOLDLOCK keeps the place of a row that is not there yet.
  mssql: {
    table: (name) => `[${name.replaceAll("]", "]]")}]`,
    longest: 900,
    ddl: (table) =>
      `IF OBJECT_ID(N${doubled("'")(table)}, N'U') IS NULL CREATE TABLE ${table} (resource VARBINARY(900) NOT NULL PRIMARY KEY, token BIGINT NOT NULL)`,
    check: (table, resource, token) => [
      {
        text: `MERGE INTO ${table} WITH (HOLDLOCK) AS fence
USING (VALUES (CAST(0x${hex(resource)} AS VARBINARY(900)), CAST(${token} AS BIGINT))) AS given (resource, token) ON fence.resource = given.resource
WHEN MATCHED AND fence.token <= given.token THEN UPDATE SET token = given.token
WHEN NOT MATCHED THEN INSERT (resource, token) VALUES (given.resource, given.token)
OUTPUT 1 AS accepted;`
      }
    ]
  }
}
