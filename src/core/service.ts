/** The service of locks over one storage: it checks what it is given, and puts the other parts together. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as fibers from "#effect/fibers"
import * as outcome from "#effect/outcome"
import type { Outcome } from "#effect/outcome"
import * as spans from "#effect/spans"
import * as Option from "#effect/Option"
import { pipeArguments } from "effect/Pipeable"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import type { LockLost } from "../LockError.js"
import { InvalidLockId, InvalidOptions, NotLocked, type StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import { exclusive, type LockRecord } from "../LockRecord.js"
import * as Storage from "../Storage.js"
import {
  type AcquireArgs,
  type AcquireError,
  type AcquireOptions,
  type AcquireSettings,
  type Body,
  type BodyOfAll,
  type Lock,
  type LockSet,
  type LocksOf,
  LockTypeId,
  type OnceOptions,
  type Options,
  type Refusal,
  type Service,
  type TryError,
  type UnlockError
} from "./api.js"
import { acquire as acquireHold, type Restore, type Wanted } from "./acquire.js"
import * as all from "./all.js"
import { idFault, listFault, twiceFault } from "./all.js"
import type { Place, Share } from "./claimant.js"
import { callLimit, closedError, type Core } from "./core.js"
import { guard } from "./guard.js"
import type { Hold } from "./hold.js"
import { UnscopedHolds } from "./unscopedHolds.js"
import { releaseAfter } from "./holdAtLeast.js"
import { HeldLocks } from "./lockSet.js"
import { Ids, invalidOwner, publicId, storedId } from "../common/ids.js"
import { invalid } from "../common/input.js"
import * as lifecycle from "./lifecycle.js"
import { inside, insideAll, placeOf, selfDeadlock } from "./nesting.js"
import { ofExtend, ofLayer, ofOnce, ofRelease, override, type Resolved } from "./options.js"
import * as purging from "./purging.js"
import { renewOne } from "./refresher.js"

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
  get check() {
    return this.hold.check
  }
  readonly unsafeRemainingMillis = () => this.hold.remaining()
  get renew(): Lock["renew"] {
    const renewal = Effect.flatMap(renewOne(this.hold.core, this.hold), (answer) =>
      answer._tag === "StorageError" ? Effect.fail(answer) : Effect.void
    )
    return this.check.pipe(Effect.andThen(renewal), Effect.andThen(this.check))
  }
  readonly guard = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | LockLost, R> => guard(this.hold, self)

  get release() {
    return this.hold.release
  }
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

/** How locks of a kind are taken: what is the same for all kinds. `share` is what is asked of a lock that several may hold. */
export interface Taking {
  readonly service: Service
  readonly core: Core
  readonly scoped: (
    wait: boolean,
    share?: Share
  ) => (...args: AcquireArgs) => Effect.Effect<Result.Result<Lock, LockRecord | undefined>, AcquireError, Scope.Scope>
  readonly using: (
    wait: boolean,
    share?: Share
  ) => <A, E, R>(
    body: Body<A, E, R>,
    ...args: AcquireArgs
  ) => Effect.Effect<Option.Option<A>, E | AcquireError | LockLost, R>
}

export const make = (options: Options): Effect.Effect<Service, InvalidOptions, Storage.Storage | Scope.Scope> =>
  Effect.flatMap(Storage.Storage, (storage) => Effect.map(open(options, storage, exclusive), ({ service }) => service))

export const open = (
  options: Options,
  storage: Storage.Service,
  kind: string
): Effect.Effect<Taking, InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const defaults = ofLayer(options, storage.guarantees)
    if (defaults instanceof InvalidOptions) return yield* defaults
    const core = yield* lifecycle.open(storage, options.namespace, kind)
    yield* purging.run(core, defaults, options.purgeAfter !== undefined)
    const kept = new UnscopedHolds()
    // Before the core closes, which would tell of them as lost.
    yield* Effect.addFinalizer(() => {
      core.ending = true
      return kept.close
    })
    const limit = callLimit(defaults.lease)

    const unlessClosed = <A, E, R>(
      operation: string,
      self: Effect.Effect<A, E, R>
    ): Effect.Effect<A, E | StorageError, R> =>
      Effect.suspend((): Effect.Effect<A, E | StorageError, R> => (core.closed ? closedError(operation) : self))

    /** Everything about the input is judged here, before any I/O. */
    const wanted = (
      wait: boolean,
      [lockId, second, third]: AcquireArgs,
      place: Place,
      trace: spans.Start | undefined,
      share: Share | undefined
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
      const deadlock = wait && ownerId === undefined ? selfDeadlock(core, key, place, share) : undefined
      return deadlock ?? { key, lockId, ownerId, options: resolved, wait, place, share, trace }
    }

    const take = (wait: boolean, args: AcquireArgs, restore: Restore, share: Share | undefined, scope?: Scope.Scope) =>
      Effect.withFiber((fiber): Effect.Effect<Result.Result<Hold, LockRecord | undefined>, AcquireError> => {
        const want = wanted(wait, args, placeOf(fiber, scope), spans.of(fiber, core.clock, core.events.failed), share)
        return want instanceof InvalidLockId || want instanceof InvalidOptions
          ? Effect.fail(want)
          : core.closed
            ? closedError("acquire")
            : acquireHold(core, want, restore, fibers.get(fiber, Ids))
      })

    const scoped: Taking["scoped"] =
      (wait, share) =>
      (...args) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(Effect.scope, (scope) =>
            Effect.flatMap(
              take(wait, args, restore, share, scope),
              (hold): Effect.Effect<Result.Result<Lock, LockRecord | undefined>> =>
                Result.isFailure(hold)
                  ? Effect.succeed(Result.fail(hold.failure))
                  : // Not `Effect.addFinalizer`, which costs as much as a call, for fiber refs that the release does not read.
                    Effect.as(Scope.addFinalizer(scope, hold.success.release), Result.succeed(makeLock(hold.success)))
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

    /** Everything about several is judged here, before any I/O. */
    const wantedAll = (
      wait: boolean,
      lockIds: ReadonlyArray<string>,
      settings: AcquireSettings,
      place: Place,
      trace: spans.Start | undefined
    ): ReadonlyArray<Wanted> | InvalidLockId | InvalidOptions => {
      const fault = listFault("lockIds", lockIds)
      if (fault !== undefined) return fault
      const byKey = new Map<string, Wanted>()
      // By index: a hole in a list is no id.
      for (let index = 0; index < lockIds.length; index++) {
        const want = wanted(wait, [lockIds[index]!, ...settings], place, trace, undefined)
        if (want instanceof InvalidLockId) return idFault("lockIds", index, want)
        if (want instanceof InvalidOptions) return want
        if (byKey.has(want.key)) return twiceFault("lockIds", index, want.lockId)
        byKey.set(want.key, want)
      }
      return Array.from(byKey.values())
    }

    const takeAll = <A, E>(
      wait: boolean,
      lockIds: ReadonlyArray<string>,
      settings: AcquireSettings,
      scope: Scope.Scope | undefined,
      take: (wants: ReadonlyArray<Wanted>, newId: Effect.Effect<string>) => Effect.Effect<A, E>
    ) =>
      Effect.withFiber((fiber): Effect.Effect<A, E | InvalidLockId | InvalidOptions | StorageError> => {
        const trace = spans.of(fiber, core.clock, core.events.failed)
        const wants = wantedAll(wait, lockIds, settings, placeOf(fiber, scope), trace)
        return wants instanceof InvalidLockId || wants instanceof InvalidOptions
          ? Effect.fail(wants)
          : core.closed
            ? closedError("acquireAll")
            : take(wants, fibers.get(fiber, Ids))
      })

    const makeSet = <Ids extends ReadonlyArray<string>>(holds: ReadonlyArray<Hold>) =>
      new HeldLocks(holds, holds.map(makeLock) as LocksOf<Ids> & ReadonlyArray<Lock>)

    const acquireAll: Service["acquireAll"] = <const Ids extends ReadonlyArray<string>>(
      lockIds: Ids,
      ...settings: AcquireSettings
    ) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.scope, (scope) =>
          Effect.flatMap(
            takeAll(true, lockIds, settings, scope, (wants, newId) => all.acquireAll(core, wants, restore, newId)),
            (holds) => Effect.as(Scope.addFinalizer(scope, all.releaseAll(holds)), makeSet<Ids>(holds))
          )
        )
      )

    const tryAcquireAll: Service["tryAcquireAll"] = <const Ids extends ReadonlyArray<string>>(
      lockIds: Ids,
      ...settings: AcquireSettings
    ) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(Effect.scope, (scope) =>
          Effect.flatMap(
            takeAll(false, lockIds, settings, scope, (wants, newId) => all.tryAll(core, wants, restore, newId)),
            (holds): Effect.Effect<Outcome<LockSet<LocksOf<Ids>>, ReadonlyArray<Refusal>>> =>
              Result.isFailure(holds)
                ? Effect.succeed(outcome.fromResult(Result.fail(holds.failure)))
                : Effect.as(
                    Scope.addFinalizer(scope, all.releaseAll(holds.success)),
                    outcome.fromResult(Result.succeed(makeSet<Ids>(holds.success)))
                  )
          )
        )
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
              takeAll(true, lockIds, settings, undefined, (wants, newId) =>
                all.acquireAll(core, wants, restore, newId)
              ),
              (holds) => {
                const set = makeSet<Ids>(holds)
                const { span } = holds[0]!
                const own = insideAll(holds, () => (Effect.isEffect(body) ? body : body(set)))
                const guarded = set.guard(span === undefined ? own : spans.withParentSpan(own, span.span))
                return Effect.ensuring(restore(guarded), set.release)
              }
            )
          )

    /** What the layer keeps until it is unlocked. */
    const keeping =
      (wait: boolean) =>
      (...args: AcquireArgs) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            take(wait, args, restore, undefined),
            (hold): Effect.Effect<Result.Result<Lock, LockRecord | undefined>, StorageError> =>
              Result.isFailure(hold)
                ? Effect.succeed(Result.fail(hold.failure))
                : kept.keep(hold.success)
                  ? Effect.succeed(Result.succeed(makeLock(hold.success)))
                  : Effect.andThen(hold.success.release, closedError("lock"))
          )
        )

    /** What this layer keeps of an owner's: at least one, and none that is lost. */
    const keptOf = (lockId: string, ownerId: string) =>
      Effect.suspend((): Effect.Effect<ReadonlyArray<Hold>, UnlockError> => {
        const key = storedId(lockId, options.namespace)
        if (key instanceof InvalidLockId) return Effect.fail(key)
        const invalid = invalidOwner(ownerId)
        if (invalid !== undefined) return Effect.fail(invalid)
        const holds = kept.of(key, ownerId)
        return holds.length === 0 ? Effect.fail(new NotLocked({ lockId, ownerId })) : Effect.succeed(holds)
      })

    const unlock: Service["unlock"] = (lockId, ownerId) =>
      Effect.uninterruptible(
        Effect.flatMap(keptOf(lockId, ownerId), (holds) => {
          const hold = holds[holds.length - 1]!
          kept.forget(hold)
          // It may be over with no timer to tell; then that is told now.
          hold.remaining()
          const { error } = hold
          return error === undefined ? hold.release : Effect.andThen(hold.release, Effect.fail(error))
        })
      )

    const extend: Service["extend"] = (lockId, ownerId, options = {}) => {
      const millis = ofExtend(options)
      if (millis instanceof InvalidOptions) return Effect.fail(millis)
      return Effect.flatMap(keptOf(lockId, ownerId), (holds) => {
        if (millis !== undefined) for (const hold of holds) hold.limit(millis)
        return Effect.map(
          Effect.forEach(holds, (hold) => makeLock(hold).renew, { concurrency: "unbounded" }),
          (left) => left.reduce((least, one) => Duration.min(least, one))
        )
      })
    }

    const mustWait = scoped(true)
    const tryScoped = scoped(false)
    const mustKeep = keeping(true)
    const tryKeeping = keeping(false)
    const tried = <R>(
      self: Effect.Effect<Result.Result<Lock, LockRecord | undefined>, AcquireError, R>
    ): Effect.Effect<Result.Result<Lock, LockRecord | undefined>, TryError, R> =>
      Effect.catchTag(self, "LockTimeout", () => Effect.succeed(Result.fail(undefined)))
    const tries = (...args: AcquireArgs) => tried(tryScoped(...args))
    const mustWaitUsing = using(true)

    /** The id as it is stored, for operations that need no more. */
    const withKey = <A>(operation: string, lockId: string, use: (key: string) => Effect.Effect<A, StorageError>) =>
      Effect.suspend((): Effect.Effect<A, InvalidLockId | StorageError> => {
        const key = storedId(lockId, options.namespace)
        return key instanceof InvalidLockId
          ? Effect.fail(key)
          : unlessClosed(operation, core.calls.ask(operation, use(key), limit))
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
        Option.flatMap(({ record }) =>
          isOf(kind, record) ? Option.some(LockInformation.fromRecord(record, lockId)) : Option.none()
        )
      )

    const service: Service = {
      // A failed result, and `None`, are for those who do not wait: neither of these can be.
      acquire: (...args) => Effect.map(mustWait(...args), (lock) => (lock as Result.Success<Lock, never>).success),
      tryAcquire: (...args) => Effect.map(tries(...args), Result.getSuccess),
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
      once: <A, E, R>(body: Body<A, E, R>, lockId: string, given: OnceOptions) => {
        const atLeast = ofOnce(given)
        if (atLeast instanceof InvalidOptions) return Effect.fail(atLeast)
        const { holdAtLeast: _, ...options } = given
        return (using(false, undefined, atLeast) as Service["withLockIfAvailable"])(body, lockId, options)
      },
      acquireAll,
      tryAcquireAll,
      withLocks,
      lock: (...args) => Effect.map(mustKeep(...args), (lock) => (lock as Result.Success<Lock, never>).success),
      tryLock: (...args) => Effect.map(tried(tryKeeping(...args)), Result.getSuccess),
      unlock,
      extend,
      get,
      isLocked: (lockId) => Effect.map(get(lockId), Option.isSome),
      list: Stream.unwrap(
        unlessClosed(
          "list",
          Effect.succeed(
            core.storage.list.pipe(
              Stream.filter(({ record }) => isOf(kind, record)),
              Stream.map(({ record }) => ({ record, lockId: publicId(record.lockId, options.namespace) })),
              Stream.filter((found): found is typeof found & { readonly lockId: string } => found.lockId !== undefined),
              Stream.map(({ lockId, record }) => LockInformation.fromRecord(record, lockId))
            )
          )
        )
      ),
      events: core.events.stream,
      forceRelease: (lockId, options) => {
        const given = ofRelease(options)
        if (given instanceof InvalidOptions) return Effect.fail(given)
        const { token, when } = given
        return Effect.map(
          withKey("revoke", lockId, (key) =>
            Effect.tap(core.storage.revoke({ lockId: key, token, when }), ({ _tag }) =>
              Effect.sync(() => {
                if (_tag !== "Revoked") return
                core.events.publish({ _tag: "Forced", lockId, token, when })
                forced(key, token)
              })
            )
          ),
          (outcome) => outcome._tag === "Revoked"
        )
      }
    }
    cores.set(service, core)
    return { service, core, scoped, using }
  })

/** A lock of another kind is none of ours. A storage of somebody else's may not tell the kind: then it knows only one. */
const isOf = (kind: string, record: LockRecord): boolean =>
  record.kind === kind || (record.kind as string | undefined) === undefined

const cores = new WeakMap<Service, Core>()

/** What is behind a service of `make`. A service of somebody else's has none. */
export const coreOf = (service: Service): Core | undefined => cores.get(service)
