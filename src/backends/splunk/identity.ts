/** Whether the collection is still the one that the layer began with: emptied, recreated or restored, it has forgotten who holds what. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import type * as Storage from "../../Storage.js"

/** Not more often than that, in milliseconds. */
const pause = 5_000

/** A hold that is nowhere is what shows it. What is found out is no part of any answer: a failure to look is none of the operation. */
export const watching = (
  storage: Storage.Service,
  first: string,
  look: Effect.Effect<string, StorageError>
): Storage.Service => {
  let known = first
  let looked = Number.NEGATIVE_INFINITY
  const check = Effect.suspend(() => {
    if (performance.now() - looked < pause) return Effect.void
    looked = performance.now()
    return Effect.ignore(
      Effect.flatMap(look, (found) => {
        if (found === known) return Effect.void
        known = found
        return Effect.logWarning(
          "SplunkStorage: the collection was emptied, recreated or restored. It has no record of locks that are held, so others can take them, and tokens start over"
        )
      })
    )
  })
  return {
    ...storage,
    renew: (requests) =>
      Effect.tap(storage.renew(requests), (answers) =>
        answers.some((answer) => answer._tag === "NotHeld" && answer.current === undefined) ? check : Effect.void
      )
  }
}
