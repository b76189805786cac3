/** Both ports of Consul over one source of requests. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import * as client from "../http/client.js"
import type { Source } from "../http/source.js"
import type { Ports } from "../shared/layers.js"
import * as engine from "../shared/observed/engine.js"
import * as ports from "../shared/observed/ports.js"
import { names } from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import type { Sources } from "./reach.js"
import * as records from "./records.js"
import * as requests from "./requests.js"
import * as store from "./store.js"
import * as waits from "./waits.js"

const guarantees = {
  name: "ConsulStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 10_000,
  longestId: 4 * 255,
  // A transaction may have 512 KiB (limits.txn_max_req_len), and has the record in base64.
  largestRecord: 390_000
} as const satisfies Storage.Guarantees

const opened = (source: Source) =>
  Effect.acquireRelease(
    Effect.sync(() => client.make(names, source)),
    ({ close }) => close
  )

/** Both ports over whatever sends requests, which closes with the scope. */
export const open = (sources: Sources, options: ResolvedCommon): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const asked = requests.make({ asks: yield* opened(sources.asks), waits: yield* opened(sources.waits) }, options)
    const keys = records.keys(options.prefix)
    const core = engine.make(store.make(asked, keys), options)
    // That there is a leader, that we may read, and at which index the store is.
    const found = yield* asked.get("setup", keys.prefix, performance.now() + options.operationTimeout)
    core.learn(found.index)
    const { heard, wakeUps } = yield* waits.make(asked, keys, core, options.waits)
    return {
      storage: ports.storage(core, { guarantees, wakeUps, heard }),
      versioned: ports.versioned(core, { guarantees, wakeUps: Stream.empty })
    }
  })
