/** Both ports of etcd over its engine. */
import type * as Stream from "#effect/Stream"
import type * as Storage from "../../Storage.js"
import type * as VersionedStore from "../../VersionedStore.js"
import * as ports from "../shared/observed/ports.js"
import type { Engine } from "./engine.js"
import * as errors from "./errors.js"

const guarantees = {
  name: "EtcdStorage",
  clock: "observed",
  time: "real",
  leaseGranularity: 1,
  shortestLease: 10_000,
  longestId: 4 * 255,
  // A request may have 1.5 MiB, unless a server is told otherwise (--max-request-bytes), and has the record as it was beside the next one.
  largestRecord: 750_000
} as const satisfies Storage.Guarantees

export const storage = (engine: Engine, wakeUps: Stream.Stream<string>): Storage.Service =>
  ports.storage(engine, { guarantees, wakeUps, isForeign: errors.isForeign })

export const versioned = (engine: Engine, wakeUps: Stream.Stream<string>): VersionedStore.Service =>
  ports.versioned(engine, { guarantees, wakeUps })
