/** What one may have beside another, and how a program takes its lock: exclusively, to read, to write, or some of the permits. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import type { LockError } from "../../src/LockError.js"
import type { AcquireOptions, Body, Lock, Service } from "../../src/StorageLock.js"
import type { Service as ReadWrite } from "../../src/StorageReadWriteLock.js"
import type { Service as Semaphore } from "../../src/StorageSemaphore.js"
import type { Part } from "./history.js"

/** Whether two owners must not have one lock so at the same time. Of permits there may be too many: see `tooMany`. */
export const excludes = (one: Part | undefined, other: Part | undefined): boolean => {
  if (one === undefined || other === undefined) return true
  if (!("mode" in one) || !("mode" in other)) return "mode" in one !== "mode" in other
  return one.mode === "write" || other.mode === "write" || (one.mode === "upgradable" && other.mode === "upgradable")
}

/** More permits than one of those who have them was told that there are. */
export const tooMany = (parts: ReadonlyArray<Part | undefined>): boolean => {
  const permits = parts.filter((part) => part !== undefined && "permits" in part)
  const sum = permits.reduce((sum, part) => sum + part.permits, 0)
  return permits.some(({ limit }) => sum > limit)
}

/** The services of one process. */
export interface Services {
  readonly exclusive: Service
  readonly readWrite?: ReadWrite | undefined
  readonly semaphore?: Semaphore | undefined
}

type Options = Omit<AcquireOptions, "ownerId">

/** One way to take locks. `upgrading`: not a lock of its own, but this upgradable one, to write. */
export interface Way {
  readonly acquire: (
    lockId: string,
    owner: string | undefined,
    options: Options
  ) => Effect.Effect<Lock, LockError, Scope.Scope>
  readonly tryAcquire: (
    lockId: string,
    owner: string | undefined
  ) => Effect.Effect<Option.Option<Lock>, LockError, Scope.Scope>
  readonly withLock: <A, E>(
    body: Body<A, E, never>,
    lockId: string,
    owner: string | undefined,
    options: Options
  ) => Effect.Effect<A, E | LockError>
  readonly withLockIfAvailable: <A, E>(
    body: Body<A, E, never>,
    lockId: string,
    owner: string | undefined
  ) => Effect.Effect<Option.Option<A>, E | LockError>
}

const bodyOf = <A, E>(body: Body<A, E, never>, lock: Lock): Effect.Effect<A, E> =>
  Effect.isEffect(body) ? body : body(lock)

/** Where a kind has no such way of its own. */
const guarded = <A, E>(
  self: Effect.Effect<Option.Option<Lock>, LockError, Scope.Scope>,
  body: Body<A, E, never>
): Effect.Effect<Option.Option<A>, E | LockError> =>
  Effect.scoped(
    Effect.flatMap(
      self,
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: (lock) => Effect.asSome(lock.guard(bodyOf(body, lock)))
      })
    )
  )

const ofReadWrite = (locks: ReadWrite, mode: "read" | "upgradable" | "write", upgrading: Lock | undefined): Way => {
  const { read, tryRead, tryUpgradable, tryWrite, upgradable, write } = locks
  const take = { read, upgradable, write }[mode]
  const tryTake = { read: tryRead, upgradable: tryUpgradable, write: tryWrite }[mode]
  const acquire: Way["acquire"] = (lockId, owner, options) =>
    upgrading === undefined ? take(lockId, owner, options) : locks.upgrade(upgrading, options)
  return {
    acquire,
    tryAcquire: tryTake,
    withLock: (body, lockId, owner, options) =>
      mode === "upgradable" || upgrading !== undefined
        ? Effect.scoped(Effect.flatMap(acquire(lockId, owner, options), (lock) => lock.guard(bodyOf(body, lock))))
        : (mode === "read" ? locks.withReadLock : locks.withWriteLock)(body, lockId, owner, options),
    withLockIfAvailable: (body, lockId, owner) => guarded(tryTake(lockId, owner), body)
  }
}

const ofSemaphore = (locks: Semaphore, part: { readonly permits: number; readonly limit: number }): Way => ({
  acquire: (lockId, ownerId, options) => locks.acquire(lockId, { ...options, ...part, ownerId }),
  tryAcquire: (lockId, ownerId) => locks.tryAcquire(lockId, { ...part, ownerId }),
  withLock: (body, lockId, ownerId, options) => locks.withPermits(body, lockId, { ...options, ...part, ownerId }),
  withLockIfAvailable: (body, lockId, ownerId) => locks.withPermitsIfAvailable(body, lockId, { ...part, ownerId })
})

export const wayOf = (services: Services, part: Part | undefined, upgrading?: Lock): Way =>
  part === undefined
    ? services.exclusive
    : "mode" in part
      ? ofReadWrite(services.readWrite!, part.mode, upgrading)
      : ofSemaphore(services.semaphore!, part)

/** The service that looks after locks that are had so. */
export const keeperOf = (services: Services, part: Part | undefined): Pick<Service, "get" | "forceRelease" | "list"> =>
  part === undefined ? services.exclusive : "mode" in part ? services.readWrite! : services.semaphore!
