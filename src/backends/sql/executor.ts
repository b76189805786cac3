/** What runs statements at a SQL server. */
import * as Effect from "#effect/Effect"
import type * as Result from "#effect/Result"
import type { StorageError } from "../../LockError.js"
import type { Row } from "./record.js"

export type Answer = Result.Result<ReadonlyArray<Row>, StorageError>

/** What a dialect asks of its server: one round trip. */
export interface Query<S> {
  readonly statement: S
  readonly values: ReadonlyArray<unknown>
  /**
   * It has begun a transaction, and this is what ends it: sent on the same connection as soon as the rows are there. A connection on which that was not done is never given back as it is: it is closed, or
   * rolled back.
   */
  readonly next?: ((rows: ReadonlyArray<Row>) => Query<S>) | undefined
}

/**
 * Runs one query on a connection of its own choice, outside any transaction of the program, in at most `millis`. Nobody can stop it, so it needs no canceller:
 * a caller that leaves lets it go on to its answer or its time-out. `done` is called once.
 */
export interface Executor<S> {
  readonly run: (operation: string, query: Query<S>, millis: number, done: (result: Answer) => void) => void
  /** How many connections there are. */
  readonly width: number
}

/** `setTimeout` fires at once beyond this. */
export const longestTimer = 2 ** 31 - 1

/** One query, as an Effect. */
export const runQuery = <S>(
  executor: Executor<S>,
  operation: string,
  query: Query<S>,
  millis: number
): Effect.Effect<ReadonlyArray<Row>, StorageError> =>
  Effect.callback((resume) => executor.run(operation, query, millis, (answer) => resume(Effect.fromResult(answer))))
