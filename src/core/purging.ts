/**
 * Drops the records of locks that have been free for long: in the background, by one process of all that share a storage, and never at the cost of anybody's acquire.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Random from "#effect/Random"
import type * as Scope from "#effect/Scope"
import { withClock } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import { isReal } from "../common/clocks.js"
import type { StorageError } from "../LockError.js"
import { callLimit, type Core, longestCall } from "./core.js"
import { Ids, purgeKey } from "../common/ids.js"
import type { Resolved } from "./options.js"

/** From one purge to the next: often enough that few old records pile up, seldom enough to cost nothing. In milliseconds. */
const intervalOf = (after: number): number => Math.min(Math.max(after / 24, 10 * 60_000), 24 * 3_600_000)

/** Nothing of this in programs that end soon. */
const shortestDelay = 60_000

/** A storage drops page by page. */
const purgeLimit = 6 * longestCall

/** On a real clock by a timer that does not keep the process alive: there may be hours to wait. */
const pause = (clock: Clock.Clock, millis: number): Effect.Effect<void> =>
  !isReal(clock)
    ? withClock(Effect.sleep(Math.ceil(millis)), clock)
    : Effect.callback<void>((resume) => {
        const timer: { readonly unref?: () => void } & (NodeJS.Timeout | number) = setTimeout(
          () => resume(Effect.void),
          millis
        )
        timer.unref?.()
        return Effect.sync(() => clearTimeout(timer))
      })

/** What one process of all that share a storage does now and then. */
export interface Chore {
  /** Of the lock by which they agree who. */
  readonly lockId: string
  readonly ownerLabel: string
  readonly work: Effect.Effect<unknown, StorageError>
  /** What is said where it fails. */
  readonly warning: (error: StorageError) => string
}

/**
 * Whoever gets the lock of the chore does it, and leaves the lock to its lease: until that ends, nobody else has to.
 */
const once = (core: Core, { lockId, ownerLabel, work }: Chore, lease: number) =>
  Effect.gen(function* () {
    const newId = yield* Ids
    const [holdId, ownerId] = [yield* newId, yield* newId]
    const claimed = yield* core.calls.ask(
      "claim",
      core.storage.claim({ lockId, ownerId, holdId, lease: Math.round(lease * 1000), ownerLabel }),
      callLimit(lease)
    )
    if (claimed._tag !== "Claimed") return
    yield* work.pipe(
      // Another may fare better.
      Effect.onError(() =>
        Effect.catch(core.calls.ask("release", core.storage.release({ lockId, holdId }), callLimit(lease)), (error) =>
          Effect.logDebug(
            `effect-storage-lock: after a clean-up that failed its lock ${JSON.stringify(lockId)} could not be given back either, so no other process cleans up before its lease ends: ${error.message}`
          )
        )
      )
    )
  })

const choreOf = (core: Core, { ownerLabel, purgeAfter }: Resolved): Chore => ({
  lockId: purgeKey,
  ownerLabel,
  work: core.calls.ask("purge", core.storage.purge(Duration.millis(purgeAfter)), purgeLimit),
  warning: ({ message }) =>
    `effect-storage-lock: the records of free locks could not be purged, and pile up until they can: ${message}. It is tried again; \`purgeAfter: "infinity"\` switches it off`
})

/** Again and again, for what is to go after so many milliseconds. */
export const loop = (core: Core, chore: Chore, after: number): Effect.Effect<never> =>
  Effect.gen(function* () {
    const interval = intervalOf(after)
    let warned = false
    // At some time within the first interval: where processes live for less, each purges now and then.
    let delay = yield* Random.nextBetween(shortestDelay, interval)
    for (;;) {
      yield* pause(core.clock, delay)
      delay = interval * (yield* Random.nextBetween(1, 1.5))
      const result = yield* Effect.result(once(core, chore, interval))
      if (result._tag === "Success") warned = false
      else if (!warned && !core.closed) {
        warned = true
        yield* Effect.logWarning(chore.warning(result.failure))
      }
    }
  })

/** From now on, until the scope is closed. */
export const run = (core: Core, options: Resolved, isAsked: boolean): Effect.Effect<void, never, Scope.Scope> =>
  Effect.suspend((): Effect.Effect<void, never, Scope.Scope> => {
    const { clock, name } = core.storage.guarantees
    if (!Number.isFinite(options.purgeAfter)) return Effect.void
    if (clock !== "storage" && clock !== "provided") {
      return isAsked
        ? Effect.logWarning(
            `effect-storage-lock: \`purgeAfter\` has no effect on ${name}: it has no clock that tells what is old, so the records of free locks stay`
          )
        : Effect.void
    }
    return Effect.acquireRelease(
      Effect.forkDetach(
        Effect.interruptible(loop(core, choreOf(core, options), options.purgeAfter)).pipe(
          Effect.catchDefect((defect) =>
            Effect.logError("effect-storage-lock: the records of free locks are not purged any more", defect)
          )
        )
      ),
      // The call first: a purge may take longer than closing should.
      (fiber) =>
        Effect.andThen(
          core.calls.abort("purge"),
          Effect.sync(() => fibers.interrupt(fiber))
        )
    )
  })
