/**
 * Calls to the storage. Each runs in a fiber of its own, so that who waits for it can stop waiting at once without harm to it, and each is bounded:
 * one that is overdue is told so (and interrupted, where the storage lets itself be), whatever the storage does.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import { StorageError } from "../LockError.js"
import * as Storage from "../Storage.js"
import type { Alarms } from "./alarms.js"
import type { Timeline } from "./timeline.js"

export type Answer<A> = Either.Either<A, StorageError>

export interface Handler<A> {
  /** Called once, when the call has ended, however late. */
  readonly answered: (answer: Answer<A>) => void
  /** Called at most once, before `answered`, when the limit has passed. */
  readonly overdue?: (error: StorageError) => void
}

export interface Calls {
  /** Starts an operation that should answer within `limit` milliseconds. */
  readonly start: <A>(
    operation: string,
    self: Effect.Effect<A, StorageError>,
    limit: number,
    handler: Handler<A>
  ) => Effect.Effect<void>
  /** Starts it and waits for it, interruptibly, for as long as `limit`. */
  readonly ask: <A>(operation: string, self: Effect.Effect<A, StorageError>, limit: number) => Effect.Effect<A, StorageError>
  /** Runs something to its end that nobody waits for. */
  readonly background: (self: Effect.Effect<void>) => Effect.Effect<void>
  readonly isIdle: () => boolean
  /** Interrupts what still runs (of this operation only, if one is given), without waiting. */
  readonly abort: (operation?: string) => Effect.Effect<void>
}

/** For a fiber that does nothing else, and need not be given back the context that it had: `Effect.provideService` costs more than the rest of a call. */
const within = <A, E>(self: Effect.Effect<A, E>, limit: Duration.Duration): Effect.Effect<A, E> =>
  Effect.contextWithEffect((context: Context.Context<never>) =>
    Effect.zipRight(FiberRef.set(FiberRef.currentContext, Context.add(context, Storage.TimeLimit, limit)), self)
  )

export const make = (name: string, timeline: Timeline, alarms: Alarms, onIdle: () => void): Calls => {
  const running = new Map<Fiber.RuntimeFiber<unknown, unknown>, string>()

  const noAnswer = (operation: string, limit: number, cause?: unknown) =>
    new StorageError({
      reason: "Timeout",
      operation: `${name}.${operation}`,
      isRetryable: true,
      applied: "unknown",
      message: `no answer from ${name} within ${Math.round(limit)} ms`,
      cause
    })

  const answer = <A>(operation: string, limit: number, exit: Exit.Exit<A, StorageError>): Answer<A> =>
    Exit.match(exit, {
      onSuccess: Either.right,
      onFailure: (cause) => {
        const failure = Cause.failureOption(cause)
        if (failure._tag === "Some") return Either.left(failure.value)
        if (Cause.isInterrupted(cause)) return Either.left(noAnswer(operation, limit))
        const defect = Cause.squash(cause)
        return Either.left(
          new StorageError({
            reason: "Unknown",
            operation: `${name}.${operation}`,
            isRetryable: false,
            applied: "unknown",
            message: `${name} threw in ${operation}: ${defect instanceof Error ? defect.message : String(defect)}`,
            cause: defect
          })
        )
      }
    })

  const fork = <A, E>(operation: string, self: Effect.Effect<A, E>, ended: (exit: Exit.Exit<A, E>) => void) =>
    Effect.map(Effect.forkDaemon(Effect.interruptible(self)), (fiber) => {
      running.set(fiber, operation)
      fiber.addObserver((exit) => {
        running.delete(fiber)
        ended(exit)
        if (running.size === 0) onIdle()
      })
      return fiber
    })

  const start: Calls["start"] = (operation, self, limit, { answered, overdue }) =>
    Effect.suspend(() => {
      // A little more than the storage is told, so that its own word on the matter, which says more, comes first.
      let due: { cancel: () => void } | undefined = undefined
      let ended = false
      const limited = within(self, Duration.millis(limit))
      return Effect.map(
        fork(operation, limited, (exit) => {
          ended = true
          due?.cancel()
          answered(answer(operation, limit, exit))
        }),
        (fiber) => {
          if (ended) return
          due = alarms.set(timeline.now() + limit + Math.max(20, limit / 20), () => {
            overdue?.(noAnswer(operation, limit))
            fiber.unsafeInterruptAsFork(FiberId.none)
          })
        }
      )
    })

  return {
    start,
    ask: <A>(operation: string, self: Effect.Effect<A, StorageError>, limit: number) =>
      Effect.suspend(() => {
        const result = Deferred.unsafeMake<A, StorageError>(FiberId.none)
        return Effect.zipRight(
          start(operation, self, limit, {
            answered: (answer) => Deferred.unsafeDone(result, Either.isRight(answer) ? Exit.succeed(answer.right) : Exit.fail(answer.left)),
            overdue: (error) => Deferred.unsafeDone(result, Exit.fail(error))
          }),
          Deferred.await(result)
        )
      }),
    background: (self) =>
      Effect.asVoid(
        fork(
          "background",
          Effect.catchAllDefect(self, (defect) => Effect.logError("effect-storage-lock: work in the background failed", defect)),
          () => {}
        )
      ),
    isIdle: () => running.size === 0,
    abort: (operation) =>
      Effect.sync(() => {
        for (const [fiber, name] of running) {
          if (operation === undefined || operation === name) fiber.unsafeInterruptAsFork(FiberId.none)
        }
      })
  }
}
