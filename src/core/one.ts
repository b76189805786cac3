/** The ways to take one lock: with a scope that keeps it, or around a body. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import type * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import * as Scope from "#effect/Scope"
import * as spans from "#effect/spans"
import { InvalidLockId, InvalidOptions, type LockLost } from "../LockError.js"
import type { LockRecord } from "../LockRecord.js"
import { Ids } from "../common/ids.js"
import { invalid } from "../common/input.js"
import { acquire, type Restore } from "./acquire.js"
import type { AcquireArgs, AcquireError, Body, Lock } from "./api.js"
import type { Share } from "./claimant.js"
import { closedError } from "./core.js"
import { makeLock } from "./heldLock.js"
import type { Hold } from "./hold.js"
import { releaseAfter } from "./holdAtLeast.js"
import { inside, placeOf } from "./nesting.js"
import { type Opened, wanted } from "./wanted.js"

export const one = (opened: Opened) => {
  const { core } = opened

  /** The hold, or the record that is in the way of who does not wait. */
  const take = (wait: boolean, args: AcquireArgs, restore: Restore, share: Share | undefined, scope?: Scope.Scope) =>
    Effect.withFiber((fiber): Effect.Effect<Result.Result<Hold, LockRecord | undefined>, AcquireError> => {
      const want = wanted(
        opened,
        wait,
        args,
        placeOf(fiber, scope),
        spans.of(fiber, core.clock, core.events.failed),
        share
      )
      return want instanceof InvalidLockId || want instanceof InvalidOptions
        ? Effect.fail(want)
        : core.closed
          ? closedError("acquire")
          : acquire(core, want, restore, fibers.get(fiber, Ids))
    })

  const scoped =
    (wait: boolean, share?: Share) =>
    (...args: AcquireArgs): Effect.Effect<Result.Result<Lock, LockRecord | undefined>, AcquireError, Scope.Scope> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.scope, (scope) =>
          Effect.flatMap(
            take(wait, args, restore, share, scope),
            (hold): Effect.Effect<Result.Result<Lock, LockRecord | undefined>> =>
              Result.isFailure(hold)
                ? Effect.succeed(Result.fail(hold.failure))
                : // Not `Effect.addFinalizer`, which costs as much as a call, for fiber refs that the release does not read.
                  Effect.as(
                    Scope.addFinalizerExit(scope, hold.success.finalizer),
                    Result.succeed(makeLock(hold.success))
                  )
          )
        )
      )

  /** `atLeast`: what it is held for, in milliseconds, though its body ends sooner. */
  const using =
    (wait: boolean, share?: Share, atLeast = 0) =>
    <A, E, R>(
      body: Body<A, E, R>,
      ...args: AcquireArgs
    ): Effect.Effect<Option.Option<A>, E | AcquireError | LockLost, R> =>
      // Before "is a function": a tag is both.
      !Effect.isEffect(body) && typeof body !== "function"
        ? Effect.fail(invalid("body", body, "an effect, or a function of the lock that gives one"))
        : Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(take(wait, args, restore, share), (hold) => {
              if (Result.isFailure(hold)) return Effect.succeedNone
              const lock = makeLock(hold.success)
              const { span } = hold.success
              const own = inside(hold.success, () => (Effect.isEffect(body) ? body : body(lock)))
              const guarded = lock.guard(span === undefined ? own : spans.withParentSpan(own, span.span))
              const end = atLeast === 0 ? hold.success.release : releaseAfter(hold.success, atLeast)
              return Effect.asSome(Effect.ensuring(restore(guarded), end))
            })
          )

  return { take, scoped, using }
}

export type One = ReturnType<typeof one>
