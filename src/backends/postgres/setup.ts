/** The table of locks: how it is created, found, and checked when a layer starts. */
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { sentence } from "../../common/checkup.js"
import type { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as errors from "./errors.js"
import { type Executor, runQuery } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import * as names from "./names.js"
import { hides, type Statement } from "./statements.js"
import { findings } from "./startupFindings.js"

const commentOf = (format: number): string => `effect-storage-lock format ${format}`

const types: Record<string, string> = {
  lock_id: "text",
  kind: "text",
  format: "integer",
  owner_id: "text",
  holds: "text",
  token: "bigint",
  version: "bigint",
  began: "bigint",
  expires: "bigint",
  data: "text",
  owner_label: "text"
}

/** Any number, the same in every process: set-ups of one database go one after the other. */
export const advisoryKey = 5_024_810_913_467

/** Cheap, whatever the size of the table. A library that does not know the column leaves it at its default. */
const addLabel = (table: string): string =>
  `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS owner_label text NOT NULL DEFAULT '';`

/** No index on the lease end, and room in the pages: then a renewal touches no index. */
const steps = (table: string): ReadonlyArray<string> => [
  `-- 1. The table of locks: one row per lock id, kept when the lock is free (it remembers the token). Times are microseconds since the epoch.
CREATE TABLE IF NOT EXISTS ${table} (
  lock_id text COLLATE "C" NOT NULL PRIMARY KEY,
  kind text NOT NULL,
  format integer NOT NULL,
  owner_id text NOT NULL,
  holds text NOT NULL,
  token bigint NOT NULL,
  version bigint NOT NULL,
  began bigint NOT NULL,
  expires bigint NOT NULL,
  data text NOT NULL,
  owner_label text NOT NULL DEFAULT ''
) WITH (fillfactor = 70);`,
  `-- 2. What a table of an earlier version lacks: who an owner is, for people.
${addLabel(table)}`,
  `-- 3. The format of the table: an older library refuses a newer one.
COMMENT ON TABLE ${table} IS '${commentOf(LockRecord.format)}';`
]

export const ddl = (table: string): string => steps(table).join("\n\n") + "\n"

const inspectText = `
SELECT
  CASE WHEN c.oid IS NULL THEN 'no' ELSE 'yes' END AS found, n.nspname AS schema, c.relname AS name, c.relpersistence AS persistence,
  obj_description(c.oid, 'pg_class') AS comment,
  (SELECT string_agg(a.attname || '=' || format_type(a.atttypid, NULL), ',') FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
  (SELECT o.collname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation o ON o.oid = a.attcollation
    WHERE a.attrelid = c.oid AND a.attname = 'lock_id') AS collation,
  (SELECT count(*) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indnatts = 1 AND i.indpred IS NULL AND a.attname = 'lock_id') AS keys,
  CASE WHEN row_security_active(c.oid) THEN 'yes' ELSE 'no' END AS guarded,
  CASE WHEN pg_is_in_recovery() THEN 'yes' ELSE 'no' END AS recovery,
  current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
  current_setting('full_page_writes') AS full_page_writes, current_setting('server_encoding') AS encoding
FROM (SELECT to_regclass($1::text)::oid AS oid) q
LEFT JOIN pg_catalog.pg_class c ON c.oid = q.oid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`

export const inspect = { name: names.statementName("inspect", inspectText), text: inspectText }

const columnsOf = (row: Row): ReadonlyMap<string, string> =>
  new Map(
    String(row.columns ?? "")
      .split(",")
      .map((part) => part.split("=") as [string, string])
  )

/** Of an earlier version: all its columns are there, but one. */
const lacksLabel = (row: Row): boolean => {
  const columns = columnsOf(row)
  return (
    !columns.has("owner_label") &&
    Object.entries(types).every(([name, type]) => name === "owner_label" || columns.get(name) === type)
  )
}

/** What a table that is there has against it. */
export const wrong = (table: string, row: Row): string | undefined => {
  if (typeof row.schema !== "string" || typeof row.name !== "string")
    return `what is called ${table} cannot be looked at`
  const format = /^effect-storage-lock format (\d+)$/.exec(String(row.comment ?? ""))?.[1]
  if (format !== undefined && Number(format) > LockRecord.format) {
    return `the table ${table} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
  }
  if (lacksLabel(row))
    return `the table ${table} is of an earlier version of effect-storage-lock. Run: ${addLabel(table)} (or the text of PostgresStorage.ddl)`
  const columns = columnsOf(row)
  const bad = Object.entries(types)
    .filter(([name, type]) => columns.get(name) !== type)
    .map(([name, type]) => `${name} ${type}`)
  if (bad.length > 0)
    return `the table ${table} is not one of locks: it has no column ${bad.join(", ")}. Name another by \`table\``
  if (row.collation !== "C" && row.collation !== "POSIX") {
    return `the column lock_id of ${table} must have the collation "C", so that ids are compared byte for byte`
  }
  return Number(row.keys) > 0 ? undefined : `the table ${table} needs lock_id as its primary key`
}

/** What losing the race to create it looks like, where the advisory lock does not reach: another program, another version. */
const raced = new Set(["23505", "42P07", "42701", "42710", "XX000", "40001", "40P01", "55P03"])

const raceRetry = Schedule.max([Schedule.exponential("10 millis").pipe(Schedule.jittered), Schedule.recurs(8)])

export interface Resolved {
  readonly channel: string
  readonly schema: string
  /** The table that was found, with its schema: a later connection whose `search_path` is another would find another of that name, or none. */
  readonly table: string
}

/** Looks first: where the table is there and right, no right beyond using it is needed. */
export const prepare = (
  executor: Executor<Statement>,
  options: { readonly table: string; readonly setup: boolean; readonly millis: number }
): Effect.Effect<Resolved, StorageError> => {
  const { millis, setup, table } = options
  const ask = (statement: Statement, values: ReadonlyArray<unknown> = []) =>
    runQuery(executor, "setup", { statement, values }, millis)
  const look = Effect.flatMap(ask(inspect, [table]), ([row]) =>
    row === undefined ? errors.odd("setup") : Effect.succeed(row)
  )
  // Without values it is one simple query of many statements, or its parts in a transaction: both end with the lock. Who waits to change the table keeps everybody from it: so it does not wait long.
  const script = (changes: ReadonlyArray<string>) => {
    const parts = ["SET LOCAL lock_timeout = 500;", `SELECT pg_advisory_xact_lock(${advisoryKey});`, ...changes]
    return Effect.retry(ask({ name: "", text: parts.join("\n"), parts }), {
      schedule: raceRetry,
      while: (error) => raced.has(errors.codeOf(error.cause) ?? "")
    })
  }
  const missing = errors.schema(
    "setup",
    `the table ${table} does not exist (as seen with this connection's search_path): run the text of PostgresStorage.ddl, or set \`setup: true\``
  )
  const existing = Effect.flatMap(look, (row) => (row.found === "yes" ? Effect.succeed(row) : missing))
  // Whatever failed in the making, another process may have made it meanwhile: the table itself decides.
  const made = script(steps(table)).pipe(
    Effect.matchEffect({
      onSuccess: () => existing,
      onFailure: (error) =>
        Effect.catchIf(
          existing,
          (other) => other === missing,
          () => error
        )
    })
  )
  // What cannot be added is told as what is missing, with the statement for somebody who may.
  const complete = (row: Row) =>
    setup && lacksLabel(row)
      ? Effect.andThen(
          Effect.catchIf(
            script([addLabel(table)]),
            (error) => error.reason === "Permission",
            () => Effect.void
          ),
          existing
        )
      : Effect.succeed(row)
  const found = Effect.flatMap(
    setup
      ? Effect.catchIf(
          existing,
          (error) => error === missing,
          () => made
        )
      : existing,
    complete
  )
  const hidden = (row: Row) =>
    row.guarded !== "yes"
      ? Effect.void
      : Effect.flatMap(ask(hides(table)), ([answer]) =>
          answer?.hides === "no"
            ? Effect.void
            : errors.permission(
                "setup",
                `row-level security may hide rows of ${table} from this role, and then a lock that somebody has looks free. ` +
                  `Switch it off (ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY), or let the role see and change every row: as the table's owner, by BYPASSRLS, or by a policy FOR ALL USING (true)`
              )
        )

  return found.pipe(
    Effect.tap((row) =>
      Effect.forEach(findings(table, row), (found) => Effect.logWarning(`PostgresStorage: ${sentence(found)}`))
    ),
    Effect.tap((row) => {
      const fault = wrong(table, row)
      return fault === undefined ? hidden(row) : errors.schema("setup", fault)
    }),
    Effect.map((row) => ({
      schema: String(row.schema),
      channel: names.channel(String(row.schema), String(row.name)),
      table: names.qualified(String(row.name), String(row.schema))
    }))
  )
}
