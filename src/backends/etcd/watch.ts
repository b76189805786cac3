import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Client } from "./client.js"
import type { Engine } from "./engine.js"
import * as errors from "./errors.js"
import type { Keys } from "./records.js"

/** A subscriber that does not keep up loses its hints, and is told so by one `"all"`. */
const longestBacklog = 1024

/** How long the server may take to begin, in milliseconds. */
const patience = 5_000

const deletion = 1

const again = Schedule.exponential("50 millis", 2).pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jitteredWith({ min: 0.5, max: 1.5 }),
  // One that lived for a while was a good one: begin anew.
  Schedule.resetAfter("30 seconds")
)

/**
 * One watch on all locks, opened at the first subscription. It always begins at the present: what was compacted away, or changed while there was no leader, or no
 * connection, is not asked for, but told as `"all"`.
 */
export const make = (client: Client, keys: Keys, engine: Engine): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const runSync = Runtime.runSync(yield* Effect.runtime<never>())
    const subscribers = new Set<Queue.Queue<string>>()
    let started = false
    /** One warning per outage. */
    let quiet = false

    const tell = (hint: string) => {
      for (const queue of subscribers) {
        if (Effect.runSync(Queue.size(queue)) < longestBacklog) {
          queue.unsafeOffer(hint)
        } else {
          Effect.runSync(Queue.takeAll(queue))
          queue.unsafeOffer("all")
        }
      }
    }

    const session = client.watch({ create: { key: keys.first, rangeEnd: keys.end } }, (response) => {
      if (response.canceled) {
        return errors.fromDriver("wakeUps", { code: errors.code.unavailable, details: `the watch was ended: ${response.cancelReason}` }, "no")
      }
      if (response.created) {
        quiet = false
        tell("all")
      }
      for (const { kv, type } of response.events) {
        const lockId = keys.lockId(kv.key)
        if (runSync(engine.note(lockId, kv, type === deletion))) tell(lockId)
      }
      return undefined
    }, patience)

    const loop = session.pipe(
      Effect.tapError((error) => {
        if (quiet || error.reason === "Closed") return Effect.void
        quiet = true
        return Effect.logWarning(`EtcdStorage: no wake-ups for now, waiters poll. ${error.message}`)
      }),
      Effect.retry({ schedule: again, while: (error) => error.reason !== "Closed" }),
      Effect.ignore
    )

    return Stream.unwrapScoped(Effect.gen(function*() {
      const queue = yield* Effect.acquireRelease(
        Effect.tap(Queue.unbounded<string>(), (queue) => Effect.sync(() => subscribers.add(queue))),
        (queue) => Effect.zipRight(Effect.sync(() => subscribers.delete(queue)), Queue.shutdown(queue))
      )
      if (!started) {
        started = true
        yield* loop.pipe(Effect.interruptible, Effect.forkIn(scope))
      }
      return Stream.fromQueue(queue)
    }))
  })
