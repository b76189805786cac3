import type * as Effect from "effect/Effect"
import type { StorageError } from "../../LockError.js"
import type { Statement } from "./statements.js"

export type Row = Readonly<Record<string, unknown>>

/**
 * Runs one statement on a connection of its own choice, outside any transaction of the program, in at most `millis`. Interrupting it is safe for everybody else:
 * no statement is ever cancelled.
 */
export interface Executor {
  readonly run: (
    operation: string,
    statement: Statement,
    values: ReadonlyArray<unknown>,
    millis: number
  ) => Effect.Effect<ReadonlyArray<Row>, StorageError>
}

/** `setTimeout` fires at once beyond this. */
export const longestTimer = 2 ** 31 - 1
