/** What imports `@grpc/grpc-js`: a storage over channels of its own, or over the program's. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { sentence } from "../../common/checkup.js"
import type { StorageError } from "../../LockError.js"
import type { Ports } from "../shared/layers.js"
import * as client from "./client.js"
import * as engine from "./engine.js"
import type { ResolvedCommon } from "./options.js"
import * as protocol from "./protocol.js"
import * as records from "./records.js"
import * as ports from "./storage.js"
import * as watch from "./watch.js"
import { findings } from "./startupFindings.js"

export { make as client } from "./client.js"
export * as protocol from "./protocol.js"
export { make as source, ofChannel } from "./source.js"

/** How long the endpoints that nothing is asked of may take to tell which cluster they belong to, in milliseconds. One that is down is not waited for any longer. */
const longestComparison = 1_000

export const open = (
  common: ResolvedCommon,
  options: client.Options
): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const etcd = yield* client.make(options)
    const keys = records.keys(common.prefix)
    const until = performance.now() + common.operationTimeout
    // That there is a leader, that we may, and at which revision the cluster is.
    const core = engine.make(etcd, keys, common)
    yield* core.probe(until)
    yield* etcd.compareEndpoints(Math.min(common.operationTimeout, longestComparison))
    yield* etcd.call("setup", protocol.status, {}, until, "reads").pipe(
      Effect.flatMap((status) =>
        Effect.forEach(findings(status), (found) => Effect.logWarning(`EtcdStorage: ${sentence(found)}`))
      ),
      // Whoever may use the prefix need not be allowed to ask for more.
      Effect.catch((error) => Effect.logDebug(`EtcdStorage: the server's state cannot be looked at. ${error.message}`))
    )
    const wakeUps = yield* watch.make(etcd, keys, core)
    return { storage: ports.storage(core, wakeUps), versioned: ports.versioned(core, wakeUps) }
  })
