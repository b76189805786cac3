/** Locks without a scope: the layer keeps them from `lock` to `unlock`. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import { InvalidLockId, InvalidOptions, NotLocked, type StorageError } from "../LockError.js"
import type { LockRecord } from "../LockRecord.js"
import { invalidOwner, storedId } from "../common/ids.js"
import type { AcquireArgs, Lock, Service, UnlockError } from "./api.js"
import { closedError } from "./core.js"
import { makeLock } from "./heldLock.js"
import type { Hold } from "./hold.js"
import type { One } from "./one.js"
import { ofExtend } from "./options.js"
import type { UnscopedHolds } from "./unscopedHolds.js"
import type { Opened } from "./wanted.js"

export const unscoped = ({ options }: Opened, kept: UnscopedHolds, take: One["take"]) => {
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

  return { keeping, unlock, extend }
}
