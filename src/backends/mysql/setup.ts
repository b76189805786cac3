/** The table on MySQL, MariaDB and TiDB: how it is made, and whether it is as it must be. */
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { sentence } from "../../common/checkup.js"
import type { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import { type Executor, runQuery } from "../sql/executor.js"
import { withoutLabels } from "../sql/record.js"
import * as errors from "./errors.js"
import { decoded, hex, longestId, type Packet } from "./packet.js"
import type { Flavour } from "./statements.js"
import { findings } from "./startupFindings.js"

const types: Record<string, string> = {
  lock_id: `varbinary(${longestId})`,
  kind: "varbinary(255)",
  format: "int",
  owner_id: `varbinary(${longestId})`,
  holds: "mediumblob",
  token: "bigint",
  version: "bigint",
  began: "bigint",
  expires: "bigint",
  data: "mediumblob"
}

/** What versions before labels had no column for. With a default, so that they can go on beside newer ones. */
const labelType = types["owner_id"]!
const label = `owner_label ${labelType} NOT NULL DEFAULT ''`
const addLabel = (table: string): string => `ALTER TABLE ${table} ADD COLUMN ${label}`

/** Bytes, so that no collation makes two ids one. No index on the lease end: then a renewal touches no index. */
export const ddl = (table: string): string =>
  `-- 1. The table of locks: one row per lock id, kept when the lock is free (it remembers the token). Times are microseconds since the epoch.
--    Its comment tells its format: an older library refuses a newer one.
CREATE TABLE IF NOT EXISTS ${table} (
${Object.entries(types)
  .map(([name, type]) => `  ${name} ${type} NOT NULL,\n`)
  .join("")}  ${label},
  PRIMARY KEY (lock_id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC COMMENT = 'effect-storage-lock format ${LockRecord.format}';
`

const watched = [
  "binlog_format",
  "innodb_flush_log_at_trx_commit",
  "innodb_read_only",
  "log_bin",
  "read_only",
  "super_read_only",
  "sync_binlog",
  "wsrep_on"
]

export interface Server {
  readonly flavour: Flavour
  /** Whether many locks can go in one statement. */
  readonly groups: boolean
  /** What the server calls the database of the table. */
  readonly database: string
  /** Why nobody can be woken there, if so. */
  readonly mute: string | undefined
}

export interface Seen {
  readonly flavour: Flavour
  /** What the server calls itself. */
  readonly version: string
  /** The database of the connection. */
  readonly database: string
  readonly autocommit: boolean
  readonly variables: ReadonlyMap<string, string>
  readonly table: { readonly engine: string; readonly comment: string } | undefined
  readonly columns: ReadonlyMap<string, string>
  /** Whether the lock id alone, and whole, is the primary key. */
  readonly keyed: boolean
}

const text = (value: unknown): string => String(value ?? "")

/** By what the server says of itself: no setting decides, for the same URL may lead to another server tomorrow. */
const flavourOf = (version: string, comment: string): Flavour =>
  /tidb/i.test(version) || /^tidb/i.test(comment) ? "TiDB" : /mariadb/i.test(version) ? "MariaDB" : "MySQL"

export const inspect = (table: string, database: string | undefined): Packet => {
  const where = `table_schema = ${database === undefined ? "DATABASE()" : `_utf8mb4 ${hex(database)}`} AND table_name = _utf8mb4 ${hex(table)}`
  return {
    statements: [
      "SELECT VERSION() AS version, @@version_comment AS comment, @@autocommit AS autocommit, DATABASE() AS named LIMIT 1",
      `SHOW VARIABLES WHERE Variable_name IN (${watched.map((name) => `'${name}'`).join(", ")})`,
      `SELECT engine AS engine, table_comment AS comment FROM information_schema.tables WHERE ${where} LIMIT 1`,
      `SELECT column_name AS name, column_type AS type FROM information_schema.columns WHERE ${where} LIMIT 5000`,
      `SELECT column_name AS name, sub_part AS part FROM information_schema.statistics WHERE ${where} AND index_name = 'PRIMARY' LIMIT 20`
    ],
    read: (results) => {
      const [server, variables, tables, columns, keys] = results.map(decoded)
      const version = text(server![0]!.version)
      const found = tables![0]
      const seen: Seen = {
        flavour: flavourOf(version, text(server![0]!.comment)),
        version,
        database: text(server![0]!.named),
        autocommit: Number(server![0]!.autocommit) === 1,
        variables: new Map(variables!.map((row) => [text(row.Variable_name).toLowerCase(), text(row.Value)])),
        table: found === undefined ? undefined : { engine: text(found.engine), comment: text(found.comment) },
        columns: new Map(columns!.map((row) => [text(row.name).toLowerCase(), text(row.type).toLowerCase()])),
        keyed: keys!.length === 1 && keys![0]!.name === "lock_id" && keys![0]!.part === null
      }
      return [{ seen }]
    }
  }
}

const versionOf = (version: string) =>
  (/\d+\.\d+/.exec(version)?.[0] ?? "0.0").split(".").map(Number) as [number, number]

/** Older servers lack what the statements need: INSERT … RETURNING on MariaDB. */
const tooOld = ({ flavour, version }: Seen): string | undefined => {
  const [major, minor] = versionOf(version)
  const needed =
    flavour === "MariaDB" ? ([10, 5] as const) : flavour === "MySQL" ? ([8, 0] as const) : ([0, 0] as const)
  return major > needed[0] || (major === needed[0] && minor >= needed[1])
    ? undefined
    : `the server is ${flavour} ${version}; at least ${needed.join(".")} is needed`
}

/** Whether many locks can go in one statement: it leaves out a locked row, and reads what is committed, which a binary log of statements forbids. */
const groups = ({ flavour, variables, version }: Seen): boolean => {
  const [major, minor] = versionOf(version)
  const isNew = flavour === "MySQL" || (flavour === "MariaDB" && (major > 10 || minor >= 6))
  return isNew && !/^statement$/i.test(variables.get("binlog_format") ?? "")
}

/** Sessions wait by names that one server alone knows, and who has them is asked in the write itself, which a binary log of statements forbids. */
const mute = ({ flavour, variables }: Seen): string | undefined =>
  flavour === "TiDB"
    ? "on TiDB a session is known to one server of the cluster alone"
    : /^(on|1)$/i.test(variables.get("wsrep_on") ?? "")
      ? "in a Galera cluster a session is known to one node alone"
      : /^(on|1)$/i.test(variables.get("log_bin") ?? "") && /^statement$/i.test(variables.get("binlog_format") ?? "")
        ? "binlog_format is STATEMENT"
        : undefined

/** `int(11)` is `int`; of texts the length counts, and may be larger than ours. */
const fits = (wanted: string, actual: string): boolean => {
  const parts = (type: string) => /^(\w+)(?:\((\d+)\))?$/.exec(type)
  const [want, have] = [parts(wanted), parts(actual)]
  if (want === null || have === null) return false
  if (want[1] === "varbinary") return have[1] === "varbinary" && Number(have[2]) >= Number(want[2])
  if (want[1] === "mediumblob") return have[1] === "mediumblob" || have[1] === "longblob"
  return want[1] === have[1]
}

/** What a table that is there has against it. */
export const wrong = (name: string, { columns, flavour, keyed, table }: Seen): string | undefined => {
  const format = /^effect-storage-lock format (\d+)$/.exec(table?.comment ?? "")?.[1]
  if (format !== undefined && Number(format) > LockRecord.format) {
    return `the table ${name} has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
  }
  const bad = Object.entries(types)
    .filter(([column, type]) => !fits(type, columns.get(column) ?? ""))
    .map((entry) => entry.join(" "))
  if (bad.length === 0 && !columns.has("owner_label")) return withoutLabels(name, addLabel(name))
  if (!fits(labelType, columns.get("owner_label") ?? "")) bad.push(`owner_label ${labelType}`)
  if (bad.length > 0)
    return `the table ${name} is not one of locks: it has no column ${bad.join(", ")}. Name another by \`table\``
  if (!keyed) return `the table ${name} needs lock_id, and it alone, as its primary key`
  return flavour === "TiDB" || table?.engine === "InnoDB"
    ? undefined
    : `the table ${name} is kept by ${table?.engine}, which has no transactions: it must be InnoDB`
}

const raceRetry = Schedule.max([Schedule.exponential("10 millis").pipe(Schedule.jittered), Schedule.recurs(8)])

export interface Options {
  readonly table: string
  readonly database: string | undefined
  /** Quoted. */
  readonly qualified: string
  readonly setup: boolean
  /** Milliseconds. */
  readonly millis: number
}

/** Looks first: where the table is there and right, no right beyond using it is needed. Tells what kind of server it is. */
export const prepare = (executor: Executor<Packet>, options: Options): Effect.Effect<Server, StorageError> => {
  const { millis, qualified, setup } = options
  const run = (statement: Packet) => runQuery(executor, "setup", { statement, values: [] }, millis)
  const look = Effect.flatMap(run(inspect(options.table, options.database)), (rows) => {
    const seen = rows[0]!.seen as Seen
    const old = tooOld(seen)
    return old === undefined ? Effect.succeed(seen) : errors.schema("setup", old)
  })
  const missing = errors.schema(
    "setup",
    `the table ${qualified} does not exist, or this user may not use it: run the text of MysqlStorage.ddl, or set \`setup: true\``
  )
  const existing = Effect.flatMap(look, (seen) => (seen.table === undefined ? missing : Effect.succeed(seen)))
  // Whatever failed in the making, another process may have made it meanwhile: the table itself decides.
  const made = run({ statements: [ddl(qualified)], read: () => [] }).pipe(
    Effect.matchEffect({
      onSuccess: () => existing,
      onFailure: (error) =>
        Effect.catchIf(
          existing,
          (other) => other === missing,
          () => error
        )
    }),
    Effect.retry({ schedule: raceRetry, while: (error) => error.reason === "Conflict" })
  )
  const found = setup
    ? Effect.catchIf(
        existing,
        (error) => error === missing,
        () => made
      )
    : existing

  /** Another process may be faster: then the column is there already. */
  const labelled = setup
    ? Effect.flatMap(found, (seen) =>
        !seen.columns.has("owner_id") || seen.columns.has("owner_label")
          ? Effect.succeed(seen)
          : Effect.matchEffect(run({ statements: [addLabel(qualified)], read: () => [] }), {
              onSuccess: () => existing,
              onFailure: (error) =>
                Effect.flatMap(existing, (again) => (again.columns.has("owner_label") ? Effect.succeed(again) : error))
            })
      )
    : found

  return labelled.pipe(
    Effect.tap((seen) =>
      Effect.forEach(findings(seen), (found) => Effect.logWarning(`MysqlStorage: ${sentence(found)}`))
    ),
    Effect.flatMap((seen) => {
      const fault =
        wrong(qualified, seen) ??
        (!seen.autocommit
          ? "the connections have autocommit off, so what a statement does would stay open: switch it on for them"
          : undefined)
      return fault === undefined
        ? Effect.succeed({
            flavour: seen.flavour,
            groups: groups(seen),
            database: options.database ?? seen.database,
            mute: mute(seen)
          })
        : errors.schema("setup", fault)
    })
  )
}
