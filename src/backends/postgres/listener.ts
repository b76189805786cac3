/** The connection that listens for wake-ups, and is made again when it breaks. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import * as Pg from "pg"
import type { StorageError } from "../../LockError.js"
import type { Source } from "./connection.js"
import * as errors from "./errors.js"
import { briefly } from "../shared/briefly.js"
import * as hints from "../shared/hints.js"

export interface ListenerOptions {
  readonly source: Source
  readonly channel: string
  /** How often a silent connection is asked whether it lives. */
  readonly keepAlive: Duration.Duration
  /** How long it may take to connect, to answer, and to close. */
  readonly patience: Duration.Duration
}

/** Ends a client without waiting for a server that does not answer. */
export const destroy = (client: Pg.Client): void => {
  ;(
    client as unknown as { readonly connection: { readonly stream: { readonly destroy: () => void } } }
  ).connection.stream.destroy()
}

/** Says goodbye, and hangs up if that takes too long. */
export const close = (client: Pg.Client, patience: Duration.Duration): Effect.Effect<void> =>
  briefly(
    Duration.toMillis(patience),
    () => client.end(),
    () => destroy(client)
  )

const driver = <A>(evaluate: () => Promise<A>, options: ListenerOptions): Effect.Effect<A, StorageError> =>
  Effect.tryPromise({
    try: evaluate,
    catch: (cause) => errors.fromDriver("wakeUps", cause, "connecting")
  }).pipe(
    Effect.timeoutOrElse({
      duration: options.patience,
      orElse: () => Effect.fail(errors.noAnswer("wakeUps", Duration.toMillis(options.patience)))
    })
  )

/**
 * Hints by LISTEN, over one connection of its own that is opened at the first subscription, lives in the scope of the layer, and comes back whenever it
 * dies; then whatever was said meanwhile is lost, so it says `"all"`.
 */
export const make = (options: ListenerOptions): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const outages = hints.outages("PostgresStorage")

    const open = Effect.acquireRelease(
      Effect.flatMap(
        // Nothing is had yet that an interruption could lose; and without one there would be no time-out.
        Effect.timeoutOrElse(Effect.interruptible(options.source.now), {
          duration: options.patience,
          orElse: () => Effect.fail(errors.noAnswer("wakeUps", Duration.toMillis(options.patience)))
        }),
        ({ config }) =>
          Effect.try({
            try: () => {
              const client = new Pg.Client({
                ...config,
                keepAlive: true,
                connectionTimeoutMillis: Duration.toMillis(options.patience)
              })
              // Heard from now on: an "error" without a listener ends the process.
              client.on("error", () => {})
              return client
            },
            catch: (cause) => errors.fromDriver("wakeUps", cause, "connecting")
          })
      ),
      (client) => close(client, options.patience)
    )

    const listen = (tell: (hint: string) => void) =>
      Effect.scoped(
        Effect.gen(function* () {
          const client = yield* open
          const died = Effect.callback<never, StorageError>((resume) => {
            const fail = (cause: unknown) => resume(errors.fromDriver("wakeUps", cause, "connecting"))
            client.once("error", fail)
            client.once("end", () => fail(new Error("the connection ended")))
          })
          client.on("notification", (message) => {
            if (message.channel === options.channel && message.payload) tell(message.payload)
          })
          const work = Effect.gen(function* () {
            yield* driver(() => client.connect(), options)
            // It is idle by design. Where there is no such setting (before PostgreSQL 14), nothing is set.
            yield* driver(
              () =>
                client.query(
                  "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout' AND setting <> '0'"
                ),
              options
            ).pipe(Effect.ignore)
            yield* driver(() => client.query(`LISTEN ${Pg.escapeIdentifier(options.channel)}`), options)
            tell("all")
            yield* Effect.sleep(options.keepAlive)
            // It has lived for a while: the trouble is over. One that is cut every few seconds is warned of once.
            outages.over()
            return yield* Effect.forever(
              Effect.andThen(
                driver(() => client.query("SELECT 1"), options),
                Effect.sleep(options.keepAlive)
              )
            )
          })
          return yield* Effect.raceFirst(work, died)
        })
      )

    return hints.make({
      listen,
      failed: (error) => outages.warn(error)
    })
  })
