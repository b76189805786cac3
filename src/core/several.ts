/** The ways to take several locks: with a scope that keeps them, or around a body. */
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as outcome from "#effect/outcome"
import type { Outcome } from "#effect/outcome"
import * as Result from "#effect/Result"
import * as Scope from "#effect/Scope"
import * as spans from "#effect/spans"
import { InvalidLockId, InvalidOptions, type LockLost, type StorageError } from "../LockError.js"
import { Ids } from "../common/ids.js"
import { invalid } from "../common/input.js"
import type { Restore, Wanted } from "./acquire.js"
import * as all from "./all.js"
import type { AcquireError, AcquireSettings, BodyOfAll, Lock, LockSet, LocksOf, Refusal, Service } from "./api.js"
import { closedError } from "./core.js"
import { makeLock } from "./heldLock.js"
import type { Hold } from "./hold.js"
import { HeldLocks } from "./lockSet.js"
import { insideAll, placeOf } from "./nesting.js"
import { type Opened, wantedAll } from "./wanted.js"

const makeSet = <Ids extends ReadonlyArray<string>>(holds: ReadonlyArray<Hold>) =>
  new HeldLocks(holds, holds.map(makeLock) as LocksOf<Ids> & ReadonlyArray<Lock>)

type Take<A, E> = (wants: ReadonlyArray<Wanted>, newId: Effect.Effect<string>) => Effect.Effect<A, E>

export const several = (opened: Opened): Pick<Service, "acquireAll" | "tryAcquireAll" | "withLocks"> => {
  const { core } = opened

  const takeAll = <A, E>(
    wait: boolean,
    lockIds: ReadonlyArray<string>,
    settings: AcquireSettings,
    scope: Scope.Scope | undefined,
    take: Take<A, E>
  ) =>
    Effect.withFiber((fiber): Effect.Effect<A, E | InvalidLockId | InvalidOptions | StorageError> => {
      const trace = spans.of(fiber, core.clock, core.events.failed)
      const wants = wantedAll(opened, wait, lockIds, settings, placeOf(fiber, scope), trace)
      return wants instanceof InvalidLockId || wants instanceof InvalidOptions
        ? Effect.fail(wants)
        : core.closed
          ? closedError("acquireAll")
          : take(wants, fibers.get(fiber, Ids))
    })

  /** `take` gives what `keep` leaves to the scope. */
  const scoped = <A, E, B>(
    wait: boolean,
    lockIds: ReadonlyArray<string>,
    settings: AcquireSettings,
    take: (restore: Restore) => Take<A, E>,
    keep: (taken: A, scope: Scope.Scope) => Effect.Effect<B>
  ) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.flatMap(takeAll(wait, lockIds, settings, scope, take(restore)), (taken) => keep(taken, scope))
      )
    )

  const kept = <Ids extends ReadonlyArray<string>>(holds: ReadonlyArray<Hold>, scope: Scope.Scope) =>
    Effect.as(Scope.addFinalizer(scope, all.releaseAll(holds)), makeSet<Ids>(holds))

  const acquireAll: Service["acquireAll"] = <const Ids extends ReadonlyArray<string>>(
    lockIds: Ids,
    ...settings: AcquireSettings
  ) =>
    scoped(
      true,
      lockIds,
      settings,
      (restore) => (wants, newId) => all.acquireAll(core, wants, restore, newId),
      kept<Ids>
    )

  const tryAcquireAll: Service["tryAcquireAll"] = <const Ids extends ReadonlyArray<string>>(
    lockIds: Ids,
    ...settings: AcquireSettings
  ) =>
    scoped(
      false,
      lockIds,
      settings,
      (restore) => (wants, newId) => all.tryAll(core, wants, restore, newId),
      (holds, scope): Effect.Effect<Outcome<LockSet<LocksOf<Ids>>, ReadonlyArray<Refusal>>> =>
        Result.isFailure(holds)
          ? Effect.succeed(outcome.fromResult(Result.fail(holds.failure)))
          : Effect.map(kept<Ids>(holds.success, scope), (set) => outcome.fromResult(Result.succeed(set)))
    )

  const withLocks: Service["withLocks"] = <const Ids extends ReadonlyArray<string>, A, E, R>(
    body: BodyOfAll<LocksOf<Ids>, A, E, R>,
    lockIds: Ids,
    ...settings: AcquireSettings
  ): Effect.Effect<A, E | AcquireError | LockLost, R> =>
    !Effect.isEffect(body) && typeof body !== "function"
      ? Effect.fail(invalid("body", body, "an effect, or a function of the locks that gives one"))
      : Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            takeAll(true, lockIds, settings, undefined, (wants, newId) => all.acquireAll(core, wants, restore, newId)),
            (holds) => {
              const set = makeSet<Ids>(holds)
              const { span } = holds[0]!
              const own = insideAll(holds, () => (Effect.isEffect(body) ? body : body(set)))
              const guarded = set.guard(span === undefined ? own : spans.withParentSpan(own, span.span))
              return Effect.ensuring(restore(guarded), set.release)
            }
          )
        )

  return { acquireAll, tryAcquireAll, withLocks }
}
