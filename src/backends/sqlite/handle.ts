import type * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"

/** One connection of our own: no transaction of the program is ever on it, so every statement commits by itself. */
export interface Handle {
  readonly run: <Row>(
    operation: string,
    text: string,
    params?: Readonly<Record<string, unknown>>
  ) => Effect.Effect<ReadonlyArray<Row>, StorageError>
}
