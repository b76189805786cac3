import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { StorageError } from "../../LockError.js"
import type * as Notices from "../shared/notices.js"
import * as errors from "./errors.js"
import * as Session from "./session.js"
import type { Ask } from "./target.js"

export interface ListenerOptions {
  /** Where the next connection goes, by its present settings. */
  readonly ask: Ask
  readonly channel: string
  /** By which operators know the connection. */
  readonly name: string
  readonly notices: Notices.Notices
  /** How often a silent connection is asked whether it lives. */
  readonly keepAlive: Duration.Duration
  /** How long it may take to connect, and to answer. */
  readonly patience: Duration.Duration
}

/** A subscriber that does not keep up loses its hints, and is told so by one `"all"`. */
const longestBacklog = 1024

const reconnect = Schedule.exponential("50 millis", 2).pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jitteredWith({ min: 0.5, max: 1.5 }),
  // A connection that lived for a while was a good one: begin anew.
  Schedule.resetAfter("30 seconds")
)

const failed = (phase: errors.Phase) => (error: unknown): StorageError => errors.fromDriver(error, { operation: "wakeUps", phase, writesOnce: true })

/** Called by the driver: nothing in it may throw. A queue that was shut down has no size. */
const offer = (queue: Queue.Queue<string>, hint: string): void => {
  const size = queue.unsafeSize()
  if (Option.isNone(size)) return
  if (size.value < longestBacklog) return void queue.unsafeOffer(hint)
  Effect.runSync(Effect.exit(Queue.takeAll(queue)))
  queue.unsafeOffer("all")
}

/**
 * Hints by SUBSCRIBE, over one connection of its own that is opened at the first subscription, lives in the scope of the layer, and comes back whenever it
 * dies; then whatever was said meanwhile is lost, so it says `"all"`.
 */
export const make = (options: ListenerOptions): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const subscribers = new Set<Queue.Queue<string>>()
    const patience = Duration.toMillis(options.patience)
    let started = false

    const tell = (hint: string) => {
      for (const queue of subscribers) offer(queue, hint)
    }

    /** One connection, until it dies. */
    const session = Effect.scoped(Effect.gen(function*() {
      // In whichever database: channels are of the whole server.
      const target = { ...yield* options.ask, name: options.name, db: 0 }
      const confirmed = yield* Deferred.make<void, StorageError>()
      const died = yield* Deferred.make<never, StorageError>()
      const { redis, said } = yield* Effect.acquireRelease(
        Effect.try({
          try: () =>
            Session.open(target, patience, {
              ready: () => Deferred.unsafeDone(confirmed, Effect.void),
              over: (error) => {
                Deferred.unsafeDone(confirmed, Effect.fail(failed("connecting")(error)))
                Deferred.unsafeDone(died, Effect.fail(failed("connecting")(error)))
              }
            }),
          catch: failed("connecting")
        }),
        ({ close }) => Effect.promise(close)
      )
      const ask = (name: string, args: ReadonlyArray<string>): Effect.Effect<unknown, StorageError> =>
        Effect.tryPromise({
          try: () => Session.send(redis, name, args),
          catch: (error) => failed("executing")(errors.isDriver(error) ? said() ?? error : error)
        }).pipe(Effect.timeoutFail({ duration: options.patience, onTimeout: () => errors.noAnswer("wakeUps", patience) }))
      redis.on("message", (channel: string, message: string) => {
        if (channel === options.channel) tell(message)
      })
      const work = Effect.gen(function*() {
        yield* Deferred.await(confirmed)
        yield* ask("subscribe", [options.channel])
        options.notices.over("listen", "wake-ups are heard again")
        tell("all")
        return yield* Effect.forever(Effect.zipRight(Effect.sleep(options.keepAlive), ask("ping", [])))
      })
      return yield* Effect.raceFirst(work, Deferred.await(died))
    }))

    const loop = session.pipe(
      Effect.tapError((error) => Effect.sync(() => options.notices.warn("listen", `no wake-ups for now, waiters poll. ${error.message}`))),
      Effect.retry(reconnect),
      Effect.ignoreLogged
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
