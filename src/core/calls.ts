/**
 * Calls to the storage. Each is the layer's and not its caller's, so that the caller can stop waiting at once without harm to it. A storage of this library is called by a callback (`directCalls.ts`),
 * any other in a fiber of the layer (`workers.ts`). Each is bounded:
 * one that is overdue is told so (and interrupted, where the storage lets itself be), whatever the storage does.
 */
import * as Cause from "#effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "#effect/Context"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Exit from "#effect/Exit"
import type * as Fiber from "#effect/Fiber"
import { withClock } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import { StorageError } from "../LockError.js"
import type { Timer, Timers } from "./timers.js"
import type { Events } from "./events.js"
import { faultOf, isStorageError, thrown } from "./checkedAnswers.js"
import { type Ask, DirectCalls } from "./directCalls.js"
import { Workers } from "./workers.js"
import type { Timeline } from "./timeline.js"

export type Answer<A> = Result.Result<A, StorageError>

export interface Handler<A> {
  /** Called once, when the call has ended, however late. */
  readonly answered: (answer: Answer<A>) => void
  /** Called at most once, before `answered`, when the limit has passed. */
  readonly overdue?: (error: StorageError) => void
}

export interface Calls {
  /** Starts an operation that should answer within `limit` milliseconds. It may have ended when this returns. */
  readonly start: <A>(
    operation: string,
    self: Effect.Effect<A, StorageError>,
    limit: number,
    handler: Handler<A>
  ) => void
  /** The same, of a storage that answers by a callback. */
  readonly startDirect: <A>(operation: string, ask: Ask<A>, limit: number, handler: Handler<A>) => void
  /** Starts it and waits for it, interruptibly, for as long as `limit`. */
  readonly ask: <A>(
    operation: string,
    self: Effect.Effect<A, StorageError>,
    limit: number
  ) => Effect.Effect<A, StorageError>
  /** Runs something to its end that nobody waits for. */
  readonly background: (self: Effect.Effect<void>) => void
  readonly isIdle: () => boolean
  readonly counts: () => Readonly<Record<"busyWorkers" | "idleWorkers" | "direct" | "inBackground", number>>
  /** Whether the storage has ever answered: then it is connected. */
  readonly hasAnswered: () => boolean
  /** Interrupts the calls of an operation that still run, without waiting. */
  readonly abort: (operation: string) => Effect.Effect<void>
  /** Interrupts whatever still runs, without waiting, and keeps no fiber. */
  readonly close: Effect.Effect<void>
}

export const noAnswer = (name: string, operation: string, millis: number): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `${name}.${operation}`,
    isRetryable: true,
    applied: "unknown",
    message: `no answer from ${name} within ${Math.round(millis)} ms`
  })

export const make = (
  name: string,
  context: Context.Context<never>,
  run: fibers.Run,
  clock: Clock.Clock,
  timeline: Timeline,
  timers: Timers,
  events: Events,
  onQuiet: () => void
): Calls => {
  const workers = new Workers(context, run, clock, onQuiet)
  const direct = new DirectCalls(
    (operation, self, limit, ended) => workers.start({ operation, self, limit, ended }),
    (operation, limit) => noAnswer(name, operation, limit),
    onQuiet
  )
  let everAnswered = false
  const inBackground = new Set<Fiber.Fiber<void>>()

  const judge = <A>(operation: string, limit: number, exit: Exit.Exit<A, StorageError>): Answer<A> =>
    Exit.match(exit, {
      onSuccess: (value) => {
        const fault = faultOf(name, operation, value)
        return fault === undefined ? Result.succeed(value) : Result.fail(fault)
      },
      onFailure: (cause) => {
        const failure = Cause.findErrorOption(cause)
        if (failure._tag === "Some" && isStorageError(failure.value)) return Result.fail(failure.value)
        if (failure._tag === "None" && Cause.hasInterrupts(cause)) return Result.fail(noAnswer(name, operation, limit))
        return Result.fail(thrown(name, operation, Cause.squash(cause)))
      }
    })

  const answer = <A>(operation: string, limit: number, exit: Exit.Exit<A, StorageError>): Answer<A> => {
    try {
      return judge(operation, limit, exit)
    } catch (error) {
      // An answer that throws when it is looked at.
      return Result.fail(thrown(name, operation, error))
    }
  }

  /** `begin` starts it, and returns what stops it. */
  const bounded = <A>(
    operation: string,
    limit: number,
    handler: Handler<A>,
    begin: (ended: (exit: Exit.Exit<A, StorageError>) => void) => () => void
  ): void => {
    let timer: Timer | undefined = undefined
    let ended = false
    let late = false
    const began = events.hearsCalls ? timeline.now() : undefined
    /** Once for each call: what comes late has been told already. */
    const told = (failure: StorageError | undefined) => {
      if (!late) events.called(operation, failure, began)
    }
    const interrupt = begin((exit) => {
      ended = true
      timer?.cancel()
      if (Exit.isSuccess(exit)) everAnswered = true
      const result = answer(operation, limit, exit)
      told(Result.isFailure(result) ? result.failure : undefined)
      handler.answered(result)
    })
    if (ended) return
    // A little more than the storage is told, so that its own word on the matter, which says more, comes first.
    timer = timers.set(timeline.now() + limit + Math.max(20, limit / 20), () => {
      const error = noAnswer(name, operation, limit)
      told(error)
      late = true
      handler.overdue?.(error)
      interrupt()
    })
  }

  const start: Calls["start"] = (operation, self, limit, handler) =>
    bounded(operation, limit, handler, (ended) => workers.start({ operation, self, limit, ended }))

  return {
    start,
    startDirect: (operation, ask, limit, handler) =>
      bounded(operation, limit, handler, (ended) => direct.start(operation, ask, limit, ended)),
    ask: <A>(operation: string, self: Effect.Effect<A, StorageError>, limit: number) =>
      Effect.suspend(() => {
        const result = Deferred.makeUnsafe<A, StorageError>()
        start(operation, self, limit, {
          answered: (answer) =>
            Deferred.doneUnsafe(
              result,
              Result.isSuccess(answer) ? Exit.succeed(answer.success) : Exit.fail(answer.failure)
            ),
          overdue: (error) => Deferred.doneUnsafe(result, Exit.fail(error))
        })
        return Deferred.await(result)
      }),
    background: (self) => {
      const fiber = run.fork(
        withClock(
          Effect.interruptible(
            Effect.catchDefect(self, (defect) =>
              Effect.logError("effect-storage-lock: work in the background failed", defect)
            )
          ),
          clock
        )
      )
      inBackground.add(fiber)
      fiber.addObserver(() => {
        inBackground.delete(fiber)
        if (inBackground.size === 0) onQuiet()
      })
    },
    counts: () => ({ ...workers.counts, direct: direct.size, inBackground: inBackground.size }),
    isIdle: () => workers.isIdle && direct.size === 0 && inBackground.size === 0,
    hasAnswered: () => everAnswered,
    abort: (operation) =>
      Effect.sync(() => {
        workers.interrupt(operation)
        direct.stop(operation)
      }),
    close: Effect.sync(() => {
      for (const fiber of inBackground) fibers.interrupt(fiber)
      workers.interrupt(undefined)
      direct.stop(undefined)
      workers.close()
    })
  }
}
