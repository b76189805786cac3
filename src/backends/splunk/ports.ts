/** Both ports of Splunk's KV store over one source of requests. */
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
import * as identity from "./identity.js"
import type { ResolvedCommon } from "./options.js"
import * as requests from "./requests.js"
import * as setup from "./setup.js"
import * as store from "./store.js"

const guarantees = {
  name: "SplunkStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 50_000,
  longestId: 4 * 255,
  // The KV store is MongoDB's, whose documents may have 16 MiB.
  largestRecord: 16_000_000
} as const satisfies Storage.Guarantees

/** Both ports over whatever sends requests, which closes with the scope. */
export const open = (source: Source, options: ResolvedCommon): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const http = yield* Effect.acquireRelease(
      Effect.sync(() => client.make(names, source)),
      ({ close }) => close
    )
    const asked = requests.make(http, options)
    const known = yield* setup.prepare(asked, options)
    const core = engine.make(yield* store.make(asked), options)
    const all = { guarantees, wakeUps: Stream.empty }
    const look = Effect.suspend(() => setup.identify(asked, "look", performance.now() + options.operationTimeout))
    return {
      storage: identity.watching(ports.storage(core, all), known, look),
      versioned: ports.versioned(core, all)
    }
  })
