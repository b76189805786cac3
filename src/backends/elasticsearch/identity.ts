/** Whether the index is still the one that the layer began with: dropped and recreated, or restored, it has forgotten who holds what. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as direct from "../../common/direct.js"
import type * as Storage from "../../Storage.js"
import type { Identity } from "./setup.js"

/** Not more often than that, in milliseconds. */
const pause = 5_000

export interface Watch {
  /** The index as it is known now. */
  readonly known: () => Identity
  /** Looks again, and warns. What is found out is no part of any answer: a failure to look is none of the operation. */
  readonly check: Effect.Effect<void>
}

export const make = (first: Identity, look: Effect.Effect<Identity, StorageError>): Watch => {
  let known = first
  let looked = Number.NEGATIVE_INFINITY
  return {
    known: () => known,
    check: Effect.suspend(() => {
      if (performance.now() - looked < pause) return Effect.void
      looked = performance.now()
      return Effect.ignore(
        Effect.flatMap(look, (found) => {
          if (found.uuid === known.uuid) return Effect.void
          known = found
          return Effect.logWarning(
            `ElasticsearchStorage: the index "${found.name}" is another one than before: it was dropped and recreated, or restored. It has no record of locks that are held, so others can take them`
          )
        })
      )
    })
  }
}

/** A hold that is nowhere is what shows it. */
export const watching = (
  storage: Storage.Service,
  { check }: Watch,
  audit: Storage.Service["audit"]
): Storage.Service => {
  const watched: Storage.Service = {
    ...storage,
    audit,
    renew: (requests) =>
      Effect.tap(storage.renew(requests), (answers) =>
        answers.some((answer) => answer._tag === "NotHeld" && answer.current === undefined) ? check : Effect.void
      )
  }
  const way = direct.of(storage)
  return way === undefined ? watched : direct.offer(watched, way)
}
