/** Redis's subscription to one channel, as hints for those who wait. */
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import type * as Notices from "../shared/notices.js"
import * as errors from "./errors.js"
import * as hints from "../shared/hints.js"
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

const failed =
  (phase: errors.Phase) =>
  (error: unknown): StorageError =>
    errors.fromDriver(error, { operation: "wakeUps", phase, writesOnce: true })

/**
 * Hints by SUBSCRIBE, over one connection of its own that is opened at the first subscription, lives in the scope of the layer, and comes back whenever it
 * dies; then whatever was said meanwhile is lost, so it says `"all"`.
 */
export const make = (options: ListenerOptions): Effect.Effect<Stream.Stream<string>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const patience = Duration.toMillis(options.patience)

    const listen = (tell: (hint: string) => void) =>
      Effect.scoped(
        Effect.gen(function* () {
          // In whichever database: channels are of the whole server.
          const target = { ...(yield* options.ask), name: options.name, db: 0 }
          const confirmed = yield* Deferred.make<void, StorageError>()
          const died = yield* Deferred.make<never, StorageError>()
          const { redis, said } = yield* Effect.acquireRelease(
            Effect.try({
              try: () =>
                Session.open(target, patience, {
                  ready: () => Deferred.doneUnsafe(confirmed, Effect.void),
                  over: (error) => {
                    Deferred.doneUnsafe(confirmed, Effect.fail(failed("connecting")(error)))
                    Deferred.doneUnsafe(died, Effect.fail(failed("connecting")(error)))
                  }
                }),
              catch: failed("connecting")
            }),
            ({ close }) => Effect.promise(close)
          )
          const ask = (name: string, args: ReadonlyArray<string>): Effect.Effect<unknown, StorageError> =>
            Effect.tryPromise({
              try: () => Session.send(redis, name, args),
              catch: (error) => failed("executing")(errors.isDriver(error) ? (said() ?? error) : error)
            }).pipe(
              Effect.timeoutOrElse({
                duration: options.patience,
                orElse: () => Effect.fail(errors.noAnswer("wakeUps", patience))
              })
            )
          redis.on("message", (channel: string, message: string) => {
            if (channel === options.channel) tell(message)
          })
          const work = Effect.gen(function* () {
            yield* Deferred.await(confirmed)
            yield* ask("subscribe", [options.channel])
            options.notices.over("listen", "wake-ups are heard again")
            tell("all")
            return yield* Effect.forever(Effect.andThen(Effect.sleep(options.keepAlive), ask("ping", [])))
          })
          return yield* Effect.raceFirst(work, Deferred.await(died))
        })
      )

    return hints.make({
      listen,
      failed: (error) =>
        Effect.sync(() => options.notices.warn("listen", `no wake-ups for now, waiters poll. ${error.message}`))
    })
  })
