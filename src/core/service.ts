import * as Cause from "#effect/Cause"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as fibers from "#effect/fibers"
import * as causes from "#effect/causes"
import * as outcome from "#effect/outcome"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import { pipeArguments } from "effect/Pipeable"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { InvalidLockId, InvalidOptions, LockLost, type StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import type { LockRecord } from "../LockRecord.js"
import * as Storage from "../Storage.js"
import {
  type AcquireArgs,
  type AcquireError,
  type AcquireOptions,
  type Body,
  type Lock,
  LockTypeId,
  type Options,
  type Service,
  type TryError
} from "./api.js"
import { acquire as acquireHold, type Wanted } from "./acquire.js"
import type { Place } from "./claimant.js"
import { callLimit, closedError } from "./core.js"
import type { Hold } from "./hold.js"
import { Ids, invalidOwner, publicId, storedId } from "../common/ids.js"
import { invalid } from "../common/input.js"
import * as lifecycle from "./lifecycle.js"
import { inside, placeOf, selfDeadlock } from "./nesting.js"
import { ofLayer, ofRelease, override, type Resolved } from "./options.js"
import * as purging from "./purging.js"
import { renew } from "./refresher.js"

class HeldLock implements Lock {
  constructor(private readonly hold: Hold) {}

  // As all that follows, on the prototype: a lock is made for every acquire.
  get [LockTypeId](): typeof LockTypeId {
    return LockTypeId
  }
  pipe() {
    // eslint-disable-next-line prefer-rest-params
    return pipeArguments(this, arguments)
  }
  get lockId() {
    return this.hold.claimant.lockId
  }
  get ownerId() {
    return this.hold.claimant.ownerId
  }
  get holdId() {
    return this.hold.claimant.holdId
  }
  get token() {
    return this.hold.record.token
  }
  get info() {
    return Effect.sync(() => LockInformation.fromRecord(this.hold.record, this.lockId))
  }
  get lost() {
    return this.hold.lost
  }
  get check(): Lock["check"] {
    return Effect.suspend(() => {
      const left = this.hold.remaining()
      return left > 0 ? Effect.succeed(Duration.millis(left)) : Effect.fail(this.hold.failure())
    })
  }
  readonly unsafeRemainingMillis = () => this.hold.remaining()
  get renew(): Lock["renew"] {
    const renewal = Effect.suspend(() => {
      const result = Deferred.makeUnsafe<void, StorageError>()
      renew(this.hold.core, [this.hold], (answer) =>
        Deferred.doneUnsafe(result, answer._tag === "StorageError" ? Exit.fail(answer) : Exit.void)
      )
      return Deferred.await(result)
    })
    return this.check.pipe(Effect.andThen(renewal), Effect.andThen(this.check))
  }
  readonly guard = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | LockLost, R> =>
    Effect.andThen(
      this.check,
      // Not only a race: when its caller is interrupted, a race leaves behind what it raced, and the lock would be released while the body still ends.
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(fibers.fork(restore(self)), (body) =>
          Effect.flatMap(Effect.exit(restore(this.endOf(body))), (first) =>
            Exit.isSuccess(first)
              ? this.ended(body, first.value)
              : Effect.flatMap(Effect.andThen(Fiber.interrupt(body), Fiber.await(body)), (exit) =>
                  // Its caller was interrupted, or the lock was lost; and so the body is, unless it had ended by itself.
                  Cause.hasInterrupts(first.cause)
                    ? Effect.failCause(first.cause)
                    : Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
                      ? Effect.failCause(besides(first.cause, exit.cause))
                      : this.ended(body, exit)
                )
          )
        )
      )
    )

  /** Of a body, or the loss of the lock, whichever is first. A race would make two fibers more. */
  private endOf<A, E>(body: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>, LockLost> {
    return Effect.callback((resume) => {
      // In a turn of its own: it may be the body itself that notices, and it cannot be interrupted within.
      const forget = this.hold.onLost((error) => resume(fibers.inTurn(Effect.fail(error))))
      body.addObserver((exit) => {
        forget()
        resume(Effect.succeed(exit))
      })
      return Effect.sync(forget)
    })
  }

  /** The end of a body that was not stopped. */
  private ended<A, E>(body: Fiber.Fiber<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<A, E | LockLost> {
    const { hold } = this
    // An early release is the program's own.
    return Exit.isFailure(exit) ||
      hold.state === "released" ||
      hold.remaining() > 0 ||
      hold.options.lostAtEnd === "succeed"
      ? Fiber.join(body)
      : new LockLost({ ...hold.failure(), completed: true, result: exit.value })
  }

  get release() {
    return this.hold.release
  }
}

/** A loss, and what went wrong while the body was interrupted for it: a failure of its own, in a part that could not be interrupted, stands. */
const besides = <E, E2>(loss: Cause.Cause<E>, interrupted: Cause.Cause<E2>): Cause.Cause<E | E2> => {
  const own = causes.withoutInterrupts(interrupted)
  return Cause.hasFails(own) ? own : Cause.hasDies(own) ? Cause.combine(loss, own) : loss
}

const isOptions = (value: unknown): value is AcquireOptions => typeof value === "object" && value !== null

/** The types do not offer it, but who has no types, or wider ones, may give it. */
const givesOwner = (options: AcquireOptions | undefined): boolean => options?.ownerId !== undefined

const twice = new InvalidOptions({
  field: "options",
  kind: "an object beside it",
  rule: "given once: (lockId, ownerId, options), or (lockId, { ownerId, ...options })"
})

const makeLock = (hold: Hold): Lock => new HeldLock(hold)

export const make = (options: Options): Effect.Effect<Service, InvalidOptions, Storage.Storage | Scope.Scope> =>
  Effect.gen(function* () {
    const storage = yield* Storage.Storage
    const defaults = ofLayer(options, storage.guarantees)
    if (defaults instanceof InvalidOptions) return yield* defaults
    const core = yield* lifecycle.open(storage, options.namespace)
    yield* purging.run(core, defaults, options.purgeAfter !== undefined)
    const limit = callLimit(defaults.lease)

    const open = <A, E, R>(operation: string, self: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
      Effect.suspend((): Effect.Effect<A, E | StorageError, R> => (core.closed ? closedError(operation) : self))

    /** Everything about the input is judged here, before any I/O. */
    const wanted = (
      wait: boolean,
      [lockId, second, third]: AcquireArgs,
      place: Place
    ): Wanted | InvalidLockId | InvalidOptions => {
      const key = storedId(lockId, options.namespace)
      if (key instanceof InvalidLockId) return key
      if (isOptions(second) ? third !== undefined : givesOwner(third)) return twice
      const [ownerId, own] = isOptions(second) ? [second.ownerId, second] : [second, third]
      if (ownerId !== undefined) {
        const invalid = invalidOwner(ownerId)
        if (invalid !== undefined) return invalid
      }
      const resolved: Resolved | InvalidOptions =
        own === undefined ? defaults : override(options, own, storage.guarantees)
      if (resolved instanceof InvalidOptions) return resolved
      const deadlock = wait && ownerId === undefined ? selfDeadlock(core, key, place) : undefined
      return deadlock ?? { key, lockId, ownerId, options: resolved, wait, place }
    }

    const take = (
      wait: boolean,
      args: AcquireArgs,
      restore: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
      scope?: Scope.Scope
    ) =>
      Effect.withFiber((fiber): Effect.Effect<Result.Result<Hold, LockRecord | undefined>, AcquireError> => {
        const want = wanted(wait, args, placeOf(fiber, scope))
        return want instanceof InvalidLockId || want instanceof InvalidOptions
          ? Effect.fail(want)
          : core.closed
            ? closedError("acquire")
            : acquireHold(core, want, restore, fibers.get(fiber, Ids))
      })

    const scoped =
      (wait: boolean) =>
      (...args: AcquireArgs) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.scope, (scope) =>
            Effect.flatMap(
              take(wait, args, restore, scope),
              (hold): Effect.Effect<Result.Result<Lock, LockRecord | undefined>> =>
                Result.isFailure(hold)
                  ? Effect.succeed(Result.fail(hold.failure))
                  : // Not `Effect.addFinalizer`, which costs as much as a call, for fiber refs that the release does not read.
                    Effect.as(Scope.addFinalizer(scope, hold.success.release), Result.succeed(makeLock(hold.success)))
            )
          )
        )

    const using =
      (wait: boolean) =>
      <A, E, R>(
        body: Body<A, E, R>,
        ...args: AcquireArgs
      ): Effect.Effect<Option.Option<A>, E | AcquireError | LockLost, R> =>
        // Before "is a function": a tag is both.
        !Effect.isEffect(body) && typeof body !== "function"
          ? Effect.fail(invalid("body", body, "an effect, or a function of the lock that gives one"))
          : Effect.uninterruptibleMask((restore) =>
              Effect.flatMap(take(wait, args, restore), (hold) => {
                if (Result.isFailure(hold)) return Effect.succeedNone
                const lock = makeLock(hold.success)
                const guarded = lock.guard(inside(hold.success, () => (Effect.isEffect(body) ? body : body(lock))))
                return Effect.asSome(Effect.ensuring(restore(guarded), hold.success.release))
              })
            )

    const mustWait = scoped(true)
    const tryScoped = scoped(false)
    const tries = (
      ...args: AcquireArgs
    ): Effect.Effect<Result.Result<Lock, LockRecord | undefined>, TryError, Scope.Scope> =>
      Effect.catchTag(tryScoped(...args), "LockTimeout", () => Effect.succeed(Result.fail(undefined)))
    const mustWaitUsing = using(true)

    /** The id as it is stored, for operations that need no more. */
    const withKey = <A>(operation: string, lockId: string, use: (key: string) => Effect.Effect<A, StorageError>) =>
      Effect.suspend((): Effect.Effect<A, InvalidLockId | StorageError> => {
        const key = storedId(lockId, options.namespace)
        return key instanceof InvalidLockId
          ? Effect.fail(key)
          : open(operation, core.calls.ask(operation, use(key), limit))
      })

    /** A hold of this very process need not wait for its next renewal to learn of it; nor need the waiters behind it. */
    const forced = (key: string, token: number): void => {
      for (const hold of Array.from(core.holds)) {
        if (hold.claimant.key === key && hold.record.token === token) hold.lose("Forced")
      }
      core.queues.hint(key, core.timeline.now())
    }

    const get: Service["get"] = (lockId) =>
      Effect.map(
        withKey("get", lockId, core.storage.get),
        Option.map(({ record }) => LockInformation.fromRecord(record, lockId))
      )

    return {
      // A failed result, and `None`, are for those who do not wait: neither of these can be.
      acquire: (...args) => Effect.map(mustWait(...args), (lock) => (lock as Result.Success<Lock, never>).success),
      tryAcquire: (...args) =>
        Effect.map(tries(...args), (lock) => (Result.isSuccess(lock) ? Option.some(lock.success) : Option.none())),
      tryAcquireOrHolder: (...args) =>
        Effect.map(tries(...args), (lock) =>
          outcome.fromResult(
            Result.isSuccess(lock)
              ? Result.succeed(lock.success)
              : Result.fail(
                  Option.map(Option.fromNullishOr(lock.failure), (record) =>
                    LockInformation.fromRecord(record, args[0])
                  )
                )
          )
        ),
      withLock: <A, E, R>(body: Body<A, E, R>, ...args: AcquireArgs) =>
        Effect.map(mustWaitUsing(body, ...args), (result) => (result as Option.Some<A>).value),
      withLockIfAvailable: using(false) as Service["withLockIfAvailable"],
      get,
      isLocked: (lockId) => Effect.map(get(lockId), Option.isSome),
      list: Stream.unwrap(
        open(
          "list",
          Effect.succeed(
            core.storage.list.pipe(
              Stream.map(({ record }) => ({ record, lockId: publicId(record.lockId, options.namespace) })),
              Stream.filter((found): found is typeof found & { readonly lockId: string } => found.lockId !== undefined),
              Stream.map(({ lockId, record }) => LockInformation.fromRecord(record, lockId))
            )
          )
        )
      ),
      forceRelease: (lockId, options) => {
        const given = ofRelease(options)
        if (given instanceof InvalidOptions) return Effect.fail(given)
        const { token, when } = given
        return Effect.map(
          withKey("revoke", lockId, (key) =>
            Effect.tap(core.storage.revoke({ lockId: key, token, when }), ({ _tag }) =>
              Effect.sync(() => {
                if (_tag === "Revoked") forced(key, token)
              })
            )
          ),
          (outcome) => outcome._tag === "Revoked"
        )
      }
    }
  })
