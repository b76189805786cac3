/** What can be set wrongly at a PostgreSQL server, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Look, room, type Open, unchecked } from "../../common/checkup.js"
import type { StorageError } from "../../LockError.js"
import { runQuery } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import { own, resolved } from "./ports.js"
import * as names from "./names.js"
import type { Options } from "./PostgresStorage.js"
import { identifier, literal } from "./quote.js"
import * as setup from "./setup.js"
import * as weak from "./startupFindings.js"

/** From when on something is told, in seconds. */
export interface Limits {
  readonly oldTransaction: number
}

const limits: Limits = { oldTransaction: 600 }

/** A program's connection is idle for a third of its lease, and asks a listening one every ten seconds. In milliseconds. */
const shortestIdle = 20_000
const shortestStatement = 1_000

const settingNames = [
  "autovacuum",
  "default_transaction_read_only",
  "fsync",
  "full_page_writes",
  "idle_session_timeout",
  "statement_timeout",
  "synchronous_commit",
  "synchronous_standby_names",
  "transaction_timeout"
]

interface Settings extends weak.Sources {
  readonly value: (name: string) => string
}

const settingsOf = (rows: ReadonlyArray<Row>): Settings => {
  const column = (name: string) => new Map(rows.map((row) => [String(row.name), String(row[name])]))
  const values = column("setting")
  return {
    role: String(rows[0]?.role),
    database: String(rows[0]?.database),
    of: column("source"),
    value: (name) => values.get(name) ?? ""
  }
}

const settingsText = `SELECT name, setting, source, current_user::text AS role, current_database()::text AS database
FROM pg_catalog.pg_settings WHERE name = ANY (ARRAY[${settingNames.map(literal).join(", ")}])`

/** Above zero, which stands for never, and below a limit. */
const isShort = (value: string, limit: number): boolean => Number(value) > 0 && Number(value) < limit

const ofSettings = (settings: Settings, pooler: boolean): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const { value } = settings
  if (value("default_transaction_read_only") === "on")
    found.push({
      check: "default_transaction_read_only",
      severity: "error",
      wrong: "default_transaction_read_only is on",
      leads: "every claim will be refused",
      cure: weak.set("default_transaction_read_only", "off", settings)
    })
  if (isShort(value("idle_session_timeout"), shortestIdle))
    found.push({
      check: "idle_session_timeout",
      severity: "warning",
      wrong: `idle_session_timeout is ${value("idle_session_timeout")} ms`,
      leads:
        "connections end between two renewals: each renewal needs a new one, and who waits is not woken while there is none",
      cure: weak.set("idle_session_timeout", "0", settings)
    })
  for (const name of ["statement_timeout", "transaction_timeout"])
    if (isShort(value(name), shortestStatement))
      found.push({
        check: name,
        severity: "warning",
        wrong: `${name} is ${value(name)} ms`,
        leads: "a server that is slow for a moment ends renewals, and so holds are lost",
        cure: weak.set(name, "'4s'", settings)
      })
  if (pooler && value("statement_timeout") === "0")
    found.push({
      check: "statement_timeout",
      severity: "warning",
      wrong: "statement_timeout is not set, and behind a pooler the library cannot set it",
      leads: "statements that nobody waits for any more go on at the server",
      cure: `ALTER ROLE ${identifier(settings.role)} SET statement_timeout = '4s';`
    })
  if (value("autovacuum") === "off")
    found.push({
      check: "autovacuum",
      severity: "warning",
      wrong: "autovacuum is off",
      leads: "each renewal leaves an old version of its row, so locks become slower and slower",
      cure: weak.set("autovacuum", "on", settings)
    })
  if (value("synchronous_standby_names") !== "" && /^(local|remote_write)$/.test(value("synchronous_commit")))
    found.push({
      check: "synchronous_commit",
      severity: "warning",
      wrong: `synchronous_commit is ${value("synchronous_commit")}, though there are synchronous replicas`,
      leads: "a failover may forget the last claims, and two owners may hold one lock",
      cure: weak.set("synchronous_commit", "on", settings)
    })
  return found
}

/** A name in a schema that we may not use cannot be looked up at all. */
const rightsText = (table: string, schema: string | undefined) => `
SELECT current_user::text AS role, r.name AS right, CASE
  WHEN NOT ${schema === undefined ? "true" : `has_schema_privilege(${literal(schema)}, 'USAGE')`} THEN 'no way'
  WHEN to_regclass(${literal(table)}) IS NULL THEN 'no table'
  WHEN has_table_privilege(to_regclass(${literal(table)})::oid, r.name) THEN 'yes' ELSE 'no' END AS has
FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r(name)`

const rights = (table: string, schema: string | undefined, rows: ReadonlyArray<Row>): ReadonlyArray<Finding> => {
  const role = identifier(String(rows[0]?.role))
  if (rows.some((row) => row.has === "no way"))
    return [
      {
        check: "rights",
        severity: "error",
        wrong: `the role has no right to use the schema ${schema}`,
        leads: "it finds no table there, and cannot lock",
        cure: `GRANT USAGE ON SCHEMA ${identifier(schema!)} TO ${role};`
      }
    ]
  return rows
    .filter((row) => row.has === "no")
    .map(({ right }): Finding => ({
      check: "rights",
      severity: right === "DELETE" ? "warning" : "error",
      wrong: `the role has no right to ${String(right)} on ${table}`,
      leads:
        right === "DELETE"
          ? "records of locks that are free are never purged, and the table grows with each new id"
          : "claims, renewals or releases will be refused",
      cure: `GRANT ${String(right)} ON ${table} TO ${role};`
    }))
}

const roomText = `
SELECT current_user::text AS role, current_database()::text AS database, current_setting('max_connections')::int AS most,
  current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
  (SELECT sum(numbackends) FROM pg_catalog.pg_stat_database)::int AS used,
  (SELECT numbackends FROM pg_catalog.pg_stat_database WHERE datname = current_database())::int AS here,
  (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()) AS limit_here,
  (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user)::int AS mine,
  (SELECT CASE WHEN rolsuper THEN -1 ELSE rolconnlimit END FROM pg_catalog.pg_roles WHERE rolname = current_user) AS limit_mine`

const roomOf = (row: Row | undefined) => {
  const number = (name: string) => Number(row?.[name])
  /** Less than nothing is no limit. */
  const left = (limit: number, used: number) => (limit < 0 ? Number.POSITIVE_INFINITY : limit - used)
  const [role, database] = [number("limit_mine"), number("limit_here")]
  return [
    {
      left: number("most") - number("reserved") - number("used"),
      wrong: `${number("used")} of max_connections = ${number("most")} are in use, and ${number("reserved")} are kept for administrators`,
      cure: "ALTER SYSTEM SET max_connections = …; restart the server; or a smaller poolSize"
    },
    {
      left: left(role, number("mine")),
      wrong: `the role may have ${role} connections, and has ${number("mine")}`,
      cure: `ALTER ROLE ${identifier(String(row?.role))} CONNECTION LIMIT -1;`
    },
    {
      left: left(database, number("here")),
      wrong: `the database may have ${database} connections, and has ${number("here")}`,
      cure: `ALTER DATABASE ${identifier(String(row?.database))} CONNECTION LIMIT -1;`
    }
  ]
}

const heldBackText = (seconds: number) => `
SELECT 'session' AS kind, pid::text AS name, extract(epoch FROM clock_timestamp() - xact_start)::bigint::text AS age
  FROM pg_catalog.pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '${seconds} seconds'
UNION ALL
SELECT 'prepared', gid, extract(epoch FROM clock_timestamp() - prepared)::bigint::text FROM pg_catalog.pg_prepared_xacts
  WHERE database = current_database() AND prepared < clock_timestamp() - interval '${seconds} seconds'
UNION ALL
SELECT 'slot', slot_name, NULL FROM pg_catalog.pg_replication_slots WHERE NOT active
UNION ALL
SELECT 'blind', NULL, NULL WHERE NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')`

const slower = "old versions of rows are kept meanwhile, and each renewal makes its lock slower"

const heldBack = (row: Row): Look => {
  const name = String(row.name)
  const finding = (wrong: string, leads: string, cure: string): Finding => ({
    check: "old transactions",
    severity: "warning",
    wrong,
    leads,
    cure
  })
  switch (row.kind) {
    case "session":
      return finding(
        `the session ${name} has had a transaction open for ${String(row.age)} s`,
        slower,
        `SELECT pg_terminate_backend(${name}); and set idle_in_transaction_session_timeout`
      )
    case "prepared":
      return finding(
        `the prepared transaction ${literal(name)} has been waiting for ${String(row.age)} s`,
        slower,
        `COMMIT PREPARED ${literal(name)}; or ROLLBACK PREPARED ${literal(name)};`
      )
    case "slot":
      return finding(
        `nobody reads the replication slot ${name}`,
        "the server keeps its log, and perhaps old versions of rows, until its disk is full, and then no lock can be renewed",
        `let its reader go on, or SELECT pg_drop_replication_slot(${literal(name)});`
      )
    default:
      return unchecked(
        "old transactions",
        "those of other roles cannot be seen: GRANT pg_read_all_stats TO this role, or ask as an administrator"
      )
  }
}

const replicasText = "SELECT count(*)::int AS replicas FROM pg_catalog.pg_stat_replication"

const replicas = (settings: Settings, row: Row | undefined): ReadonlyArray<Finding> =>
  Number(row?.replicas) > 0 && settings.value("synchronous_standby_names") === ""
    ? [
        {
          check: "replication",
          severity: "warning",
          wrong: "the replicas are asynchronous",
          leads: "a failover may forget the last claims, and two owners may hold one lock",
          cure: "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'; SELECT pg_reload_conf();"
        }
      ]
    : []

const table = (name: string, row: Row | undefined): ReadonlyArray<Finding> => {
  const missing = row === undefined || row.found !== "yes"
  const fault = missing ? undefined : setup.wrong(name, row)
  return missing
    ? [
        {
          check: "table",
          severity: "error",
          wrong: `the table ${name} does not exist, as seen with this connection's search_path`,
          leads: "there is nothing to lock in",
          cure: "run what `storage-lock ddl` prints, or leave `setup` on and GRANT CREATE on the schema"
        }
      ]
    : fault === undefined
      ? []
      : [
          {
            check: "table",
            severity: "error",
            wrong: fault,
            leads: "the library refuses it",
            cure: "run what `storage-lock ddl` prints, with another name for the table if this one is somebody else's"
          }
        ]
}

export const open =
  ({ oldTransaction }: Limits): Open<Options> =>
  (options) =>
    Effect.gen(function* () {
      const { common, pooler, poolSize, source } = yield* resolved(options)
      const { make, pooled } = yield* own
      const { operationTimeout, place, qualified } = common
      const executor = yield* make({ source, poolSize: 1, operationTimeout, pooler })
      const ask = (text: string): Effect.Effect<ReadonlyArray<Row>, StorageError> =>
        runQuery(
          executor,
          "checkup",
          { statement: { name: names.statementName("checkup", text), text }, values: [] },
          operationTimeout
        )
      const inspected = runQuery(
        executor,
        "checkup",
        { statement: setup.inspect, values: [qualified] },
        operationTimeout
      )
      // It connects: what follows is asked of a server that is there.
      const settings = settingsOf(yield* ask(settingsText))
      const checks: ReadonlyArray<Check> = [
        {
          name: "durability",
          look: Effect.map(inspected, ([row]) => (row === undefined ? [] : weak.findings(qualified, row, settings)))
        },
        { name: "table", look: Effect.map(inspected, ([row]) => table(qualified, row)) },
        { name: "settings", look: Effect.succeed(ofSettings(settings, pooler)) },
        {
          name: "rights",
          look: Effect.map(ask(rightsText(qualified, place)), (rows) => rights(qualified, place, rows))
        },
        {
          name: "pooler",
          look: pooler
            ? Effect.succeed([])
            : Effect.map(pooled(source), (is): ReadonlyArray<Finding> =>
                is
                  ? [
                      {
                        check: "pooler",
                        severity: "error",
                        wrong: "a pooler stands between, and `pooler` is not set",
                        leads:
                          "if it hands each transaction to another session, statements fail that were prepared on another, and nobody is woken",
                        cure: "set the option `pooler: true` (-o pooler=true), or give the URL of the server itself"
                      }
                    ]
                  : []
              )
        },
        { name: "connections", look: Effect.map(ask(roomText), ([row]) => room(poolSize + 1, roomOf(row))) },
        { name: "replication", look: Effect.map(ask(replicasText), ([row]) => replicas(settings, row)) },
        { name: "old transactions", look: Effect.map(ask(heldBackText(oldTransaction)), (rows) => rows.map(heldBack)) }
      ]
      const clock = ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::text AS now")
      return { ping: Effect.map(clock, ([row]) => Number(row?.now)), checks }
    })

export const checkup = open(limits)
