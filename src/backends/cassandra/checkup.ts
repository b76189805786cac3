/** What can be set wrongly at a Cassandra, and how to fix it. */
import * as Effect from "#effect/Effect"
import type { Check, Finding, Open } from "../../common/checkup.js"
import { valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import { peer } from "../shared/driverPackage.js"
import type { Options } from "./CassandraStorage.js"
import * as internal from "./options.js"
import * as reach from "./reach.js"
import { schema } from "./statements.js"
import * as weak from "./startupFindings.js"

type Row = Readonly<Record<string, unknown>>

const watched = ["commitlog_sync", "paxos_variant"]

const table = (keyspace: string, name: string, row: Row | undefined): ReadonlyArray<Finding> => {
  const error = (wrong: string, leads: string, cure: string): ReadonlyArray<Finding> => [
    { check: "table", severity: "error", wrong, leads, cure }
  ]
  if (row === undefined)
    return error(
      `there is no table "${name}" in the keyspace "${keyspace}"`,
      "there is nothing to lock in",
      "run what CassandraStorage.ddl prints, or leave `setup` on and GRANT CREATE on the keyspace"
    )
  return Number(row.default_time_to_live ?? 0) === 0
    ? []
    : error(
        `the table "${name}" has a default_time_to_live of ${String(row.default_time_to_live)} s`,
        "records of locks that are held would go, so the library refuses it",
        `ALTER TABLE "${keyspace}"."${name}" WITH default_time_to_live = 0;`
      )
}

export const checkup: Open<Options> = (options) =>
  Effect.gen(function* () {
    const common = yield* valid(internal.common(options, { url: true, user: true, tls: true, localDataCenter: true }))
    const { localDataCenter } = options
    const fault = internal.dataCenterFault(localDataCenter, common.local)
    if (fault !== undefined) return yield* fault
    const source = yield* valid(reach.make({ url: options.url, user: options.user, tls: options.tls }))
    const { asking, own } = yield* peer("CassandraStorage", ["cassandra-driver"], () => import("./withDriver.js"))
    const { operationTimeout } = common
    const { keyspace, ...connection } = yield* own(source, { localDataCenter, operationTimeout })
    const { call } = asking(connection, keyspace, common.local ? localDataCenter : undefined, common.local)
    const ask = (text: string, values: ReadonlyArray<string> = []): Effect.Effect<ReadonlyArray<Row>, StorageError> =>
      Effect.suspend(() =>
        Effect.map(
          call("checkup", { text, values, kind: "reads", level: "any" }, performance.now() + operationTimeout),
          ({ rows }) => (rows ?? []) as unknown as ReadonlyArray<Row>
        )
      )
    // It connects: what follows is asked of nodes that are there.
    const [within] = yield* ask(schema.keyspace, [keyspace])
    const nodes = connection.client().hosts.length
    const checks: ReadonlyArray<Check> = [
      {
        name: "keyspace",
        look: Effect.succeed(
          within === undefined
            ? [
                {
                  check: "keyspace",
                  severity: "error",
                  wrong: `there is no keyspace "${keyspace}"`,
                  leads: "there is nothing to lock in",
                  cure: `CREATE KEYSPACE "${keyspace}" WITH replication = {'class': 'NetworkTopologyStrategy', '<data centre>': 3};`
                }
              ]
            : [...weak.findings(keyspace, within, nodes), ...weak.more(keyspace, within, nodes)]
        )
      },
      {
        name: "table",
        look: Effect.map(ask(schema.table, [keyspace, common.table]), ([row]) => table(keyspace, common.table, row))
      },
      {
        // Of the node that answers: they should be alike.
        name: "settings",
        look: Effect.map(
          ask(
            `SELECT name, value FROM system_views.settings WHERE name IN (${watched.map((name) => `'${name}'`).join()})`
          ),
          (rows) => weak.ofNode(new Map(rows.map(({ name, value }) => [String(name), String(value)])))
        )
      }
    ]
    // Leases are observed: no clock of a node counts.
    return { ping: Effect.as(ask("SELECT key FROM system.local"), undefined), checks }
  })
