/** What the services of locks that several may hold have alike. */
import * as Effect from "#effect/Effect"
import type * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import type * as Scope from "#effect/Scope"
import type { InvalidOptions, LockLost } from "../LockError.js"
import type { LockKind } from "../LockKind.js"
import { exclusive, type LockRecord } from "../LockRecord.js"
import { toStorage, VersionedStore } from "../VersionedStore.js"
import type { AcquireArgs, AcquireError, Body, Lock, Options, Service, TryError } from "./api.js"
import type { Share } from "./claimant.js"
import { open as openService, type Taking } from "./service.js"

/** What there is to see and to do of a lock, whoever holds it and as what. */
export type Looking = Pick<Service, "get" | "isLocked" | "list" | "events" | "forceRelease">

export const looking = ({ service }: Taking): Looking => ({
  get: service.get,
  isLocked: service.isLocked,
  list: service.list,
  events: service.events,
  forceRelease: service.forceRelease
})

export const open = (
  options: Options,
  kind?: LockKind
): Effect.Effect<Taking, InvalidOptions, VersionedStore | Scope.Scope> =>
  Effect.flatMap(VersionedStore, (store) => openService(options, toStorage(store, { kind }), kind?.name ?? exclusive))

type Taken<E> = Effect.Effect<Result.Result<Lock, LockRecord | undefined>, E, Scope.Scope>

/** Waits until it is had. */
export const acquire = (
  taking: Taking,
  share: Share,
  args: AcquireArgs
): Effect.Effect<Lock, AcquireError, Scope.Scope> =>
  // A failed result is for those who do not wait.
  Effect.map(taking.scoped(true, share)(...args), (lock) => (lock as Result.Success<Lock, never>).success)

export const tryAcquire = (
  taking: Taking,
  share: Share,
  args: AcquireArgs
): Effect.Effect<Option.Option<Lock>, TryError, Scope.Scope> => {
  const tried: Taken<TryError> = Effect.catchTag(taking.scoped(false, share)(...args), "LockTimeout", () =>
    Effect.succeed(Result.fail(undefined))
  )
  return Effect.map(tried, Result.getSuccess)
}

export const using = <A, E, R>(
  taking: Taking,
  share: Share,
  body: Body<A, E, R>,
  args: AcquireArgs
): Effect.Effect<A, E | AcquireError | LockLost, R> =>
  Effect.map(taking.using(true, share)(body, ...args), (result) => (result as Option.Some<A>).value)

export const usingIfAvailable = <A, E, R>(
  taking: Taking,
  share: Share,
  body: Body<A, E, R>,
  args: AcquireArgs
): Effect.Effect<Option.Option<A>, E | TryError | LockLost, R> =>
  taking.using(false, share)(body, ...args) as Effect.Effect<Option.Option<A>, E | TryError | LockLost, R>
