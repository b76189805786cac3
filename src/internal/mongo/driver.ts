import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Db, Document as Reply, MongoClient } from "mongodb"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { Executor } from "./executor.js"

export interface DriverOptions {
  readonly secret?: string | undefined
  readonly isClosed?: (() => boolean) | undefined
}

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1

/** How long the goodbyes may take, in milliseconds. */
const farewell = 1_000

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
const failure = (operation: string, reply: Reply, options: DriverOptions): StorageError | undefined => {
  if (Array.isArray(reply.writeErrors) && reply.writeErrors.length > 0) {
    const first = reply.writeErrors[0] as { readonly errmsg?: unknown }
    return errors.fromDriver(operation, { name: "MongoServerError", ...first, message: first.errmsg }, options.secret)
  }
  const concern = reply.writeConcernError as { readonly errmsg?: unknown } | undefined
  return concern === undefined || concern === null
    ? undefined
    : errors.fromDriver(operation, { name: "MongoWriteConcernError", ...concern, message: concern.errmsg }, options.secret, true)
}

/**
 * Commands as they go over the wire, one each, so that nothing of the program's client (a session, a read preference, a write concern, retries of its own) has a part in
 * them. A repeat is up to the library, which names each hold; the server need keep no images for retryable writes.
 *
 * An operation that is out of time closes its connection. One that is interrupted goes on by itself, to its answer or its time-out.
 */
export const make = (db: Db, options: DriverOptions = {}): Executor => ({
  run: (operation, command, millis) =>
    Effect.async<Reply, StorageError>((resume) => {
      if (options.isClosed?.() === true) return resume(errors.closed(operation))
      const abort = new AbortController()
      const end = (result: Effect.Effect<Reply, StorageError>) => {
        clearTimeout(timer)
        resume(result)
      }
      const timer = setTimeout(() => {
        resume(errors.noAnswer(operation, millis))
        abort.abort()
      }, Math.min(millis, longestTimer))
      // The server gives up before the caller does, so that the caller mostly gets a definite answer.
      const maxTimeMS = Math.max(1, Math.min(Math.floor(millis * 0.8), longestTimer))
      db.command({ ...command, maxTimeMS }, { ...values, signal: abort.signal }).then(
        (reply) => end(failure(operation, reply, options) ?? Effect.succeed(reply)),
        (error: unknown) => {
          // In order of what happened: the server did it, and then no majority had it.
          const afterwards = (error as { readonly name?: unknown } | null)?.name === "MongoWriteConcernError"
          end(options.isClosed?.() === true ? errors.closing(operation) : errors.fromDriver(operation, error, options.secret, afterwards))
        }
      )
    })
})

/** A client of our own, closed with its scope in bounded time. */
export const own = (
  client: MongoClient
): Effect.Effect<{ readonly client: MongoClient; readonly isClosed: () => boolean }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const state = { closed: false }
      return { client, state, isClosed: () => state.closed }
    }),
    ({ state }) =>
      Effect.async<void>((resume) => {
        // A closed client of this driver opens again when it is used.
        state.closed = true
        const done = () => {
          clearTimeout(timer)
          resume(Effect.void)
        }
        const timer = setTimeout(done, farewell)
        client.close().then(done, done)
      })
  )
