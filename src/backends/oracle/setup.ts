/** The table on Oracle: how it is made, and whether it is as it must be. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import { type Executor, runQuery } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as errors from "./errors.js"
import * as names from "./names.js"
import { longest, longestHolds, type Statement } from "./statements.js"

const comment = "effect-storage-lock format"

/** Bytes and numbers, so that no collation, character set or language makes two ids one. `''` is NULL: what may be empty may be NULL. */
const types: Readonly<Record<string, string>> = {
  lock_id: `RAW(${longest.lock_id})`,
  kind: `RAW(${longest.kind})`,
  format: "NUMBER(10)",
  owner_id: `RAW(${longest.owner_id})`,
  holds: `VARCHAR2(${longestHolds} BYTE)`,
  token: "NUMBER(19)",
  version: "NUMBER(19)",
  began: "NUMBER(19)",
  expires: "NUMBER(19)",
  data: `RAW(${longest.data})`,
  owner_label: `RAW(${longest.owner_label})`
}

const mayBeEmpty = new Set(["owner_id", "holds", "data", "owner_label"])

/** No index on the lease end: then a renewal touches no index. */
export const createTable = (table: string): string =>
  `CREATE TABLE ${table} (
${Object.entries(types)
  .map(([name, type]) => `  ${name} ${type}${mayBeEmpty.has(name) ? "" : " NOT NULL"},\n`)
  .join("")}  PRIMARY KEY (lock_id)
)`

export const commentTable = (table: string): string => `COMMENT ON TABLE ${table} IS '${comment} ${LockRecord.format}'`

/** Before 23ai there is no IF NOT EXISTS. */
const create = (table: string): string => `BEGIN
  -- 1. The table of locks: one row per lock id, kept when the lock is free (it remembers the token). Times are microseconds since the epoch; ids are UTF-8.
  BEGIN
    EXECUTE IMMEDIATE ${names.literal(createTable(table))};
  EXCEPTION WHEN OTHERS THEN
    -- It is there already.
    IF SQLCODE <> -955 THEN RAISE; END IF;
  END;
  -- 2. The format of the table: an older library refuses a newer one.
  EXECUTE IMMEDIATE ${names.literal(commentTable(table))};
END;`

export const ddl = (table: string): string => `${create(table)}
/
`

const statement = (form: Statement["form"], text: string, given: Statement["given"] = []): Statement => ({
  form,
  text,
  given,
  told: [],
  read: (row) => row
})

/** One row for each column of the table, or one if there is no table. The views show what the user has a right on, and need none. */
export const inspect = `SELECT s.place AS "schema", s.role AS "role", t.table_name AS "found", t.temporary AS "temporary", m.comments AS "comment", c.column_name AS "column", c.data_type AS "type",
  c.data_length AS "size", c.data_precision AS "precision", (SELECT COUNT(*) FROM ALL_CONSTRAINTS k INNER JOIN ALL_CONS_COLUMNS x ON x.owner = k.owner AND x.constraint_name = k.constraint_name AND x.table_name = k.table_name
    WHERE k.owner = t.owner AND k.table_name = t.table_name AND k.constraint_type IN ('P', 'U') AND k.status = 'ENABLED' AND k.deferrable = 'NOT DEFERRABLE' AND x.column_name = 'LOCK_ID'
    AND (SELECT COUNT(*) FROM ALL_CONS_COLUMNS y WHERE y.owner = k.owner AND y.constraint_name = k.constraint_name AND y.table_name = k.table_name) = 1) AS "keys"
FROM (SELECT NVL(:i_schema, SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')) AS place, SYS_CONTEXT('USERENV', 'DATABASE_ROLE') AS role FROM DUAL) s
LEFT JOIN ALL_TABLES t ON t.owner = s.place AND t.table_name = :i_table
LEFT JOIN ALL_TAB_COMMENTS m ON m.owner = t.owner AND m.table_name = t.table_name
LEFT JOIN ALL_TAB_COLUMNS c ON c.owner = t.owner AND c.table_name = t.table_name`

const inspection = statement("query", inspect, [
  { name: "schema", kind: "hex" },
  { name: "table", kind: "hex" }
])

const typeOf = (row: Row): string => {
  const type = String(row.type)
  return type === "RAW"
    ? `RAW(${String(row.size)})`
    : type === "VARCHAR2"
      ? `VARCHAR2(${String(row.size)} BYTE)`
      : type === "NUMBER" && row.precision !== null
        ? `NUMBER(${String(row.precision)})`
        : type
}

/** What a table that is there has against it. */
const wrong = (table: string, rows: ReadonlyArray<Row>): string | undefined => {
  const first = rows[0]!
  const told = typeof first.comment === "string" ? new RegExp(`${comment} (\\d+)`).exec(first.comment)?.[1] : undefined
  if (told !== undefined && Number(told) > LockRecord.format)
    return `the table ${table} has format ${told}, newer than ${LockRecord.format}: update effect-storage-lock`
  const found = new Map(rows.map((row) => [String(row.column).toLowerCase(), typeOf(row)]))
  const bad = Object.entries(types).filter(([name, type]) => found.get(name) !== type)
  if (bad.length > 0)
    return `the table ${table} is not one of locks: it has no column ${bad.map((column) => column.join(" ")).join(", ")}. Name another by \`table\``
  if (first.temporary === "Y")
    return `the table ${table} is temporary: each session, or each transaction, would have its own locks`
  return Number(first.keys) > 0
    ? undefined
    : `the table ${table} needs lock_id as its primary key, enabled and not deferrable`
}

export interface Options {
  /** Not quoted yet. */
  readonly table: string
  readonly schema: string | undefined
  readonly setup: boolean
  readonly millis: number
}

/** Looks first: where the table is there and right, no right beyond using it is needed. Returns where the table is, whatever the schema of a session is later. */
export const prepare = (executor: Executor<Statement>, options: Options): Effect.Effect<string, StorageError> => {
  const { millis, schema, setup } = options
  const asked = names.qualified(options.table, schema)
  const ask = (sent: Statement, values: ReadonlyArray<unknown> = []) =>
    runQuery(executor, "setup", { statement: sent, values }, millis)
  const missing = errors.schema(
    "setup",
    `the table ${asked} does not exist, or this user must not see it: run the text of OracleStorage.ddl, or set \`setup: true\`. A name is taken as it is, and Oracle's own are in upper case`
  )
  const existing = Effect.flatMap(
    ask(inspection, [schema ?? "", options.table]),
    (rows): Effect.Effect<ReadonlyArray<Row>, StorageError> => {
      const [first] = rows
      if (typeof first?.schema !== "string") return errors.odd("setup")
      return first.found === null ? missing : Effect.succeed(rows)
    }
  )
  const isMissing = (error: StorageError) => error === missing
  // Whatever failed in the making, another process may have made it meanwhile: the table itself decides.
  const made = Effect.matchEffect(ask({ ...statement("block", create(asked)), read: () => undefined }), {
    onSuccess: () => existing,
    onFailure: (error) => Effect.catchIf(existing, isMissing, () => error)
  })
  const found = setup ? Effect.catchIf(existing, isMissing, () => made) : existing
  return Effect.flatMap(found, (rows) => {
    const first = rows[0]!
    const fault = wrong(asked, rows)
    if (fault !== undefined) return errors.schema("setup", fault)
    const table = Effect.succeed(names.qualified(options.table, String(first.schema)))
    return first.role === null || first.role === undefined || first.role === "PRIMARY"
      ? table
      : Effect.andThen(
          Effect.logWarning(
            `OracleStorage: the database is ${String(first.role)}, and no primary: every claim will fail while it is`
          ),
          table
        )
  })
}
