/**
 * The whole life of a hold through `StorageLock`: what a program sees of a storage.
 */
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as fibers from "#effect/fibers"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import { LockLost, StorageError } from "../LockError.js"
import * as Storage from "../Storage.js"
import * as StorageLock from "../StorageLock.js"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

/** A process of its own: a build of the storage's layer, and the lock service over it. */
const process = (
  env: Case.Env,
  options: StorageLock.Options = {}
): Effect.Effect<StorageLock.Service, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const storage = yield* env.connect
    const context = yield* Layer.build(
      StorageLock.layer(options).pipe(Layer.provide(Layer.succeed(Storage.Storage, storage)))
    )
    return Context.get(context, StorageLock.StorageLock)
  })

/** A lease that a program would call short, in milliseconds. */
const lease = (env: Case.Env): number => Math.max(2_000, (env.guarantees.shortestLease / 1000) * 2)

/** A try gives up on a storage that is silent for half a second; a busy machine may be. */
const patient = { acquireTimeout: "20 seconds" } as const

/** Real time passes, and the storage's own clock with it. */
const tick = (env: Case.Env, millis: number) =>
  Effect.andThen(
    Effect.sleep(Duration.millis(millis)),
    env.hooks.advance === undefined ? Effect.void : env.pass(millis * 1000)
  )

/** As long as the scope lives. */
const ticking = (env: Case.Env) =>
  env.hooks.advance === undefined ? Effect.void : Effect.forkScoped(Effect.forever(tick(env, 50)))

/** What a hold is lost to that must not be, if it is. */
type Trial = (env: Case.Env, leaseExpireAfter: number) => Effect.Effect<LockLost | undefined, unknown, Scope.Scope>

/** Holds a lock for two and a half times its lease. */
const refreshed: Trial = (env, leaseExpireAfter) =>
  Effect.gen(function* () {
    const [ours, theirs] = yield* Effect.all([process(env, { leaseExpireAfter }), process(env)])
    const lockId = env.lockId()
    const lock = yield* ours.acquire(lockId, "ada")
    for (let passed = 0; passed < 2.5 * leaseExpireAfter; passed += 100) {
      yield* tick(env, 100)
      const state = yield* Effect.result(lock.check)
      if (state._tag === "Failure") return state.failure
      if (passed % 500 === 0) {
        const tried = yield* Effect.scoped(theirs.tryAcquire(lockId, "bob", patient))
        yield* Case.that(
          Option.isNone(tried) || lock.unsafeRemainingMillis() <= 0,
          "nobody else has it meanwhile",
          Option.getOrUndefined(tried)?.token
        )
      }
    }
    const { record } = yield* Steps.record(env.storage, lockId, "a refreshed lock is held")
    yield* Case.that(
      record.token === lock.token && record.holds.length === 1,
      "it is the same hold all the time",
      record
    )
    yield* lock.renew
    return undefined
  })

/** An operator takes locks away, and none is lost before that. */
const takenAway: Trial = (env, leaseExpireAfter) =>
  Effect.gen(function* () {
    const [ours, operator] = yield* Effect.all([process(env, { leaseExpireAfter }), process(env)])
    yield* ticking(env)
    for (const when of ["now", "leaseEnd"] as const) {
      const lockId = env.lockId(when)
      const body = yield* Effect.forkChild(Effect.flip(ours.withLock(() => Effect.never, lockId, "ada")))
      let seen = yield* env.storage.get(lockId)
      while (Option.isNone(seen) && fibers.exitOf(body) === undefined) {
        yield* Effect.sleep("5 millis")
        seen = yield* env.storage.get(lockId)
      }
      const token = Option.isSome(seen) ? seen.value.record.token : undefined
      const forced = token !== undefined && (yield* operator.forceRelease(lockId, { token, when }))
      const told = yield* Effect.timeoutOption(Fiber.join(body), Duration.millis(5 * leaseExpireAfter + 5_000))
      const lost = Option.getOrUndefined(told)
      if (lost?._tag !== "LockLost")
        return yield* Case.fail("a body whose lock was taken away is stopped with LockLost", lost)
      if (!forced) return lost
      const again = yield* operator.forceRelease(lockId, { token: token + 1, when })
      yield* Case.that(!again, "and by no other token")
    }
    return undefined
  })

/** What a longer lease can mend: the storage's answer came too late. */
const isLate = (trouble: unknown): boolean =>
  (trouble instanceof LockLost && trouble.reason === "Expired") ||
  (trouble instanceof StorageError && trouble.reason === "Timeout")

/** A server or a machine may be too busy to grant or renew a short lease in time, and not a longer one. */
const untilInTime = (env: Case.Env, promise: string, trial: Trial): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    for (const times of [1, 4, 16]) {
      const told = yield* Effect.result(Effect.scoped(trial(env, times * lease(env))))
      if (times < 16 && isLate(told._tag === "Failure" ? told.failure : told.success)) continue
      if (told._tag === "Failure") return yield* Effect.fail(told.failure)
      return told.success === undefined ? undefined : yield* Case.fail(promise, told.success)
    }
  })

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "a hold lives as long as its scope",
    rule: "life-scope",
    run: (env) =>
      Effect.gen(function* () {
        const locks = yield* process(env)
        const lockId = env.lockId()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const lock = yield* locks.acquire(lockId, "ada")
            const { record } = yield* Steps.record(env.storage, lockId, "an acquired lock is held")
            yield* Case.that(
              record.ownerId === "ada" && record.token === lock.token && record.holds[0] === lock.holdId,
              "the record is of this hold",
              record
            )
            const left = Duration.toMillis(yield* lock.check)
            yield* Case.that(left > 0 && left <= 30_000, "a hold knows for how long it is sure", left)
          })
        )
        yield* Steps.isFree(env.storage, lockId, "closing the scope frees the lock")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const lock = yield* locks.acquire(lockId, "ada")
            yield* lock.release
            yield* Steps.isFree(env.storage, lockId, "an early release frees the lock")
            const other = yield* locks.acquire(lockId, "bob")
            yield* lock.release
            yield* Case.that(
              Option.isSome(yield* env.storage.get(lockId)),
              "a second release frees nobody else's hold",
              other.token
            )
          })
        )
      })
  },
  {
    name: "what somebody else holds is not had by trying, and its body does not run",
    rule: "life-try",
    run: (env) =>
      Effect.gen(function* () {
        const [ours, theirs] = yield* Effect.all([process(env), process(env)])
        const lockId = env.lockId()
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* theirs.acquire(lockId, "bob")
            const tried = yield* ours.tryAcquire(lockId, "ada", patient)
            yield* Case.that(Option.isNone(tried), "a lock that another process holds is not had")
            let ran = false
            const result = yield* ours.withLockIfAvailable(
              () => Effect.sync(() => (ran = true)),
              lockId,
              "ada",
              patient
            )
            yield* Case.that(Option.isNone(result) && !ran, "its body does not run", result)
          })
        )
        const result = yield* ours.withLockIfAvailable(() => Effect.succeed(42), lockId, "ada", patient)
        yield* Case.that(Option.isSome(result) && result.value === 42, "a free lock is had, and its body runs", result)
      })
  },
  {
    name: "withLock passes on what its body comes to, and frees the lock whatever that is",
    rule: "life-with-lock",
    run: (env) =>
      Effect.gen(function* () {
        const locks = yield* process(env)
        const lockId = env.lockId()
        const seen = Steps.record(env.storage, lockId, "the lock is held while the body runs")
        const result = yield* locks.withLock((lock) => Effect.as(seen, lock.token), lockId, "ada")
        yield* Case.that(Number.isSafeInteger(result), "the body's result is passed on", result)
        yield* Steps.isFree(env.storage, lockId, "the lock is free after the body's success")
        const failed = yield* Effect.flip(
          locks.withLock(() => Effect.andThen(seen, Effect.fail("no" as const)), lockId, "ada")
        )
        yield* Case.that(failed === "no", "the body's failure is passed on", failed)
        yield* Steps.isFree(env.storage, lockId, "the lock is free after the body's failure")
        const died = yield* Effect.exit(locks.withLock(() => Effect.die("a defect"), lockId, "ada"))
        yield* Case.that(Exit.isFailure(died), "the body's defect is passed on")
        yield* Steps.isFree(env.storage, lockId, "the lock is free after the body's defect")
        // In its body, not only in the storage: a claim whose answer is still on its way is taken back after its caller has left.
        let inside = false
        const fiber = yield* Effect.forkChild(
          locks.withLock(
            () =>
              Effect.andThen(
                Effect.sync(() => (inside = true)),
                Effect.never
              ),
            lockId,
            "ada"
          )
        )
        while (!inside) yield* Effect.sleep("5 millis")
        yield* Fiber.interrupt(fiber)
        yield* Steps.isFree(env.storage, lockId, "the lock is free after the body's interruption")
      })
  },
  {
    name: "its owner enters a lock again, and leaves it as often",
    rule: "life-reentry",
    run: (env) =>
      Effect.gen(function* () {
        const [ours, elsewhere] = yield* Effect.all([process(env), process(env)])
        const lockId = env.lockId()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const outer = yield* ours.acquire(lockId, "ada")
            for (const locks of [ours, elsewhere]) {
              const inner = yield* Effect.scoped(
                Effect.gen(function* () {
                  const lock = yield* locks.acquire(lockId, "ada")
                  const { record } = yield* Steps.record(env.storage, lockId, "an acquired lock is held")
                  yield* Case.that(record.holds.length === 2, "the lock is held twice", record)
                  return lock
                })
              )
              yield* Case.that(
                inner.token === outer.token && inner.holdId !== outer.holdId,
                "two holds under one token",
                [outer.token, inner.token]
              )
              const { record } = yield* Steps.record(env.storage, lockId, "leaving an inner hold leaves the outer")
              yield* Case.that(
                record.holds.length === 1 && record.holds[0] === outer.holdId,
                "the outer hold lives",
                record
              )
            }
            yield* outer.check
          })
        )
        yield* Steps.isFree(env.storage, lockId, "leaving the outer hold frees the lock")
      })
  },
  {
    name: "a hold that is refreshed outlives its lease several times",
    rule: "life-refresh",
    run: (env) => untilInTime(env, "a hold that is refreshed is not lost", refreshed)
  },
  {
    name: "a holder from whom the lock is taken is told so, and its body is stopped",
    rule: "life-lost",
    run: (env) => untilInTime(env, "an operator takes a lock away by its token", takenAway)
  },
  {
    name: "who waits has the lock after its holder's release, in another process too",
    rule: "life-waiting",
    run: (env) =>
      Effect.gen(function* () {
        const [ours, theirs] = yield* Effect.all([process(env), process(env)])
        const lockId = env.lockId()
        const first = yield* ours.acquire(lockId, "ada")
        const waiting = yield* Effect.forkChild(
          Effect.scoped(
            Effect.map(theirs.acquire(lockId, "bob", { acquireTimeout: "20 seconds" }), (lock) => lock.token)
          )
        )
        yield* Effect.sleep("150 millis")
        yield* Case.that(fibers.exitOf(waiting) === undefined, "who waits has nothing while another holds")
        yield* first.release
        const token = yield* Fiber.join(waiting)
        yield* Case.that(token > first.token, "the next holder has a higher token", [first.token, token])
      })
  },
  {
    name: "who waits in vain is told who has the lock",
    rule: "life-timeout",
    run: (env) =>
      Effect.gen(function* () {
        const [ours, theirs] = yield* Effect.all([process(env), process(env)])
        const lockId = env.lockId()
        yield* theirs.acquire(lockId, "bob")
        const inVain = (acquireTimeout: Duration.Input) =>
          Effect.flip(Effect.scoped(ours.acquire(lockId, "ada", { acquireTimeout })))
        let error = yield* inVain("700 millis")
        // It did not answer in time.
        for (const longer of ["3 seconds", "12 seconds"] as const)
          if (error._tag === "StorageError" && error.isRetryable) error = yield* inVain(longer)
        yield* Case.that(error._tag === "LockTimeout" && error.holder === "bob", "LockTimeout names the holder", error)
        // By the port: the service sees locks of its own kind alone.
        yield* Case.that(Option.isSome(yield* env.storage.get(lockId)), "and the holder keeps it")
      })
  },
  {
    name: "who stops waiting leaves nothing behind",
    rule: "life-interruption",
    run: (env) =>
      Effect.gen(function* () {
        const [ours, theirs] = yield* Effect.all([process(env), process(env)])
        const lockId = env.lockId()
        const first = yield* theirs.acquire(lockId, "bob")
        for (let i = 0; i < 5; i++) {
          const waiting = yield* Effect.forkChild(Effect.scoped(ours.acquire(lockId, `ada-${i}`)))
          yield* Effect.sleep(`${10 + 15 * i} millis`)
          yield* Case.that(fibers.exitOf(waiting) === undefined, "who waits has nothing while another holds")
          // It stops at the very moment at which it might get it.
          yield* i === 4 ? Effect.andThen(first.release, Fiber.interrupt(waiting)) : Fiber.interrupt(waiting)
        }
        const next = yield* Effect.scoped(
          Effect.map(ours.acquire(lockId, "cyd", { acquireTimeout: "20 seconds" }), (lock) => lock.token)
        )
        yield* Case.that(next > first.token, "the lock is had by the next who wants it", next)
        yield* Steps.isFreeSoon(env.storage, lockId, "who stops waiting leaves nothing behind")
      })
  },
  {
    name: "a holder that died is succeeded when its lease ends, with a higher token",
    rule: "life-takeover",
    run: (env) =>
      Effect.gen(function* () {
        const locks = yield* process(env)
        const lockId = env.lockId()
        const dead = yield* Steps.take(env, env.storage, { lockId, ownerId: "dead", lease: env.short })
        yield* ticking(env)
        const lock = yield* locks.acquire(lockId, "ada", {
          acquireTimeout: Duration.millis((env.short / 1000) * 4 + 10_000)
        })
        yield* Case.that(lock.token > dead.token, "the successor has a higher token", [dead.token, lock.token])
      })
  },
  {
    name: "of many in several processes never two are inside, tokens grow, and all get in",
    rule: "life-exclusion",
    run: (env) =>
      Effect.gen(function* () {
        const processes = yield* Effect.all(
          Array.from({ length: 4 }, () => process(env)),
          { concurrency: "unbounded" }
        )
        const lockId = env.lockId()
        const count = env.times(24)
        let inside = 0
        let entered = 0
        let last = 0
        yield* Effect.forEach(
          Array.from({ length: count }, (_, i) => i),
          (i) =>
            processes[i % 4]!.withLock(
              (lock) =>
                Effect.gen(function* () {
                  inside++
                  yield* Case.that(inside === 1, "never two are inside at once", inside)
                  yield* Case.that(lock.token > last, "tokens grow from holder to holder", [last, lock.token])
                  last = lock.token
                  yield* Effect.sleep("3 millis")
                  yield* Case.that(inside === 1, "never two are inside at once", inside)
                  inside--
                  entered++
                }),
              lockId,
              undefined,
              { acquireTimeout: "60 seconds" }
            ),
          { concurrency: "unbounded", discard: true }
        )
        yield* Case.that(entered === count, "all get in", entered)
      })
  }
]
