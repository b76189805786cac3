/** The listener for hints: the storage says that a lock may be free, and those who wait for it here are told. */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import type { Core } from "./core.js"

/** Hints are heard from the first wait on: a program that never waits needs no connection for them. */
export const listen = (core: Core): Effect.Effect<void> =>
  core.listen.wait.pipe(
    Effect.andThen(
      Stream.runForEach(core.storage.wakeUps, (lockId) =>
        Effect.sync(() => {
          core.events.hinted(lockId)
          core.queues.hint(lockId, core.timeline.now())
        })
      )
    ),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.logWarning("effect-storage-lock: no more wake-ups, waiters only poll", Cause.squash(cause))
    )
  )
