/** The service of locks over one storage: it puts the parts together. */
import * as Effect from "#effect/Effect"
import * as outcome from "#effect/outcome"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import type * as Scope from "#effect/Scope"
import { InvalidOptions } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import { exclusive, type LockRecord } from "../LockRecord.js"
import * as Storage from "../Storage.js"
import type { AcquireArgs, AcquireError, Body, Lock, OnceOptions, Options, Service, TryError } from "./api.js"
import type { Core } from "./core.js"
import * as lifecycle from "./lifecycle.js"
import { looking } from "./looking.js"
import { one, type One } from "./one.js"
import { ofLayer, ofOnce } from "./options.js"
import * as purging from "./purging.js"
import { several } from "./several.js"
import { unscoped } from "./unscoped.js"
import { UnscopedHolds } from "./unscopedHolds.js"

/** How locks of a kind are taken: what is the same for all kinds. `share` is what is asked of a lock that several may hold. */
export interface Taking extends Pick<One, "scoped" | "using"> {
  readonly service: Service
  readonly core: Core
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
    const opened = { core, options, defaults }
    const { scoped, take, using } = one(opened)
    const { extend, keeping, unlock } = unscoped(opened, kept, take)

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
      ...several(opened),
      lock: (...args) => Effect.map(mustKeep(...args), (lock) => (lock as Result.Success<Lock, never>).success),
      tryLock: (...args) => Effect.map(tried(tryKeeping(...args)), Result.getSuccess),
      unlock,
      extend,
      ...looking(opened),
      events: core.events.stream
    }
    cores.set(service, core)
    return { service, core, scoped, using }
  })

const cores = new WeakMap<Service, Core>()

/** What is behind a service of `make`. A service of somebody else's has none. */
export const coreOf = (service: Service): Core | undefined => cores.get(service)
