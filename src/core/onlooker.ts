/** Who leads, for those who only look: read again and again, and at once when something is heard of it. */
import * as Cause from "#effect/Cause"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Random from "#effect/Random"
import * as Stream from "#effect/Stream"
import { storedId } from "../common/ids.js"
import type { StorageError } from "../LockError.js"
import type { LockInformation } from "../LockInformation.js"
import type { Service, TryError } from "./api.js"
import { coreOf } from "./service.js"
import type { Elections } from "./elections.js"
import { Signal } from "./signal.js"

type Seen = Option.Option<LockInformation>

/** A renewal changes nothing, and each term has a token of its own. */
const tokenOf = (seen: Seen): number | undefined => (Option.isSome(seen) ? seen.value.token : undefined)

/** When it ends, whichever is first: the pause, or a signal. */
const untilNext = (signal: Signal, every: number): Effect.Effect<void> =>
  Effect.flatMap(Random.nextBetween(0.75, 1.25), (part) =>
    Effect.raceFirst(Effect.sleep(Duration.millis(Math.ceil(every * part))), signal.wait)
  )

/** What may mean that somebody else leads: what happens to the lock in this layer, and hints that it is free. */
const listen = (service: Service, lockId: string, signal: Signal) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const core = coreOf(service)
      if (core === undefined) return []
      // Whoever only looks waits for no lock, and wants to hear all the same.
      core.listen.notify()
      const key = storedId(lockId, core.namespace)
      return [
        core.events.listenToHints((hinted) => {
          if (hinted === key || hinted === "all") signal.notify()
        }),
        core.events.listen((event) => {
          if ("lockId" in event && event.lockId === lockId && event._tag !== "Renewed") signal.notify()
        })
      ]
    }),
    (forget) => Effect.sync(() => forget.forEach((one) => one()))
  )

export const leader = (service: Service, lockId: string, every: number): Stream.Stream<Seen, TryError> =>
  Stream.unwrap(
    Effect.suspend(() => {
      const signal = new Signal()
      let isFailing = false
      const name = JSON.stringify(lockId)
      const read: Effect.Effect<Seen, TryError> = Effect.matchCauseEffect(service.get(lockId), {
        onSuccess: (seen) => {
          const back = isFailing
          isFailing = false
          return back
            ? Effect.as(Effect.logInfo(`effect-storage-lock: can tell again who leads ${name}`), seen)
            : Effect.succeed(seen)
        },
        onFailure: (cause) => {
          const error: TryError | undefined = Option.getOrUndefined(Cause.findErrorOption(cause))
          if (error?._tag !== "StorageError" || !error.isRetryable) return Effect.failCause(cause)
          const told = isFailing
          isFailing = true
          return Effect.andThen(
            told ? Effect.void : warn(name, error),
            Effect.flatMap(untilNext(signal, every), () => read)
          )
        }
      })
      const next = (before: Seen | undefined): Effect.Effect<Seen, TryError> =>
        Effect.flatMap(before === undefined ? read : Effect.flatMap(untilNext(signal, every), () => read), (now) =>
          before !== undefined && tokenOf(before) === tokenOf(now) ? next(now) : Effect.succeed(now)
        )
      return Effect.as(
        listen(service, lockId, signal),
        Stream.paginate<Seen | undefined, Seen, TryError>(undefined, (before) =>
          Effect.map(next(before), (now) => [[now], Option.some(now)] as const)
        )
      )
    })
  )

const warn = (name: string, error: StorageError): Effect.Effect<void> =>
  Effect.logWarning(`effect-storage-lock: cannot tell who leads ${name}: ${error.message}`)

/** Whether this layer has a leader. Without any I/O. */
export const isLeader = (elections: Elections, lockId: string): Stream.Stream<boolean> =>
  Stream.unwrap(
    Effect.suspend(() => {
      const signal = new Signal()
      const next = (before: boolean | undefined): Effect.Effect<boolean> =>
        Effect.suspend(() => {
          const now = elections.leads(lockId)
          return now === before ? Effect.flatMap(signal.wait, () => next(before)) : Effect.succeed(now)
        })
      return Effect.as(
        Effect.acquireRelease(
          Effect.sync(() =>
            elections.listen((change) => {
              if (change.lockId === lockId) signal.notify()
            })
          ),
          (forget) => Effect.sync(forget)
        ),
        Stream.paginate<boolean | undefined, boolean>(undefined, (before) =>
          Effect.map(next(before), (now) => [[now], Option.some(now)] as const)
        )
      )
    })
  )
