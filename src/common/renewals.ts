import * as Effect from "#effect/Effect"
import type { StorageError } from "../LockError.js"
import type { RenewAnswer } from "../Storage.js"

/** One answer each; where none succeeded, the failure of all. */
export const settle = (
  answers: ReadonlyArray<RenewAnswer>
): Effect.Effect<ReadonlyArray<RenewAnswer>, StorageError> => {
  const first = answers[0]
  return first?._tag === "StorageError" && answers.every(({ _tag }) => _tag === "StorageError")
    ? Effect.fail(first)
    : Effect.succeed(answers)
}
