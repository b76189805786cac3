/** The listener for hints: the storage says that a lock may be free, and those who wait for it here are told. */
import * as Cause from "#effect/Cause"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import { hintsOf } from "../common/direct.js"
import type { Core } from "./core.js"

/** Hints are heard from the first wait on: a program that never waits needs no connection for them. */
export const listen = (core: Core): Effect.Effect<void> => {
  const { storage } = core
  const failed = Deferred.makeUnsafe<never>()
  /** Within what a driver calls: nothing may throw there. */
  const tell = (toOne: boolean) => (lockId: string) => {
    try {
      core.events.hinted(lockId)
      core.queues.hint(lockId, core.timeline.now(), toOne)
    } catch (defect) {
      Deferred.doneUnsafe(failed, Exit.die(defect))
    }
  }
  const all = Effect.suspend(() => {
    const { listen, tells = "all" } = hintsOf(storage.wakeUps)
    core.hearsItself = tells === "all"
    return listen(tell(tells === "one"))
  })
  return core.listen.wait.pipe(
    Effect.andThen(Effect.raceFirst(all, Deferred.await(failed))),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.logWarning("effect-storage-lock: no more wake-ups, waiters only poll", Cause.squash(cause))
    )
  )
}
