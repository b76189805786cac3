/** What imports `cassandra-driver`: a storage over a client of its own, or over the program's. */
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type { Ports } from "../shared/layers.js"
import * as engine from "../shared/observed/engine.js"
import * as identity from "../shared/observed/identity.js"
import * as ports from "../shared/observed/ports.js"
import * as caller from "./caller.js"
import type { Connection } from "./clients.js"
import * as coordinators from "./coordinators.js"
import type { ResolvedCommon } from "./options.js"
import * as setup from "./setup.js"
import * as statements from "./statements.js"
import * as store from "./store.js"

export { ofProgram, own } from "./clients.js"

const guarantees = {
  name: "CassandraStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 100_000,
  longestId: 65_535,
  // A request may have 16 MiB, and has the record as it was beside the next one; but no server is at ease with values of more than a megabyte.
  largestRecord: 1_000_000
} as const satisfies Storage.Guarantees

/** Of the driver, and not in its types. */
interface Agreeing {
  readonly checkSchemaAgreement: () => Promise<boolean>
}

/** Statements one by one, for who only looks. */
export const asking = (
  connection: Connection,
  keyspace: string,
  localDataCenter: string | undefined,
  local: boolean
): caller.Caller => caller.make(connection, coordinators.make(keyspace, localDataCenter), local)

/** `localDataCenter`: whose nodes alone have a say, if locks are of one data centre. */
export const open = (
  connection: Connection,
  keyspace: string,
  localDataCenter: string | undefined,
  common: ResolvedCommon
): Effect.Effect<Ports, StorageError> =>
  Effect.gen(function* () {
    const { local, table } = common
    const plan = coordinators.make(keyspace, local ? localDataCenter : undefined)
    const calls = caller.make(connection, plan, local)
    const texts = statements.texts(keyspace, table)
    const place = { keyspace, table }
    const cluster: setup.Cluster = {
      nodes: () => connection.client().hosts.length,
      agrees: () => (connection.client().metadata as unknown as Agreeing).checkSchemaAgreement()
    }
    const id = yield* setup.prepare(calls, place, texts, cluster, common)
    const known = identity.make({
      first: id,
      ask: (until) => Effect.map(setup.find(calls, place, until, "identity"), (found) => found?.id),
      changed: () => core.forget(),
      warning: `CassandraStorage: the table "${keyspace}.${table}" is another one than before: dropped and recreated. Its locks are those that count now, and their fencing tokens start over`
    })
    const rows = store.make(calls, texts, known.vanished)
    const core: engine.Engine<store.State, store.Cursor> = engine.make(
      {
        ...rows,
        send: (operation, parts, until) => Effect.andThen(known.now(until), rows.send(operation, parts, until))
      },
      common
    )
    const options = { guarantees, wakeUps: Stream.empty }
    return { storage: ports.storage(core, options), versioned: ports.versioned(core, options) }
  })
