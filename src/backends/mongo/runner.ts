/** Commands to MongoDB with the concerns and the time that locks need. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Schedule from "#effect/Schedule"
import type { StorageError } from "../../LockError.js"
import * as Storage from "../../Storage.js"
import * as errors from "./errors.js"
import type { Document, Executor } from "./executor.js"

export interface Settings {
  readonly collection: string
  /** Milliseconds. */
  readonly operationTimeout: number
  readonly versionMissRetry: Schedule.Schedule<unknown>
  /** There is a majority to ask: a replica set, or a router. */
  readonly replicated: boolean
}

export type Run = (operation: string, command: Document) => Effect.Effect<Document, StorageError>

/** In the journal of a majority: what was answered is not rolled back. */
export const writeConcern = { w: "majority", j: true } as const

/** Nothing is read that could be rolled back. A server by itself has no such level. */
export const readConcern = (replicated: boolean): Document => ({ level: replicated ? "majority" : "local" })

const bound = (settings: Settings) =>
  Effect.map(Storage.TimeLimit, (limit) => Math.min(settings.operationTimeout, Duration.toMillis(limit)))

/** Commands within the time of their caller, once. */
export const once =
  (executor: Executor, settings: Settings): Run =>
  (operation, command) =>
    Effect.flatMap(bound(settings), (millis) => executor.run(operation, command, millis))

/** Whether a repeat of what may have been done has the effect of one: reads, and update pipelines, which name the hold. */
const isIdempotent = (command: Document): boolean =>
  "find" in command ||
  "findAndModify" in command ||
  "hello" in command ||
  "isMaster" in command ||
  (Array.isArray(command.updates) && command.updates.every(({ u }: { readonly u?: unknown }) => Array.isArray(u)))

/**
 * Commands within the time of their caller. Two upserts of one new `_id` may meet, and one is told of a duplicate key (11000); writes may conflict (112): then nothing was
 * applied, and it is tried again. What went to a member that is primary no more goes to the one that is.
 */
export const make =
  (executor: Executor, settings: Settings): Run =>
  (operation, command) =>
    Effect.flatMap(bound(settings), (millis) => {
      const until = performance.now() + millis
      const rest = Effect.suspend(() => executor.run(operation, command, Math.max(1, until - performance.now())))
      const moved = (error: StorageError) =>
        errors.isElsewhere(error) && (error.applied === "no" || isIdempotent(command)) && performance.now() < until
          ? rest
          : Effect.fail(error)
      const again = (first: StorageError) => {
        let known: StorageError | undefined = first
        return Effect.suspend(() => {
          const failed = known
          known = undefined
          return failed ?? rest
        }).pipe(
          Effect.retry({
            schedule: settings.versionMissRetry,
            while: (error) => error.reason === "Conflict" && performance.now() < until
          })
        )
      }
      return Effect.catch(executor.run(operation, command, millis), (error) =>
        error.reason === "Conflict" ? again(error) : moved(error)
      )
    })
