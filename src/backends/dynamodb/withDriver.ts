/** What imports `@aws-sdk/client-dynamodb`: a storage over a client of its own, or over the program's. */
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type { Ports } from "../shared/layers.js"
import * as engine from "../shared/observed/engine.js"
import * as identity from "../shared/observed/identity.js"
import * as ports from "../shared/observed/ports.js"
import * as caller from "./caller.js"
import type { ResolvedCommon } from "./options.js"
import * as setup from "./setup.js"
import * as store from "./store.js"

export { ofProgram, own } from "./clients.js"

const guarantees = {
  name: "DynamoDbStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 50_000,
  longestId: 2048,
  // An item may have 400 KiB, of which its attributes' names take some.
  largestRecord: 400_000
} as const satisfies Storage.Guarantees

export const open = (connection: caller.Connection, common: ResolvedCommon): Effect.Effect<Ports, StorageError> =>
  Effect.gen(function* () {
    const calls = caller.make(connection)
    const tableId = yield* setup.prepare(calls, common)
    const known = identity.make({
      first: tableId,
      ask: (until) => Effect.map(setup.describe(calls, common.table, until, "identity"), setup.idOf),
      changed: () => core.forget(),
      warning: `DynamoDbStorage: the table "${common.table}" is another one than before: deleted and recreated, or restored. Its locks are those that count now, and their fencing tokens start over`
    })
    const table = store.make(calls, common.table, known.vanished)
    const core: engine.Engine<never, store.Cursor> = engine.make(
      {
        ...table,
        send: (operation, parts, until) => Effect.andThen(known.now(until), table.send(operation, parts, until))
      },
      common
    )
    const options = { guarantees, wakeUps: Stream.empty }
    return { storage: ports.storage(core, options), versioned: ports.versioned(core, options) }
  })
