/** A hint to waiters is worth no release: where it cannot be sent, the statement is sent again without it. */
import * as Result from "#effect/Result"
import type { StorageError } from "../../LockError.js"
import type { Notices } from "../shared/notices.js"
import type { Executor, Query } from "../sql/executor.js"
import type { Statement } from "./statements.js"

/** For so long, in milliseconds, nothing is tried with a hint after one could not be sent. */
const pause = 5_000

const trouble = "notify"

/** Nothing was done, and the hint may be why. What a connection or a race is to blame for comes again as it is. */
const mayBeTheHint = (error: StorageError): boolean =>
  error.applied === "no" && error.reason !== "Connection" && error.reason !== "Conflict" && error.reason !== "Closed"

/** The channel is the last value of a statement that notifies. */
const without = (query: Query<Statement>): Query<Statement> => {
  const { next, statement, values } = query
  if (next !== undefined) return { ...query, next: (rows) => without(next(rows)) }
  return statement.quiet === undefined ? query : { statement: statement.quiet, values: values.slice(0, -1) }
}

/**
 * A full queue of notifications (somebody listens in a transaction that does not end), a right that is missing, or a commit that waits for others: a release, a revocation or an update is done
 * all the same, and waiters poll. It is said once, and tried again after a while.
 */
export const make = (executor: Executor<Statement>, notices: Notices): Executor<Statement> => {
  let quietUntil = Number.NEGATIVE_INFINITY
  return {
    width: executor.width,
    run: (operation, query, millis, done) => {
      if (query.statement.quiet === undefined && query.next === undefined)
        return executor.run(operation, query, millis, done)
      const start = performance.now()
      if (start < quietUntil) return executor.run(operation, without(query), millis, done)
      executor.run(operation, query, millis, (result) => {
        if (Result.isSuccess(result)) {
          notices.over(trouble, "wake-ups are sent again")
          return done(result)
        }
        const error = result.failure
        // No answer in time: whoever tries again should not wait for the same once more.
        if (error.reason === "Timeout" && error.applied === "unknown") quietUntil = performance.now() + pause
        const left = millis - (performance.now() - start)
        if (!mayBeTheHint(error) || left <= 0) return done(result)
        executor.run(operation, without(query), left, (again) => {
          if (Result.isSuccess(again)) {
            quietUntil = performance.now() + pause
            notices.warn(
              trouble,
              `locks are freed, but those who wait for them cannot be woken, and poll: ${error.message}. ` +
                "A queue of notifications fills up while a session that listens stays in a transaction (pg_notification_queue_usage())"
            )
          }
          done(again)
        })
      })
    }
  }
}
