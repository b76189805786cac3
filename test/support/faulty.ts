/** Faults that no real server can be made to show at a chosen moment. */
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import { StorageError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"

export type Operation = "claim" | "renew" | "release" | "revoke" | "get"

export interface Fault {
  /** Before the operation is applied; `Effect.never` hangs. */
  readonly before?: Effect.Effect<void, StorageError>
  /** After it was applied, before the reply comes. */
  readonly after?: Effect.Effect<void, StorageError>
  /** As of a driver whose calls cannot be interrupted. */
  readonly uninterruptible?: boolean
}

export const failure = (reason: StorageError["reason"], applied: "no" | "unknown", isRetryable = true) =>
  new StorageError({ reason, operation: "test", isRetryable, applied, message: `a ${reason} made by the test` })

export const hang: Fault = { before: Effect.never }
export const refuse: Fault = { before: failure("Connection", "no") }
export const loseReply: Fault = { after: failure("Connection", "unknown") }
export const late = (delay: Duration.Input): Fault => ({ after: Effect.sleep(delay) })
export const slow = (delay: Duration.Input): Fault => ({ before: Effect.sleep(delay) })

export interface Faulty {
  readonly storage: Storage.Service
  /** The fault of each operation from now on. */
  readonly set: (operations: ReadonlyArray<Operation>, fault: Fault | undefined) => Effect.Effect<void>
  /** How often each operation was called. */
  readonly calls: Record<Operation, number>
}

export const make = (inner: Storage.Service): Faulty => {
  const faults = new Map<Operation, Fault>()
  const calls = { claim: 0, renew: 0, release: 0, revoke: 0, get: 0 }
  const through = <A>(operation: Operation, self: Effect.Effect<A, StorageError>) =>
    Effect.suspend(() => {
      calls[operation]++
      const fault = faults.get(operation)
      const faulty = (fault?.before ?? Effect.void).pipe(
        Effect.andThen(self),
        Effect.tap(() => fault?.after ?? Effect.void)
      )
      return fault?.uninterruptible === true ? Effect.uninterruptible(faulty) : faulty
    })
  return {
    storage: {
      ...inner,
      claim: (request) => through("claim", inner.claim(request)),
      renew: (requests) => through("renew", inner.renew(requests)),
      release: (request) => through("release", inner.release(request)),
      revoke: (request) => through("revoke", inner.revoke(request)),
      get: (lockId) => through("get", inner.get(lockId))
    },
    set: (operations, fault) =>
      Effect.sync(() => {
        for (const operation of operations) {
          if (fault === undefined) faults.delete(operation)
          else faults.set(operation, fault)
        }
      }),
    calls
  }
}
