/** ZooKeeper's recursive watch on all locks, as hints for those who wait. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import * as hints from "../shared/hints.js"
import type { Send } from "./client/ensemble.js"
import * as protocol from "./client/protocol.js"
import type { Client } from "./client.js"
import type { Engine } from "./engine.js"
import * as records from "./records.js"

/** How long the server may take, in milliseconds. */
const patience = 5_000

/**
 * One watch on all locks, on a connection of its own, opened at the first wait. It tells that something has changed, and not what; so what somebody here waits for is read, and told if it may be free.
 * Renewals of others, and locks that nobody here has asked for, cost nothing but the event.
 */
export const make = (client: Client, engine: Engine): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = yield* fibers.run
    const outages = hints.outages("ZookeeperStorage")

    const listen = (tell: (hint: string) => void) => {
      /** Locks that are being read, and whether they have changed since. */
      const reading = new Map<string, boolean>()

      const read = (lockId: string, path: string, send: Send): Effect.Effect<void> =>
        Effect.gen(function* () {
          reading.set(lockId, false)
          const [answer] = yield* send([protocol.getData(path)], performance.now() + patience)
          const isGone = answer!._tag === "Refused" && answer!.code === protocol.code.noNode
          if (answer!._tag === "Done" || isGone) {
            const node = answer!._tag === "Done" ? (answer!.value as protocol.Node) : undefined
            if (yield* engine.told(lockId, node)) tell(lockId)
          }
          if (reading.get(lockId) === true) yield* read(lockId, path, send)
        })

      return client.listen(
        ({ path }, send) => {
          const lockId = records.lockIdOf(path.slice(path.lastIndexOf("/") + 1))
          if (lockId === undefined || !engine.isWanted(lockId)) return
          if (reading.has(lockId)) reading.set(lockId, true)
          else
            run.fork(
              Effect.ensuring(
                read(lockId, path, send),
                Effect.sync(() => reading.delete(lockId))
              )
            )
        },
        () => {
          outages.over()
          tell("all")
        },
        patience
      )
    }

    return yield* hints.make({
      listen,
      failed: (error) => (error.reason === "Closed" ? Effect.void : outages.warn(error)),
      again: (error) => error.reason !== "Closed"
    })
  })
