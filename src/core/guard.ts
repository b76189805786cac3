/** A body that is stopped when what it stands on is lost: one hold, or several. */
import * as Cause from "#effect/Cause"
import * as causes from "#effect/causes"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as fibers from "#effect/fibers"
import { LockLost } from "../LockError.js"

export interface Ground {
  readonly check: Effect.Effect<unknown, LockLost>
  /** Tells of the loss, at once if it is lost already; returns what takes that back. */
  readonly onLost: (tell: (error: LockLost) => void) => () => void
  /** What a body that has run to its end fails with, if it perhaps did not run alone. */
  readonly failureAtEnd: () => LockLost | undefined
}

export const guard = <A, E, R>(ground: Ground, self: Effect.Effect<A, E, R>): Effect.Effect<A, E | LockLost, R> =>
  Effect.andThen(
    ground.check,
    // Not only a race: when its caller is interrupted, a race leaves behind what it raced, and the lock would be released while the body still ends.
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(fibers.fork(restore(self)), (body) =>
        Effect.flatMap(Effect.exit(restore(endOf(ground, body))), (first) =>
          Exit.isSuccess(first)
            ? ended(ground, body, first.value)
            : Effect.flatMap(Effect.andThen(Fiber.interrupt(body), Fiber.await(body)), (exit) =>
                // Its caller was interrupted, or the lock was lost; and so the body is, unless it had ended by itself.
                Cause.hasInterrupts(first.cause)
                  ? Effect.failCause(first.cause)
                  : Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
                    ? Effect.failCause(besides(first.cause, exit.cause))
                    : ended(ground, body, exit)
              )
        )
      )
    )
  )

/** Of a body, or the loss of what it stands on, whichever is first. A race would make two fibers more. */
const endOf = <A, E>(ground: Ground, body: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>, LockLost> =>
  Effect.callback((resume) => {
    // In a turn of its own: it may be the body itself that notices, and it cannot be interrupted within.
    const forget = ground.onLost((error) => resume(fibers.inTurn(Effect.fail(error))))
    body.addObserver((exit) => {
      forget()
      resume(Effect.succeed(exit))
    })
    return Effect.sync(forget)
  })

/** The end of a body that was not stopped. */
const ended = <A, E>(
  ground: Ground,
  body: Fiber.Fiber<A, E>,
  exit: Exit.Exit<A, E>
): Effect.Effect<A, E | LockLost> => {
  const failure = Exit.isSuccess(exit) ? ground.failureAtEnd() : undefined
  return failure === undefined || Exit.isFailure(exit)
    ? Fiber.join(body)
    : new LockLost({ ...failure, completed: true, result: exit.value })
}

/** A loss, and what went wrong while the body was interrupted for it: a failure of its own, in a part that could not be interrupted, stands. */
const besides = <E, E2>(loss: Cause.Cause<E>, interrupted: Cause.Cause<E2>): Cause.Cause<E | E2> => {
  const own = causes.withoutInterrupts(interrupted)
  return Cause.hasFails(own) ? own : Cause.hasDies(own) ? Cause.combine(loss, own) : loss
}
