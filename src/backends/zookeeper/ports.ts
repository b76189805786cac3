/** Both ports over an ensemble. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type { StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"
import type { Ports } from "../shared/layers.js"
import * as observed from "../shared/observed/ports.js"
import * as client from "./client.js"
import * as engine from "./engine.js"
import * as errors from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import { largest } from "./records.js"
import type { Source } from "./source.js"
import * as watch from "./watch.js"

const guarantees = {
  name: "ZookeeperStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 10_000,
  longestId: 4 * 255,
  largestRecord: largest
} as const satisfies Storage.Guarantees

export const open = (source: Source, common: ResolvedCommon): Effect.Effect<Ports, StorageError, Scope.Scope> =>
  Effect.gen(function* () {
    const zookeeper = yield* client.make(source, common)
    const core = engine.make(zookeeper, common)
    yield* core.probe(performance.now() + common.operationTimeout)
    const wakeUps = yield* watch.make(zookeeper, core)
    return {
      storage: observed.storage(core, { guarantees, wakeUps, isForeign: errors.isForeign }),
      versioned: observed.versioned(core, { guarantees, wakeUps })
    }
  })
