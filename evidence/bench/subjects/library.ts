/** This library as one of the ways, through Promises as the others. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "#effect/Scope"
import type * as Storage from "../../../src/Storage.js"
import * as StorageLock from "../../../src/StorageLock.js"
import type { Held, Locker, Settings } from "./Subject.js"

/** No function for each, or the memory of a hold would be that of the benchmark, too. */
class HeldHere implements Held {
  constructor(
    readonly lock: StorageLock.Lock,
    private readonly scope: Scope.Closeable
  ) {}
  // Of the prototype.
  release(): Promise<void> {
    return Effect.runPromise(Scope.close(this.scope, Exit.void))
  }
}

export const library = async (storage: Layer.Layer<Storage.Storage, unknown>, settings: Settings): Promise<Locker> => {
  const runtime = ManagedRuntime.make(
    StorageLock.layer({ leaseExpireAfter: settings.leaseMillis, leaseRefreshInterval: settings.refreshMillis }).pipe(
      Layer.provide(storage)
    )
  )
  // A layer that cannot be built is told here, not at the first acquire.
  await runtime.runPromise(StorageLock.StorageLock)
  const run = runtime.runPromise
  const acquire = async (lockId: string) => {
    const scope = Effect.runSync(Scope.make())
    const lock = await run(Scope.provide(StorageLock.acquire(lockId), scope))
    return new HeldHere(lock, scope)
  }
  return {
    acquire,
    cycle: (lockId) => run(Effect.scoped(StorageLock.acquire(lockId))),
    hold: async (lockId, lost) => {
      const held = await acquire(lockId)
      void Effect.runPromise(Effect.catch(held.lock.lost, () => Effect.sync(lost)))
      return held
    },
    close: () => runtime.dispose()
  }
}
