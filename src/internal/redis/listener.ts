import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Redis } from "ioredis"
import type { StorageError } from "../../LockError.js"
import { hush } from "./connection.js"
import * as errors from "./errors.js"

export interface ListenerOptions {
  /** A connection that is not open yet, to whatever node is there now. */
  readonly connection: () => Redis | undefined
  readonly channel: string
  /** By which operators know the connection. */
  readonly name: string
  readonly secrets: ReadonlyArray<string>
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

/**
 * Hints by SUBSCRIBE, over one connection of its own that is opened at the first subscription, lives in the scope of the layer, and comes back whenever it
 * dies; then whatever was said meanwhile is lost, so it says `"all"`. Reconnecting is not left to the client, which does not tell of gaps.
 */
export const make = (options: ListenerOptions): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const subscribers = new Set<Queue.Queue<string>>()
    let started = false
    /** One warning per outage. */
    let quiet = false

    const failed = (error: unknown) =>
      errors.fromDriver(error, { operation: "wakeUps", phase: "connecting", secrets: options.secrets, writesOnce: true })

    const tell = (hint: string) => {
      for (const queue of subscribers) {
        if (Effect.runSync(Queue.size(queue)) < longestBacklog) queue.unsafeOffer(hint)
        else {
          Effect.runSync(Queue.takeAll(queue))
          queue.unsafeOffer("all")
        }
      }
    }

    /** One connection, until it dies. */
    const session = Effect.scoped(Effect.gen(function*() {
      const redis = yield* Effect.acquireRelease(
        Effect.suspend(() => {
          const redis = options.connection()
          // Heard from now on: an "error" without a listener is printed.
          return redis === undefined ? Effect.fail(failed(new Error("no node of the cluster is known now"))) : Effect.succeed(redis.on("error", () => {}))
        }),
        (redis) =>
          Effect.sync(() => {
            hush(redis)
            redis.disconnect()
          })
      )
      let cause: unknown
      redis.on("error", (error) => {
        cause = error
        hush(redis)
      })
      const driver = (evaluate: () => Promise<unknown>): Effect.Effect<unknown, StorageError> =>
        Effect.tryPromise({ try: evaluate, catch: (error) => failed(errors.isReply(error) ? error : cause ?? error) }).pipe(
          Effect.timeoutFail({
            duration: options.patience,
            onTimeout: () => errors.noAnswer("wakeUps", Duration.toMillis(options.patience))
          })
        )
      const died = Effect.async<never, StorageError>((resume) => {
        redis.once("end", () => resume(failed(cause ?? new Error("the connection ended"))))
      })
      redis.on("message", (channel: string, message: string) => {
        if (channel === options.channel) tell(message)
      })
      const work = Effect.gen(function*() {
        yield* driver(() => redis.connect())
        yield* Effect.ignore(driver(() => redis.client("SETNAME", options.name)))
        yield* driver(() => redis.subscribe(options.channel))
        quiet = false
        tell("all")
        return yield* Effect.forever(Effect.zipRight(Effect.sleep(options.keepAlive), driver(() => redis.ping())))
      })
      return yield* Effect.raceFirst(work, died)
    }))

    const loop = session.pipe(
      Effect.tapError((error) => {
        if (quiet) return Effect.void
        quiet = true
        return Effect.logWarning(`RedisStorage: no wake-ups for now, waiters poll. ${error.message}`)
      }),
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
