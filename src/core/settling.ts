/** How a hold, or a claim that may have become one, is given back for certain. */
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Random from "#effect/Random"
import type { Claimant } from "./claimant.js"
import { callLimit, type Core, isUnsure } from "./core.js"
import { Unreleased } from "./unreleased.js"

const release = (core: Core, { holdId, key }: Claimant) => core.storage.release({ lockId: key, holdId })

/** Between releases that fail, and between those that only look whether a lost claim has arrived meanwhile; the second as a part of the lease. In milliseconds. */
const longestPause = 2000
const looks = 10

/**
 * Makes certain that the storage keeps nothing of a claimant that is no longer wanted: waits until its claims have ended, then releases its hold,
 * again and again until the answer is definite or the lease is over anyway.
 */
export const settle = (core: Core, claimant: Claimant): Effect.Effect<void> =>
  Effect.suspend(() => {
    const trouble = new Unreleased(core, claimant)
    return Effect.ensuring(
      settling(core, claimant, trouble),
      Effect.sync(() => trouble.ended())
    )
  })

const settling = (core: Core, claimant: Claimant, trouble: Unreleased): Effect.Effect<void> =>
  Effect.gen(function* () {
    let hurries = core.closed
    while (claimant.inflight > 0) yield* claimant.nextEnd
    const over = core.timeline.now() + claimant.lease
    for (let pause = 20; ; pause *= 2) {
      const answer = yield* Effect.result(core.calls.ask("release", release(core, claimant), callLimit(claimant.lease)))
      const answered = answer._tag === "Success"
      if (answered) {
        trouble.answered()
        core.queues.gone(claimant.key, claimant.holdId)
      } else trouble.failed(answer.failure)
      // While a claim, or a copy of one, may yet arrive, no answer is the last word.
      if (answered && !isUnsure(core, claimant)) return
      // Closing waits for no claim that may yet arrive, but one lost message more must not block others for a lease: its own bound ends the repeating.
      if (core.closed && (answered || !answer.failure.isRetryable)) return
      // What has deepened a hold of this process lives as long as that is renewed.
      if (core.timeline.now() >= over && (answered || !core.queues.isHolder(claimant.key, claimant.ownerId))) return
      pause = Math.min(pause, answered ? Math.max(longestPause, claimant.lease / looks) : longestPause)
      const rest = Effect.sleep(yield* Random.nextIntBetween(pause / 2, pause * 1.5))
      if (hurries) yield* rest
      else {
        yield* Effect.raceFirst(rest, Deferred.await(core.closing))
        // There is little time left: it starts over with short pauses, but with pauses.
        if ((hurries = core.closed)) pause = 10
      }
    }
  })
