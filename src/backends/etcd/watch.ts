/** etcd's watch on all locks, as hints for those who wait. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type { Client } from "./client.js"
import type { Engine } from "./engine.js"
import * as errors from "./errors.js"
import * as hints from "../shared/hints.js"
import type { Keys } from "./records.js"

/** How long the server may take to begin, in milliseconds. */
const patience = 5_000

const deletion = 1

/**
 * One watch on all locks, opened at the first subscription. It always begins at the present: what was compacted away, or changed while there was no leader, or no
 * connection, is not asked for, but told as `"all"`.
 */
export const make = (
  client: Client,
  keys: Keys,
  engine: Engine
): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { sync } = yield* fibers.run
    const outages = hints.outages("EtcdStorage")

    const listen = (tell: (hint: string) => void) =>
      client.watch(
        { create: { key: keys.first, rangeEnd: keys.end } },
        (response) => {
          if (response.canceled) {
            return errors.fromDriver(
              "wakeUps",
              { code: errors.code.unavailable, details: `the watch was ended: ${response.cancelReason}` },
              "no"
            )
          }
          if (response.created) {
            outages.over()
            tell("all")
          }
          for (const { kv, type } of response.events) {
            const lockId = keys.lockId(kv.key)
            if (sync(engine.told(lockId, kv, type === deletion))) tell(lockId)
          }
          return undefined
        },
        patience
      )

    return yield* hints.make({
      listen,
      failed: (error) => (error.reason === "Closed" ? Effect.void : outages.warn(error)),
      again: (error) => error.reason !== "Closed"
    })
  })
