import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import { type Executor, longestTimer, type Row } from "./executor.js"
import type { Statement } from "./statements.js"

/** An operation is given up by its caller, never stopped: `abandoned` tells it to give its connection back unused, if it has not begun. */
interface Progress {
  phase: errors.Phase
  abandoned: boolean
}

/**
 * Statements on the program's own `PgClient`.
 *
 * Each reserves a connection of its own, so it is never part of a transaction of the program. It runs in a fiber that nobody interrupts: interrupting a statement of this
 * client sends a cancel request that may hit another query of the program, and interrupting `reserve` may lose the connection. The caller waits
 * for that fiber, bounded and interruptibly.
 */
export const make = (client: PgClient.PgClient): Executor => {
  const attempt = (progress: Progress, operation: string, statement: Statement, values: ReadonlyArray<unknown>) =>
    client.reserve.pipe(
      Effect.flatMap((connection) => {
        if (progress.abandoned) return Effect.succeed<ReadonlyArray<Row>>([])
        progress.phase = "executing"
        // No transform: the names of our columns are not those of the program.
        return connection.execute(statement.text, values, undefined)
      }),
      Effect.scoped,
      Effect.mapError((error) => errors.fromDriver(operation, error, progress.phase)),
      Effect.uninterruptible
    )

  const wait = (
    fiber: Fiber.RuntimeFiber<ReadonlyArray<Row>, StorageError>,
    progress: Progress,
    operation: string,
    millis: number
  ) =>
    Effect.async<ReadonlyArray<Row>, StorageError>((resume) => {
      const finish = (exit: Effect.Effect<ReadonlyArray<Row>, StorageError>) => {
        clearTimeout(timer)
        resume(exit)
      }
      const timer = setTimeout(() => {
        fiber.removeObserver(finish)
        progress.abandoned = true
        resume(progress.phase === "connecting" ? errors.noConnection(operation, millis) : errors.noAnswer(operation, millis))
      }, Math.min(millis, longestTimer))
      fiber.addObserver(finish)
      return Effect.sync(() => {
        clearTimeout(timer)
        fiber.removeObserver(finish)
        progress.abandoned = true
      })
    })

  return {
    run: (operation, statement, values, millis) =>
      Effect.suspend(() => {
        const progress: Progress = { phase: "connecting", abandoned: false }
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            Effect.forkDaemon(attempt(progress, operation, statement, values)),
            (fiber) => restore(wait(fiber, progress, operation, millis))
          )
        )
      })
  }
}
