/** The table on SQL Server: how it is made, and whether it is as it must be. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import { type Executor, runQuery } from "../sql/executor.js"
import { type Row, withoutLabels } from "../sql/record.js"
import * as errors from "./errors.js"
import * as names from "./names.js"
import { binary, longestId, notNow, prologue, type Statement } from "./statements.js"

const property = "effect-storage-lock format"

const types: Record<string, string> = {
  lock_id: `varbinary(${longestId})`,
  kind: "nvarchar(128)",
  format: "int",
  owner_id: `varbinary(${longestId})`,
  holds: "nvarchar(max)",
  token: "bigint",
  version: "bigint",
  began: "bigint",
  expires: "bigint",
  data: "nvarchar(max)"
}

/** What versions before labels had no column for. With a default, so that they can go on beside newer ones. */
const label = `owner_label nvarchar(255) ${binary} NOT NULL DEFAULT N''`
const addLabel = (table: string): string => `ALTER TABLE ${table} ADD ${label}`

const columns = Object.entries(types)
  .map(
    ([name, type]) =>
      `  ${name} ${type}${type.startsWith("nvarchar") ? ` ${binary}` : ""} NOT NULL${name === "lock_id" ? " PRIMARY KEY CLUSTERED" : ""}`
  )
  .join(",\n")

/** No index on the lease end: then a renewal touches no index. */
export const ddl = (table: string): string => {
  const id = `OBJECT_ID(${names.literal(table)}, N'U')`
  return `-- 1. The table of locks: one row per lock id, kept when the lock is free (it remembers the token). Times are microseconds since the epoch; ids are UTF-8.
IF ${id} IS NULL
CREATE TABLE ${table} (
${columns},
  ${label}
);

-- 2. A table of a version before owner labels gets their column.
IF COL_LENGTH(${names.literal(table)}, N'owner_label') IS NULL ${addLabel(table)};

-- 3. The format of the table: an older library refuses a newer one.
IF NOT EXISTS (SELECT 1 FROM sys.extended_properties AS p WHERE p.class = 1 AND p.major_id = ${id} AND p.minor_id = 0 AND p.name = N'${property}')
BEGIN
  DECLARE @effect_storage_lock_schema sysname = OBJECT_SCHEMA_NAME(${id}), @effect_storage_lock_table sysname = OBJECT_NAME(${id});
  EXEC sys.sp_addextendedproperty @name = N'${property}', @value = N'${LockRecord.format}',
    @level0type = N'SCHEMA', @level0name = @effect_storage_lock_schema, @level1type = N'TABLE', @level1name = @effect_storage_lock_table;
END;
`
}

/** One row for each column of the table, or one if there is no table. */
const inspect = (table: string, lockTimeout: number): Statement => ({
  kinds: [],
  lockTimeout,
  text: `${prologue(lockTimeout)}
SELECT CASE WHEN t.object_id IS NULL THEN 0 ELSE 1 END AS found, CONVERT(int, t.is_memory_optimized) AS in_memory, OBJECT_SCHEMA_NAME(t.object_id) AS [schema],
  c.name AS [column], TYPE_NAME(c.system_type_id) AS [type], c.max_length AS size,
  (SELECT CONVERT(nvarchar(100), p.value) FROM sys.extended_properties AS p
    WHERE p.class = 1 AND p.major_id = t.object_id AND p.minor_id = 0 AND p.name = N'${property}') AS format,
  (SELECT COUNT(*) FROM sys.indexes AS i
    INNER JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id AND x.key_ordinal = 1
    INNER JOIN sys.columns AS k ON k.object_id = x.object_id AND k.column_id = x.column_id AND k.name = N'lock_id'
    WHERE i.object_id = t.object_id AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 AND NOT EXISTS (
      SELECT 1 FROM sys.index_columns AS y WHERE y.object_id = i.object_id AND y.index_id = i.index_id AND y.key_ordinal > 1)) AS keys,
  (SELECT COUNT(*) FROM sys.tables AS o
    INNER JOIN sys.extended_properties AS p ON p.class = 1 AND p.major_id = o.object_id AND p.minor_id = 0 AND p.name = N'${property}'
    WHERE o.name = t.name AND o.object_id <> t.object_id) AS others,
  CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Updateability')) AS updateability, d.delayed_durability_desc AS durability, DB_NAME() AS [database]
FROM (SELECT OBJECT_ID(${names.literal(table)}, N'U') AS id) AS q
LEFT JOIN sys.tables AS t ON t.object_id = q.id
LEFT JOIN sys.columns AS c ON c.object_id = t.object_id
LEFT JOIN sys.databases AS d ON d.name = DB_NAME();`
})

/** Set-ups of one database go one after the other. */
const create = (table: string, lockTimeout: number): Statement => ({
  kinds: [],
  lockTimeout,
  text: `${prologue(lockTimeout)}
DECLARE @effect_storage_lock_turn int;
BEGIN TRANSACTION;
EXEC @effect_storage_lock_turn = sys.sp_getapplock @Resource = N'effect-storage-lock', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = ${lockTimeout};
IF @effect_storage_lock_turn < 0 THROW ${notNow}, N'effect-storage-lock: another set-up is under way', 1;
${ddl(table)}COMMIT TRANSACTION;`
})

const sized = (type: string, size: unknown): string =>
  type === "varbinary"
    ? `varbinary(${Number(size) === -1 ? "max" : String(size)})`
    : type === "nvarchar"
      ? `nvarchar(${Number(size) === -1 ? "max" : String(Number(size) / 2)})`
      : type

type Columns = ReadonlyMap<unknown, string>

const columnsOf = (rows: ReadonlyArray<Row>): Columns =>
  new Map(rows.map((row) => [row.column, sized(String(row.type), row.size)]))

const missingOf = (found: Columns): ReadonlyArray<string> =>
  Object.entries(types)
    .filter(([name, type]) => found.get(name) !== type)
    .map(([name, type]) => `${name} ${type}`)

/** A table of locks of a version before owner labels: all that there was then, and no column for them. */
const isUnlabelled = (found: Columns): boolean => missingOf(found).length === 0 && !found.has("owner_label")

/** What a table that is there has against it. */
const wrong = (table: string, rows: ReadonlyArray<Row>): string | undefined => {
  const first = rows[0]!
  const format = first.format === null || first.format === undefined ? LockRecord.format : Number(first.format)
  if (!Number.isInteger(format))
    return `the table ${table} has a format that cannot be read, in its extended property ${JSON.stringify(property)}`
  if (format > LockRecord.format)
    return `the table ${table} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
  const found = columnsOf(rows)
  if (isUnlabelled(found)) return withoutLabels(table, addLabel(table))
  const bad = [
    ...missingOf(found),
    ...(found.get("owner_label") === "nvarchar(255)" ? [] : ["owner_label nvarchar(255)"])
  ]
  if (bad.length > 0)
    return `the table ${table} is not one of locks: it has no column ${bad.join(", ")}. Name another by \`table\``
  if (Number(first.in_memory) === 1)
    return `the table ${table} is memory-optimized, which does not know the locks of rows that are needed here`
  return Number(first.keys) > 0 ? undefined : `the table ${table} needs lock_id as its primary key`
}

const warnings = (row: Row, named: boolean): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (row.updateability === "READ_ONLY")
    found.push("the database is read-only (a secondary replica, or set so): every claim will fail")
  if (row.durability === "FORCED") {
    found.push(
      "the database forces delayed durability: a crash of the server may forget the last claims, and two owners may hold one lock"
    )
  }
  if (row.database === "tempdb") found.push("the table is in tempdb: a restart of the server forgets all locks")
  if (!named && Number(row.others) > 0) {
    found.push(
      `another schema has a table of locks of the same name. This process uses the one in ${JSON.stringify(row.schema)}; those whose users have another default schema may use the other: name \`schema\``
    )
  }
  return found
}

export interface Options {
  /** Not quoted yet. */
  readonly table: string
  readonly schema: string | undefined
  /** The database that was asked for, where that is known. */
  readonly database: string | undefined
  readonly setup: boolean
  readonly millis: number
  readonly lockTimeout: number
}

/** Where the table is, whatever a connection's database and default schema are later. */
export interface Place {
  readonly table: string
  readonly schema: string | undefined
  readonly database: string
}

/** Looks first: where the table is there and right, no right beyond using it is needed. */
export const prepare = (executor: Executor<Statement>, options: Options): Effect.Effect<Place, StorageError> => {
  const { lockTimeout, millis, schema, setup } = options
  const table = names.qualified(options.table, schema)
  const ask = (statement: Statement) => runQuery(executor, "setup", { statement, values: [] }, millis)
  const missing = errors.schema(
    "setup",
    `the table ${table} does not exist, or this login must not see it: run the text of MssqlStorage.ddl, or set \`setup: true\``
  )
  const existing = Effect.flatMap(
    ask(inspect(table, lockTimeout)),
    (rows): Effect.Effect<ReadonlyArray<Row>, StorageError> => {
      const [first] = rows
      if (first === undefined || typeof first.database !== "string") return errors.odd("setup")
      if (options.database !== undefined && !names.sameName(options.database, first.database))
        return errors.elsewhere("setup", first.database, options.database)
      return Number(first.found) === 1 ? Effect.succeed(rows) : missing
    }
  )
  // Whatever failed in the making, another process may have made it meanwhile: the table itself decides.
  const made = Effect.matchEffect(ask(create(table, lockTimeout)), {
    onSuccess: () => existing,
    onFailure: (error) =>
      Effect.catchIf(
        existing,
        (other) => other === missing,
        () => error
      )
  })
  const found = setup
    ? Effect.catchIf(
        existing,
        (error) => error === missing,
        () => made
      ).pipe(Effect.flatMap((rows) => (isUnlabelled(columnsOf(rows)) ? made : Effect.succeed(rows))))
    : existing
  return Effect.flatMap(found, (rows) => {
    const first = rows[0]!
    const fault = wrong(table, rows)
    return Effect.forEach(warnings(first, schema !== undefined), (text) =>
      Effect.logWarning(`MssqlStorage: ${text}`)
    ).pipe(
      Effect.andThen(
        fault === undefined
          ? Effect.succeed({
              table: names.qualified(options.table, typeof first.schema === "string" ? first.schema : schema),
              schema: typeof first.schema === "string" ? first.schema : schema,
              database: String(first.database)
            })
          : errors.schema("setup", fault)
      )
    )
  })
}
