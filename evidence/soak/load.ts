/** Everything that programs do with locks, as fast as it goes: contended and alone, deeper, with a time-out, given up, interrupted, renewed and forced. */
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import type { LockError } from "../../src/LockError.js"
import type { Service } from "../../src/StorageLock.js"

const fibers = 24
const sharedLocks = 6

/** Ids come and go, but not without end: a storage remembers each for good, and that memory is not the layer's. */
const ids = 1000

const turn = (locks: Service, n: number): Effect.Effect<number, LockError> => {
  const shared = `soak-${n % sharedLocks}`
  switch (n % 10) {
    case 0:
      return Effect.as(
        locks.withLock(() => Effect.yieldNow, `soak-fresh-${n % ids}`),
        1
      )
    case 1:
      return Effect.as(Effect.scoped(locks.acquire(shared, undefined, { acquireTimeout: "1 minute" })), 1)
    case 2:
      return Effect.as(
        locks.withLockIfAvailable(() => Effect.yieldNow, shared),
        1
      )
    case 3:
      // Given up while it waits.
      return Effect.as(
        locks.withLock(() => Effect.void, shared, undefined, { acquireTimeout: 1 }),
        1
      )
    case 4:
      return Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.andThen(locks.acquire(shared), Effect.never)))
        yield* Effect.sleep(n % 3)
        yield* Fiber.interrupt(fiber)
        return 1
      })
    case 5:
      return Effect.as(
        locks.withLock(
          () => locks.withLock(() => Effect.yieldNow, `soak-deep-${n % 40}`, `owner-${n % 40}`),
          `soak-deep-${n % 40}`,
          `owner-${n % 40}`
        ),
        2
      )
    case 6:
      return Effect.as(
        locks.withLock((lock) => Effect.andThen(Effect.ignore(lock.renew), lock.check), `soak-renewed-${n % 40}`),
        1
      )
    case 7:
      return Effect.as(
        locks.withLock(
          (lock) =>
            Effect.andThen(locks.forceRelease(lock.lockId, { token: lock.token, when: "now" }), Effect.sleep(1)),
          `soak-forced-${n % ids}`
        ),
        1
      )
    default:
      return Effect.as(
        locks.withLock(() => Effect.void, `soak-own-${n % 100}`),
        1
      )
  }
}

/** Runs for so many milliseconds, until the last is out, and tells how often a lock was had. */
export const load = (locks: Service, millis: number): Effect.Effect<number> =>
  Effect.suspend(() => {
    const end = performance.now() + millis
    let acquired = 0
    let n = 0
    const worker = Effect.whileLoop({
      while: () => performance.now() < end,
      body: () =>
        Effect.catch(
          Effect.suspend(() => turn(locks, n++)),
          () => Effect.succeed(0)
        ),
      step: (count) => {
        acquired += count
      }
    })
    return Effect.map(
      Effect.all(
        Array.from({ length: fibers }, () => worker),
        { concurrency: "unbounded", discard: true }
      ),
      () => acquired
    )
  })
