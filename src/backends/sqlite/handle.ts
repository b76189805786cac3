import type * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"

export type Named = Readonly<Record<string, unknown>>

export type Run = <Row>(
  operation: string,
  text: string,
  params?: Named
) => Effect.Effect<ReadonlyArray<Row>, StorageError>

/** One connection of our own: no transaction of the program is ever on it. */
export interface Handle {
  /** The statement commits by itself, at once. */
  readonly run: Run
  /** The same, for what writes: it may commit together with others of the same turn of the event loop. */
  readonly write: Run
}
