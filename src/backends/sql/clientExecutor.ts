/** Runs statements by the program's own `SqlClient`, within the time of each call. */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Result from "#effect/Result"
import type * as SqlClient from "#effect/sql/SqlClient"
import type * as SqlConnection from "#effect/sql/SqlConnection"
import type { SqlError } from "#effect/sql/SqlError"
import { StorageError } from "../../LockError.js"
import { type Executor, longestTimer, type Query, type Answer } from "./executor.js"
import type { Row } from "./record.js"

/** Where an operation was when it failed: the whole difference between "not applied" and "perhaps applied". */
export type Phase = "connecting" | "executing"

export interface Options<S> {
  /** Runs one query on a connection, for which there are so many milliseconds. No transform of the program's: the names of our columns are not those of the program. */
  readonly execute: (
    connection: SqlConnection.Connection,
    query: Query<S>,
    millis: number
  ) => Effect.Effect<ReadonlyArray<unknown>, SqlError | StorageError>
  /** Of a connection whose transaction may be open. It goes back to the program. */
  readonly undo?: ((connection: SqlConnection.Connection) => Effect.Effect<unknown, unknown>) | undefined
  readonly fromDriver: (operation: string, error: unknown, phase: Phase) => StorageError
  readonly noConnection: (operation: string, millis: number) => StorageError
  readonly noAnswer: (operation: string, millis: number) => StorageError
}

/** How many connections the client has. Its configuration says so where it has a pool, though not in its type with every major of Effect. */
const widthOf = (client: { readonly config: object }): number =>
  (client.config as { readonly maxConnections?: number | undefined }).maxConnections ?? 10

/**
 * Queries on the program's own `SqlClient`.
 *
 * Each reserves a connection of its own, so it is never part of a transaction of the program. It runs in a fiber that nobody interrupts: interrupting a statement of
 * such a client may send a cancel request that hits another query of the program, and interrupting `reserve` may lose the connection. One that is out of time gives
 * its connection back unused, if it has not begun.
 */
export const make = <S>(
  client: SqlClient.SqlClient & { readonly config: object },
  options: Options<S>
): Executor<S> => ({
  width: widthOf(client),
  run: (operation, query, millis, done) => {
    const until = performance.now() + millis
    let phase: Phase = "connecting"
    let answered = false
    const answer = (result: Answer) => {
      if (answered) return
      answered = true
      clearTimeout(timer)
      done(result)
    }
    const timer = setTimeout(
      () =>
        answer(
          Result.fail(
            phase === "connecting" ? options.noConnection(operation, millis) : options.noAnswer(operation, millis)
          )
        ),
      Math.min(millis, longestTimer)
    )
    const attempt = client.reserve.pipe(
      Effect.flatMap((connection) => {
        if (answered) return Effect.succeed([])
        phase = "executing"
        const execute = (query: Query<S>): Effect.Effect<ReadonlyArray<unknown>, SqlError | StorageError> =>
          Effect.flatMap(options.execute(connection, query, until - performance.now()), (rows) =>
            query.next === undefined
              ? Effect.succeed(rows)
              : answered
                ? Effect.fail(options.noAnswer(operation, millis))
                : execute(query.next(rows as ReadonlyArray<Row>))
          )
        return query.next === undefined
          ? execute(query)
          : Effect.onError(execute(query), () => Effect.ignore(options.undo?.(connection) ?? Effect.void))
      }),
      Effect.scoped,
      Effect.uninterruptible
    )
    Effect.runFork(attempt).addObserver((exit) => {
      if (Exit.isSuccess(exit)) return answer(Result.succeed(exit.value as ReadonlyArray<Row>))
      const error = Cause.squash(exit.cause)
      answer(Result.fail(error instanceof StorageError ? error : options.fromDriver(operation, error, phase)))
    })
  }
})
