import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import { pipeArguments } from "effect/Pipeable"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { InvalidLockId, InvalidOptions, LockLost, type StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import type { LockRecord } from "../LockRecord.js"
import * as Storage from "../Storage.js"
import { type AcquireArgs, type AcquireError, type AcquireOptions, type Body, type Lock, LockTypeId, type Options, type Service, type TryError } from "./api.js"
import { acquire as acquireHold, type Wanted } from "./acquire.js"
import type { Place } from "./claimant.js"
import { callLimit, closedError } from "./core.js"
import type { Hold } from "./hold.js"
import { invalidOwner, publicId, storedId } from "../common/ids.js"
import { invalid } from "../common/input.js"
import * as lifecycle from "./lifecycle.js"
import { inside, placeOf, selfDeadlock } from "./nesting.js"
import { ofLayer, override, type Resolved } from "./options.js"
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
      const result = Deferred.unsafeMake<void, StorageError>(FiberId.none)
      const told = renew(this.hold.core, [this.hold], (answer) =>
        Deferred.unsafeDone(result, answer._tag === "StorageError" ? Exit.fail(answer) : Exit.void))
      return Effect.zipRight(Effect.uninterruptible(told), Deferred.await(result))
    })
    return this.check.pipe(Effect.zipRight(renewal), Effect.zipRight(this.check))
  }
  readonly guard = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | LockLost, R> =>
    Effect.zipRight(
      this.check,
      // Not only a race: when its caller is interrupted, a race leaves behind what it raced, and the lock would be released while the body still ends.
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.fork(restore(self)), (body) =>
          Effect.flatMap(Effect.exit(restore(Effect.raceFirst(Fiber.await(body), this.hold.lost))), (first) =>
            Exit.isSuccess(first) ? this.ended(body, first.value) : Effect.flatMap(Fiber.interrupt(body), (exit) =>
              // Its caller was interrupted, or the lock was lost; and so the body is, unless it had ended by itself.
              Cause.isInterrupted(first.cause) ? Effect.failCause(first.cause)
              : Exit.isFailure(exit) && Cause.isInterrupted(exit.cause) ? Effect.failCause(besides(first.cause, exit.cause))
              : this.ended(body, exit)))))
    )

  /** The end of a body that was not stopped. */
  private ended<A, E>(body: Fiber.Fiber<A, E>, exit: Exit.Exit<A, E>): Effect.Effect<A, E | LockLost> {
    const { hold } = this
    // An early release is the program's own.
    return Exit.isFailure(exit) || hold.state === "released" || hold.remaining() > 0 || hold.options.lostAtEnd === "succeed"
      ? Fiber.join(body)
      : new LockLost({ ...hold.failure(), completed: true, result: exit.value })
  }

  get release() {
    return this.hold.release
  }
}

/** A loss, and what went wrong while the body was interrupted for it: a failure of its own, in a part that could not be interrupted, stands. */
const besides = <E, E2>(loss: Cause.Cause<E>, interrupted: Cause.Cause<E2>): Cause.Cause<E | E2> => {
  const own = Cause.filter(interrupted, (cause) => !Cause.isInterruptType(cause))
  return Cause.isFailure(own) ? own : Cause.isEmpty(own) ? loss : Cause.sequential(loss, own)
}

const isOptions = (value: unknown): value is AcquireOptions => typeof value === "object" && value !== null

const twice = new InvalidOptions({
  field: "options",
  kind: "an object beside it",
  rule: "given once: (lockId, ownerId, options), or (lockId, { ownerId, ...options })"
})

const makeLock = (hold: Hold): Lock => new HeldLock(hold)

export const make = (options: Options): Effect.Effect<Service, InvalidOptions, Storage.Storage | Scope.Scope> =>
  Effect.gen(function*() {
    const storage = yield* Storage.Storage
    const defaults = ofLayer(options, storage.guarantees)
    if (defaults instanceof InvalidOptions) return yield* defaults
    const core = yield* lifecycle.open(storage, options.namespace)
    yield* purging.run(core, defaults, options.purgeAfter !== undefined)
    const limit = callLimit(defaults.lease)

    const open = <A, E, R>(operation: string, self: Effect.Effect<A, E, R>): Effect.Effect<A, E | StorageError, R> =>
      Effect.suspend((): Effect.Effect<A, E | StorageError, R> => core.closed ? closedError(operation) : self)

    /** Everything about the input is judged here, before any I/O. */
    const wanted = (wait: boolean, [lockId, second, third]: AcquireArgs, place: Place): Wanted | InvalidLockId | InvalidOptions => {
      const key = storedId(lockId, options.namespace)
      if (key instanceof InvalidLockId) return key
      if (isOptions(second) ? third !== undefined : third?.ownerId !== undefined) return twice
      const [ownerId, own] = isOptions(second) ? [second.ownerId, second] : [second, third]
      if (ownerId !== undefined) {
        const invalid = invalidOwner(ownerId)
        if (invalid !== undefined) return invalid
      }
      const resolved: Resolved | InvalidOptions = own === undefined ? defaults : override(options, own, storage.guarantees)
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
      Effect.withFiberRuntime((fiber): Effect.Effect<Either.Either<Hold, LockRecord | undefined>, AcquireError> => {
        const want = wanted(wait, args, placeOf(fiber, scope))
        return want instanceof InvalidLockId || want instanceof InvalidOptions
          ? Effect.fail(want)
          : open("acquire", acquireHold(core, want, restore))
      })

    const scoped = (wait: boolean) => (...args: AcquireArgs) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.scope, (scope) =>
          Effect.flatMap(take(wait, args, restore, scope), (hold): Effect.Effect<Either.Either<Lock, LockRecord | undefined>> =>
            Either.isLeft(hold)
              ? Effect.succeed(Either.left(hold.left))
              // Not `Effect.addFinalizer`, which costs as much as a call, for fiber refs that the release does not read.
              : Effect.as(Scope.addFinalizer(scope, hold.right.release), Either.right(makeLock(hold.right)))))
      )

    const using = (wait: boolean) =>
    <A, E, R>(body: Body<A, E, R>, ...args: AcquireArgs): Effect.Effect<Option.Option<A>, E | AcquireError | LockLost, R> =>
      // Before "is a function": a tag is both.
      !Effect.isEffect(body) && typeof body !== "function"
        ? Effect.fail(invalid("body", body, "an effect, or a function of the lock that gives one"))
        : Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(take(wait, args, restore), (hold) => {
            if (Either.isLeft(hold)) return Effect.succeedNone
            const lock = makeLock(hold.right)
            const guarded = lock.guard(inside(hold.right, () => Effect.isEffect(body) ? body : body(lock)))
            return Effect.asSome(Effect.ensuring(restore(guarded), hold.right.release))
          })
        )

    const mustWait = scoped(true)
    const tryScoped = scoped(false)
    const tries = (...args: AcquireArgs): Effect.Effect<Either.Either<Lock, LockRecord | undefined>, TryError, Scope.Scope> =>
      Effect.catchTag(tryScoped(...args), "LockTimeout", () => Effect.succeed(Either.left(undefined)))
    const mustWaitUsing = using(true)

    /** The id as it is stored, for operations that need no more. */
    const withKey = <A>(operation: string, lockId: string, use: (key: string) => Effect.Effect<A, StorageError>) =>
      Effect.suspend((): Effect.Effect<A, InvalidLockId | StorageError> => {
        const key = storedId(lockId, options.namespace)
        return key instanceof InvalidLockId ? Effect.fail(key) : open(operation, core.calls.ask(operation, use(key), limit))
      })

    /** A hold of this very process need not wait for its next renewal to learn of it; nor need the waiters behind it. */
    const forced = (key: string, token: number): void => {
      for (const hold of Array.from(core.holds)) {
        if (hold.claimant.key === key && hold.record.token === token) hold.lose("Forced")
      }
      core.lines.hint(key, core.timeline.now())
    }

    const get: Service["get"] = (lockId) =>
      Effect.map(
        withKey("get", lockId, core.storage.get),
        Option.map(({ record }) => LockInformation.fromRecord(record, lockId))
      )

    return {
      // `Left` and `None` are for those who do not wait: neither of these can be.
      acquire: (...args) => Effect.map(mustWait(...args), (lock) => (lock as Either.Right<never, Lock>).right),
      tryAcquire: (...args) => Effect.map(tries(...args), Either.getRight),
      tryAcquireOrHolder: (...args) =>
        Effect.map(
          tries(...args),
          Either.mapLeft((holder) => Option.map(Option.fromNullable(holder), (record) => LockInformation.fromRecord(record, args[0])))
        ),
      withLock: <A, E, R>(body: Body<A, E, R>, ...args: AcquireArgs) =>
        Effect.map(mustWaitUsing(body, ...args), (result) => (result as Option.Some<A>).value),
      withLockIfAvailable: using(false) as Service["withLockIfAvailable"],
      get,
      isLocked: (lockId) => Effect.map(get(lockId), Option.isSome),
      list: Stream.unwrap(open("list", Effect.succeed(
        Stream.filterMap(core.storage.list, ({ record }) =>
          Option.map(
            Option.fromNullable(publicId(record.lockId, options.namespace)),
            (lockId) => LockInformation.fromRecord(record, lockId)
          ))
      ))),
      forceRelease: (lockId, { token, when }) =>
        Number.isSafeInteger(token) && token > 0
          ? when === "now" || when === "leaseEnd"
            ? Effect.map(
              withKey("revoke", lockId, (key) =>
                Effect.tap(core.storage.revoke({ lockId: key, token, when }), ({ _tag }) =>
                  Effect.sync(() => {
                    if (_tag === "Revoked") forced(key, token)
                  }))),
              (outcome) => outcome._tag === "Revoked"
            )
            : new InvalidOptions({ field: "when", kind: JSON.stringify(when) ?? typeof when, rule: "\"now\" or \"leaseEnd\"" })
          : new InvalidOptions({ field: "token", kind: String(token), rule: "the fencing token of the hold, a positive integer" })
    }
  })
