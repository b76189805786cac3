import * as Effect from "#effect/Effect"

/**
 * Waits for the end of a promise, however it ends, and for so many milliseconds at most. Also where nothing can be interrupted, as at the end of a scope: there a time-out waits for what it is to limit.
 */
export const briefly = (
  millis: number,
  evaluate: () => Promise<unknown>,
  late: () => void = () => {}
): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const end = () => {
      clearTimeout(timer)
      resume(Effect.void)
    }
    const timer = setTimeout(() => {
      late()
      end()
    }, millis)
    evaluate().then(end, end)
  })
