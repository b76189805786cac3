// A program of somebody who installed the package with effect alone.
import { Effect, Layer, Option } from "effect"
import { LockError, MemoryStorage, StorageLock } from "effect-storage-lock"
import * as StorageLockAlone from "effect-storage-lock/StorageLock"

const program = Effect.gen(function* () {
  let inside = 0
  let most = 0
  const critical = Effect.gen(function* () {
    most = Math.max(most, ++inside)
    yield* Effect.sleep("5 millis")
    inside--
  })
  yield* Effect.forEach(["a", "b", "c", "d"], (owner) => critical.pipe(StorageLock.withLock("one at a time", owner)), {
    concurrency: "unbounded"
  })
  if (most !== 1) return yield* Effect.die(`${most} at a time`)

  const refused = yield* Effect.flip(StorageLock.get(""))
  if (!(refused instanceof LockError.InvalidLockId)) return yield* Effect.die("an empty id was taken")

  return yield* Effect.scoped(
    Effect.gen(function* () {
      const lock: StorageLock.Lock = yield* StorageLock.acquire("held", "a")
      const other = yield* Effect.scoped(StorageLock.tryAcquire("held", "b"))
      if (Option.isSome(other)) return yield* Effect.die("two owners")
      return lock.token
    })
  )
})

const token = await Effect.runPromise(
  program.pipe(
    Effect.provide(StorageLock.layer({ leaseExpireAfter: "10 seconds" }).pipe(Layer.provide(MemoryStorage.layer)))
  )
)
if (!Number.isSafeInteger(token)) throw new Error("no token")

// A module is the same one by its own path.
if (StorageLockAlone.StorageLock !== StorageLock.StorageLock) throw new Error("two services of one name")

// Insides are no part of what is published.
const inside = "effect-storage-lock/core/service.js"
const refused = await import(inside).then(
  () => undefined,
  (error: { readonly code?: string }) => error.code
)
if (refused !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw new Error(`${inside}: ${refused}`)
