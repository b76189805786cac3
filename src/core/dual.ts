/** Functions that run a body under a lock, as data-first, `(body, lockId, …)`, and as data-last, `(lockId, …)(body)`. */
import * as Effect from "#effect/Effect"
import type * as Option from "#effect/Option"
import type { LockLost } from "../LockError.js"
import type { Body } from "./api.js"

/**
 * Any string. It lets the compiler tell a lock id from a body: a string gives `Unit` a type, and a body leaves it at its default.
 *
 * @since 0.3.0
 * @category models
 */
export interface LockId<Unit> {
  readonly charCodeAt: (index: number) => Unit
}

/**
 * Runs a body under a lock of a service, as data-first, `(body, lockId, …)`, and as data-last, `(lockId, …)(body)`. It is one signature and not two overloads, so that the compiler's error names the one
 * thing that is wrong in a call.
 *
 * @since 0.5.0
 * @category models
 */
export interface Using<Service, Failure, Settings extends ReadonlyArray<unknown>> {
  <A, E, R, Unit = never>(
    bodyOrLockId: Body<A, E, R> | LockId<Unit>,
    ...rest: [Unit] extends [never] ? [lockId: string, ...Settings] : Settings
  ): [Unit] extends [never]
    ? Effect.Effect<A, E | Failure | LockLost, R | Service>
    : <A, E, R>(body: Body<A, E, R>) => Effect.Effect<A, E | Failure | LockLost, R | Service>
}

/**
 * As `Using`, for what does not wait.
 *
 * @since 0.5.0
 * @category models
 */
export interface UsingIfAvailable<Service, Failure, Settings extends ReadonlyArray<unknown>> {
  <A, E, R, Unit = never>(
    bodyOrLockId: Body<A, E, R> | LockId<Unit>,
    ...rest: [Unit] extends [never] ? [lockId: string, ...Settings] : Settings
  ): [Unit] extends [never]
    ? Effect.Effect<Option.Option<A>, E | Failure | LockLost, R | Service>
    : <A, E, R>(body: Body<A, E, R>) => Effect.Effect<Option.Option<A>, E | Failure | LockLost, R | Service>
}

type Run<S> = (service: S, body: Body<unknown, unknown, unknown>, ...args: ReadonlyArray<any>) => unknown

/** A lock id is a string; a body never is. The types are those of what it is assigned to. */
export const dual =
  <S, I>(tag: Effect.Effect<S, never, I>, run: Run<S>): any =>
  (...args: ReadonlyArray<unknown>): unknown => {
    const [first, ...rest] = args
    const use = (body: unknown, args: ReadonlyArray<unknown>) =>
      Effect.flatMap(
        tag,
        (service) =>
          run(service, body as Body<unknown, unknown, unknown>, ...args) as Effect.Effect<unknown, unknown, unknown>
      )
    return Effect.isEffect(first) || typeof first === "function" ? use(first, rest) : (body: unknown) => use(body, args)
  }
