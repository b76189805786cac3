/** The orderly end of a pool. */
import * as Effect from "#effect/Effect"

/** How long the goodbyes may take, in milliseconds. */
export const longest = 1_000

/** Waits until a pool that has begun to close is empty, and hangs up on what is left of it then. */
export const farewell = (close: () => void, isEmpty: () => boolean, hangUp: () => void): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const until = performance.now() + longest
    close()
    const look = () => {
      if (!isEmpty()) {
        if (performance.now() < until) return void setTimeout(look, 5)
        hangUp()
      }
      resume(Effect.void)
    }
    look()
  })
