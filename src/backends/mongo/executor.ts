/** What runs commands at a MongoDB. */
import type * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"

export type Document = Readonly<Record<string, unknown>>

/**
 * Runs one command on the primary, in no session and no transaction of the program, in at most `millis`. Interrupting it is safe for everybody else:
 * it goes on by itself, to its answer or its time-out. An answer that bears write errors is a failure.
 */
export interface Executor {
  readonly run: (operation: string, command: Document, millis: number) => Effect.Effect<Document, StorageError>
}
