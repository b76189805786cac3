/** What can be set wrongly at a server of the MySQL family, and how to fix it. */
import * as Effect from "#effect/Effect"
import { type Check, type Finding, type Look, room, type Open, unchecked } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import * as shared from "../shared/options.js"
import { runQuery } from "../sql/executor.js"
import type { Row } from "../sql/record.js"
import { own } from "./ports.js"
import type { Options } from "./MysqlStorage.js"
import * as internal from "./options.js"
import { decoded, type Packet } from "./packet.js"
import * as setup from "./setup.js"
import * as weak from "./startupFindings.js"

/** From when on something is told, in seconds. */
export interface Limits {
  readonly oldTransaction: number
}

const limits: Limits = { oldTransaction: 600 }

/** A program's connection is idle for a third of its lease. In seconds. */
const shortestIdle = 20

const watched = [
  "innodb_doublewrite",
  "innodb_force_recovery",
  "max_connections",
  "max_statement_time",
  "max_user_connections",
  "rpl_semi_sync_master_enabled",
  "rpl_semi_sync_source_enabled",
  "transaction_read_only",
  "tx_read_only",
  "wait_timeout"
]

const settings = ({ flavour, variables }: weak.Known): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  const is = (name: string, value: RegExp) => value.test(variables.get(name) ?? "")
  const number = (name: string) => Number(variables.get(name) ?? 0)
  const readOnly = ["transaction_read_only", "tx_read_only"].find((name) => is(name, weak.on))
  if (readOnly !== undefined)
    found.push({
      check: "transaction_read_only",
      severity: "error",
      wrong: `${readOnly} is on`,
      leads: "every claim will be refused",
      cure: weak.set(flavour, readOnly, "OFF")
    })
  if (number("innodb_force_recovery") > 0)
    found.push({
      check: "innodb_force_recovery",
      severity: "error",
      wrong: `innodb_force_recovery is ${number("innodb_force_recovery")}`,
      leads: "the server repairs itself, and takes few writes or none",
      cure: "take innodb_force_recovery out of my.cnf, and restart the server"
    })
  if (is("innodb_doublewrite", /^(off|0)$/i))
    found.push({
      check: "innodb_doublewrite",
      severity: "warning",
      wrong: "innodb_doublewrite is off",
      leads: "a crash of the server's machine may damage the table of locks",
      cure: "innodb_doublewrite = ON in my.cnf, below [mysqld], and restart the server"
    })
  if (number("wait_timeout") > 0 && number("wait_timeout") < shortestIdle)
    found.push({
      check: "wait_timeout",
      severity: "warning",
      wrong: `wait_timeout is ${number("wait_timeout")} s`,
      leads: "connections end between two renewals, and each renewal needs a new one",
      cure: weak.set(flavour, "wait_timeout", "28800")
    })
  if (number("max_statement_time") > 0 && number("max_statement_time") < 1)
    found.push({
      check: "max_statement_time",
      severity: "warning",
      wrong: `max_statement_time is ${number("max_statement_time")} s`,
      leads: "a server that is slow for a moment ends renewals, and so holds are lost",
      cure: weak.set(flavour, "max_statement_time", "0")
    })
  return found
}

const table = (name: string, seen: setup.Seen): ReadonlyArray<Finding> => {
  const error = (wrong: string, leads: string, cure: string): ReadonlyArray<Finding> => [
    { check: "table", severity: "error", wrong, leads, cure }
  ]
  if (seen.table === undefined)
    return error(
      `the table ${name} does not exist, or this user may not use it`,
      "there is nothing to lock in",
      `run what \`storage-lock ddl\` prints, or leave \`setup\` on and give the right to CREATE; GRANT SELECT, INSERT, UPDATE, DELETE ON ${name} TO the user`
    )
  const fault = setup.wrong(name, seen)
  if (fault === undefined) return []
  return seen.flavour !== "TiDB" && seen.table.engine !== "InnoDB"
    ? error(
        fault,
        "claims are not atomic, and a crash forgets locks that are held",
        `ALTER TABLE ${name} ENGINE = InnoDB;`
      )
    : error(
        fault,
        "the library refuses it",
        "run what `storage-lock ddl` prints, with another name for the table if this one is somebody else's"
      )
}

/** A server checks the rights to what it is asked to explain, and does nothing of it. */
const trials = (name: string) => ({
  SELECT: `EXPLAIN SELECT lock_id FROM ${name} WHERE lock_id = ''`,
  INSERT: `EXPLAIN INSERT INTO ${name} (lock_id) VALUES ('')`,
  UPDATE: `EXPLAIN UPDATE ${name} SET version = 0 WHERE lock_id = ''`,
  DELETE: `EXPLAIN DELETE FROM ${name} WHERE lock_id = ''`
})

const lacking = (right: string, name: string, user: string): Finding => ({
  check: "rights",
  severity: right === "DELETE" ? "warning" : "error",
  wrong: `the user has no right to ${right} on ${name}`,
  leads:
    right === "DELETE"
      ? "records of locks that are free are never purged, and the table grows with each new id"
      : "claims, renewals or releases will be refused",
  cure: `GRANT ${right} ON ${name} TO ${user};`
})

/** `'user'@'host'`, as GRANT wants it. */
const account = (row: Row | undefined): string => {
  const text = String(row?.me)
  const at = text.lastIndexOf("@")
  return `'${text.slice(0, at)}'@'${text.slice(at + 1)}'`
}

const roomOf = ({ flavour, variables }: weak.Known, row: Row | undefined) => {
  const [used, mine] = [Number(row?.used), Number(row?.mine)]
  const most = Number(variables.get("max_connections"))
  const own = Number(variables.get("max_user_connections") ?? 0)
  return [
    {
      left: most - used,
      wrong: `${used} of max_connections = ${most} are in use`,
      cure: weak.set(flavour, "max_connections", String(2 * most))
    },
    {
      left: own > 0 ? own - mine : Number.POSITIVE_INFINITY,
      wrong: `the user may have ${own} connections, and has ${mine}`,
      cure: `ALTER USER ${account(row)} WITH MAX_USER_CONNECTIONS 0; or SET GLOBAL max_user_connections = 0, where that is the limit`
    }
  ]
}

const blind = (check: string) =>
  unchecked(
    check,
    "the sessions of others cannot be seen: GRANT PROCESS ON *.* TO this user, or ask as an administrator"
  )

const old = (row: Row): Finding => ({
  check: "old transactions",
  severity: "warning",
  wrong: `the session ${String(row.id)} has had a transaction open for ${String(row.age)} s`,
  leads: "old versions of rows are kept meanwhile, and who holds a row that it has locked waits",
  cure: `KILL ${String(row.id)};`
})

export const open =
  ({ oldTransaction }: Limits): Open<Options> =>
  (options) =>
    Effect.gen(function* () {
      const common = yield* internal.common(options, { url: true, tls: true, poolSize: true, notify: true })
      const driver = yield* own
      const source = yield* valid(driver.source(options.url, options.tls))
      const poolSize = yield* valid(shared.poolSize(options.poolSize))
      const { operationTimeout, place: database, qualified, table: name } = common
      const executor = yield* driver.make({ source, poolSize: 1, operationTimeout })
      const run = (statement: Packet): Effect.Effect<ReadonlyArray<Row>, StorageError> =>
        runQuery(executor, "checkup", { statement, values: [] }, operationTimeout)
      const ask = (text: string) => run({ statements: [text], read: ([result]) => decoded(result) })

      const seen = (yield* run(setup.inspect(name, database)))[0]!.seen as setup.Seen
      const more = yield* ask(
        `SHOW VARIABLES WHERE Variable_name IN (${watched.map((each) => `'${each}'`).join(", ")})`
      )
      const known: weak.Known = {
        flavour: seen.flavour,
        variables: new Map([
          ...seen.variables,
          ...more.map((row) => [String(row.Variable_name).toLowerCase(), String(row.Value)] as const)
        ])
      }
      const isTidb = seen.flavour === "TiDB"
      const me = Effect.map(
        ask(`SELECT CURRENT_USER() AS me,
  (SELECT COUNT(*) FROM information_schema.processlist WHERE user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1)) AS mine`),
        ([row]) => row
      )
      const sees = Effect.map(
        ask(`SELECT COUNT(*) AS sees FROM information_schema.user_privileges WHERE privilege_type = 'PROCESS'
  AND grantee = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')`),
        ([row]) => Number(row?.sees) > 0
      )
      const seeing = (check: string, look: Effect.Effect<ReadonlyArray<Look>, StorageError>) =>
        Effect.flatMap(sees, (can) => (can ? look : Effect.succeed([blind(check)])))

      const checks: Array<Check> = [
        { name: "durability", look: Effect.succeed(weak.findings(known)) },
        { name: "table", look: Effect.succeed(table(qualified, seen)) },
        { name: "settings", look: Effect.succeed(isTidb ? [] : settings(known)) },
        {
          name: "rights",
          look:
            seen.table === undefined
              ? Effect.succeed([])
              : Effect.flatMap(me, (row) =>
                  Effect.map(
                    Effect.forEach(Object.entries(trials(qualified)), ([right, text]) =>
                      Effect.matchEffect(ask(text), {
                        onSuccess: () => Effect.succeed<ReadonlyArray<Look>>([]),
                        onFailure: (error) =>
                          error.reason === "Permission"
                            ? Effect.succeed([lacking(right, qualified, account(row))])
                            : Effect.fail(error)
                      })
                    ),
                    (all) => all.flat()
                  )
                )
        }
      ]
      if (!isTidb)
        checks.push(
          {
            name: "connections",
            look: Effect.flatMap(me, (row) =>
              Effect.map(ask("SHOW GLOBAL STATUS LIKE 'Threads_connected'"), ([status]) =>
                room(poolSize + 1, roomOf(known, { ...row, used: status?.Value }))
              )
            )
          },
          {
            name: "replication",
            look: seeing(
              "replication",
              Effect.map(
                ask(
                  "SELECT COUNT(*) AS replicas FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
                ),
                ([row]): ReadonlyArray<Look> => {
                  const name =
                    seen.flavour === "MariaDB" || !known.variables.has("rpl_semi_sync_source_enabled")
                      ? "rpl_semi_sync_master_enabled"
                      : "rpl_semi_sync_source_enabled"
                  return Number(row?.replicas) > 0 && !weak.on.test(known.variables.get(name) ?? "")
                    ? [
                        {
                          check: "replication",
                          severity: "warning",
                          wrong: "the replicas are asynchronous",
                          leads: "a failover may forget the last claims, and two owners may hold one lock",
                          cure: `replicate semi-synchronously: ${seen.flavour === "MariaDB" ? "" : "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'; "}${weak.set(seen.flavour, name, "ON")} and likewise at the replicas`
                        }
                      ]
                    : []
                }
              )
            )
          },
          {
            name: "old transactions",
            look: seeing(
              "old transactions",
              Effect.map(
                ask(
                  `SELECT trx_mysql_thread_id AS id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS age FROM information_schema.innodb_trx
  WHERE trx_started <= NOW() - INTERVAL ${oldTransaction} SECOND AND trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) ORDER BY trx_started LIMIT 5`
                ),
                (rows) => rows.map(old)
              )
            )
          }
        )
      const clock = ask("SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS CHAR) AS now")
      return { ping: Effect.map(clock, ([row]) => Number(row?.now)), checks }
    })

export const checkup = open(limits)
