/** Whether a table is still the one that the layer began with: one that was dropped and recreated, or restored, has another id. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../../LockError.js"

/** How often it is looked at where nothing points to a change, in milliseconds. Looking must cost next to nothing. */
const often = 60_000

/** How often it is looked at where records go, in milliseconds. */
const seldom = 1_000

export interface Identity {
  /** A record has gone: looks at once. */
  readonly vanished: (until: number) => Effect.Effect<void>
  /** Looks if it was not looked at lately. */
  readonly now: (until: number) => Effect.Effect<void>
}

export interface Options {
  /** As the layer began; nothing if it may not be known, and then it is never looked at. */
  readonly first: string | undefined
  /** What it is now, if that can be told. `until` is a moment of `performance.now()`. */
  readonly ask: (until: number) => Effect.Effect<string | undefined, StorageError>
  /** Is called before whatever noticed the change goes on. */
  readonly changed: () => void
  /** What people are told of it. */
  readonly warning: string
}

export const make = ({ ask, changed, first, warning }: Options): Identity => {
  let known = first
  let looked = performance.now()
  let missed = Number.NEGATIVE_INFINITY

  const look = (until: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (known === undefined) return Effect.void
      looked = performance.now()
      return ask(until).pipe(
        Effect.flatMap((id) => {
          if (id === undefined || id === known) return Effect.void
          known = id
          changed()
          return Effect.logWarning(warning)
        }),
        // Whatever is asked next fails for the same reason, and says so.
        Effect.catch(() => Effect.void)
      )
    })

  return {
    vanished: (until) =>
      Effect.suspend(() => {
        // Where many are gone, one look tells.
        if (performance.now() - missed < seldom) return Effect.void
        missed = performance.now()
        return look(until)
      }),
    now: (until) => Effect.suspend(() => (performance.now() - looked < often ? Effect.void : look(until)))
  }
}
