/** A hold that ends before its time: the storage keeps it until then, so that whoever is late finds it held. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../LockError.js"
import { granular } from "./options.js"
import type { Hold } from "./hold.js"
import { renewOne } from "./refresher.js"

/** A renewal that fails is tried again so often. Then the lease that it has must do. */
const tries = 3

/** Milliseconds between looks at a renewal that is under way. */
const look = 5

const leaveFor = (hold: Hold, millis: number): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { core } = hold
    // A store that knows the length of a lease alone would go by the one that it has got last.
    while (hold.renewing) yield* Effect.sleep(look)
    const until = core.timeline.now() + millis
    let failure: StorageError | undefined
    for (let tried = 0; hold.state === "held" && tried < tries; tried++) {
      const left = granular(Math.max(0, until - core.timeline.now()), core.storage.guarantees)
      const told = yield* renewOne(core, hold, left)
      failure = told._tag === "StorageError" ? told : undefined
      if (failure?.isRetryable !== true) break
    }
    if (failure !== undefined)
      yield* Effect.logWarning(
        `effect-storage-lock: ${JSON.stringify(hold.claimant.lockId)} may be free before \`holdAtLeast\` is over, so a late process may run its task again: ${failure.message}`
      )
    hold.left()
  })

/** In place of a release: the lock is free only when it has been held for so many milliseconds. */
export const releaseAfter = (hold: Hold, atLeast: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const left = atLeast - hold.heldMillis()
    return left > 0 && hold.remaining() > 0 ? leaveFor(hold, left) : hold.release
  })
