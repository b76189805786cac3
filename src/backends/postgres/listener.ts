import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Pg from "pg"
import type { StorageError } from "../../LockError.js"
import type { Source } from "./connection.js"
import * as errors from "./errors.js"

export interface ListenerOptions {
  readonly source: Source
  readonly channel: string
  /** How often a silent connection is asked whether it lives. */
  readonly keepAlive: Duration.Duration
  /** How long it may take to connect, to answer, and to close. */
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

/** Ends a client without waiting for a server that does not answer. */
export const destroy = (client: Pg.Client): void => {
  ;(client as unknown as { readonly connection: { readonly stream: { readonly destroy: () => void } } }).connection.stream.destroy()
}

/** Says goodbye, and hangs up if that takes too long. */
export const close = (client: Pg.Client, patience: Duration.Duration): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const end = () => {
      clearTimeout(timer)
      resume(Effect.void)
    }
    const timer = setTimeout(() => {
      destroy(client)
      end()
    }, Duration.toMillis(patience))
    client.end().then(end, end)
  })

const driver = <A>(evaluate: () => Promise<A>, options: ListenerOptions): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) => errors.fromDriver("wakeUps", cause, "connecting")
  }).pipe(
    Effect.timeoutFail({
      duration: options.patience,
      onTimeout: () => errors.noAnswer("wakeUps", Duration.toMillis(options.patience))
    })
  )

/**
 * Hints by LISTEN, over one connection of its own that is opened at the first subscription, lives in the scope of the layer, and comes back whenever it
 * dies; then whatever was said meanwhile is lost, so it says `"all"`.
 */
export const make = (options: ListenerOptions): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const subscribers = new Set<Queue.Queue<string>>()
    let started = false
    /** One warning per outage. */
    let quiet = false

    const tell = (hint: string) => {
      for (const queue of subscribers) {
        if (Effect.runSync(Queue.size(queue)) < longestBacklog) queue.unsafeOffer(hint)
        else {
          Effect.runSync(Queue.takeAll(queue))
          queue.unsafeOffer("all")
        }
      }
    }

    const open = Effect.acquireRelease(
      Effect.flatMap(Effect.timeoutFail(options.source.now, { duration: options.patience, onTimeout: () => errors.noAnswer("wakeUps", Duration.toMillis(options.patience)) }), ({ config }) =>
        Effect.try({
          try: () => {
            const client = new Pg.Client({ ...config, keepAlive: true, connectionTimeoutMillis: Duration.toMillis(options.patience) })
            // Heard from now on: an "error" without a listener ends the process.
            client.on("error", () => {})
            return client
          },
          catch: (cause) => errors.fromDriver("wakeUps", cause, "connecting")
        })),
      (client) => close(client, options.patience)
    )

    /** One connection, until it dies. */
    const session = Effect.scoped(Effect.gen(function*() {
      const client = yield* open
      const died = Effect.async<never, StorageError>((resume) => {
        const fail = (cause: unknown) => resume(errors.fromDriver("wakeUps", cause, "connecting"))
        client.once("error", fail)
        client.once("end", () => fail(new Error("the connection ended")))
      })
      client.on("notification", (message) => {
        if (message.channel === options.channel && message.payload) tell(message.payload)
      })
      const work = Effect.gen(function*() {
        yield* driver(() => client.connect(), options)
        // It is idle by design. Where there is no such setting (before PostgreSQL 14), nothing is set.
        yield* driver(() => client.query("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout' AND setting <> '0'"), options).pipe(Effect.ignore)
        yield* driver(() => client.query(`LISTEN ${Pg.escapeIdentifier(options.channel)}`), options)
        tell("all")
        yield* Effect.sleep(options.keepAlive)
        // It has lived for a while: the trouble is over. One that is cut every few seconds is warned of once.
        quiet = false
        return yield* Effect.forever(
          Effect.zipRight(driver(() => client.query("SELECT 1"), options), Effect.sleep(options.keepAlive))
        )
      })
      return yield* Effect.raceFirst(work, died)
    }))

    const loop = session.pipe(
      Effect.tapError((error) => {
        if (quiet) return Effect.void
        quiet = true
        return Effect.logWarning(`PostgresStorage: no wake-ups for now, waiters poll. ${error.message}`)
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
