/** Runs commands by MongoDB's driver, within the time of each call. */
import * as Effect from "#effect/Effect"
import type { Db, Document as Reply } from "mongodb"
import type { StorageError } from "../../LockError.js"
import type { Connection } from "./clients.js"
import * as errors from "./errors.js"
import type { Document, Executor } from "./executor.js"

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1

/** What has to be left of a call's time for another try within it. With less, its first error says more. */
const worthwhile = 0.5

/** Whatever the program's client is set to. */
const values = {
  readPreference: "primary",
  promoteValues: true,
  promoteLongs: true,
  promoteBuffers: false,
  useBigInt64: false,
  ignoreUndefined: false,
  raw: false
} as const

/** Errors of single writes do not make a command fail. */
const failure = (operation: string, reply: Reply): StorageError | undefined => {
  if (Array.isArray(reply.writeErrors) && reply.writeErrors.length > 0) {
    const first = reply.writeErrors[0] as { readonly errmsg?: unknown }
    return errors.fromDriver(operation, { name: "MongoServerError", ...first, message: first.errmsg })
  }
  const concern = reply.writeConcernError as { readonly errmsg?: unknown } | undefined
  return concern === undefined || concern === null
    ? undefined
    : errors.fromDriver(
        operation,
        { name: "MongoWriteConcernError", ...concern, message: concern.errmsg },
        "afterwards"
      )
}

/**
 * Commands as they go over the wire, one each, so that nothing of the program's client (a session, a read preference, a write concern, retries of its own) has a part in
 * them. A repeat is up to the library, which names each hold; the server need keep no images for retryable writes.
 *
 * An operation that is out of time closes its connection. One that is interrupted goes on by itself, to its answer or its time-out.
 */
export const make = (connection: Connection, database: string): Executor => {
  const once = (db: Db, operation: string, command: Document, millis: number) =>
    Effect.callback<Reply, StorageError>((resume) => {
      if (connection.isClosed()) return resume(errors.closed(operation))
      const abort = new AbortController()
      const end = (result: Effect.Effect<Reply, StorageError>) => {
        clearTimeout(timer)
        resume(result)
      }
      const timer = setTimeout(
        () => {
          resume(errors.noAnswer(operation, millis))
          abort.abort()
        },
        Math.min(millis, longestTimer)
      )
      // The server gives up before the caller does, so that the caller mostly gets a definite answer.
      const maxTimeMS = Math.max(1, Math.min(Math.floor(millis * 0.8), longestTimer))
      const failed = (error: unknown) => {
        // In order of what happened: the server did it, and then no majority had it.
        const afterwards = (error as { readonly name?: unknown } | null)?.name === "MongoWriteConcernError"
        end(
          connection.isClosed()
            ? errors.closing(operation)
            : errors.fromDriver(operation, error, afterwards ? "afterwards" : undefined)
        )
      }
      // Whatever the driver throws or makes of an answer is a failure of this command.
      const answer = async () => {
        const reply = await db.command({ ...command, maxTimeMS }, { ...values, signal: abort.signal })
        end(failure(operation, reply) ?? Effect.succeed(reply))
      }
      answer().catch(failed)
    })

  return {
    run: (operation, command, millis) =>
      Effect.suspend(() => {
        const { renew } = connection
        const db = connection.db(database)
        const first = once(db, operation, command, millis)
        if (renew === undefined) return first
        const until = performance.now() + millis
        const again = Effect.suspend(() => once(connection.db(database), operation, command, until - performance.now()))
        return Effect.catchIf(first, errors.isUnreached, (error) =>
          Effect.flatMap(
            Effect.timeoutOrElse(renew(operation, db), {
              duration: Math.max(1, until - performance.now()),
              orElse: () => Effect.succeed(false)
            }),
            (is) => (is && until - performance.now() > worthwhile * millis ? again : Effect.fail(error))
          )
        ).pipe(
          // Who is asked again who they are may be another the next time.
          Effect.mapError((error) => (errors.isUnreached(error) ? errors.mayPass(error) : error))
        )
      })
  }
}
