/**
 * What many cases do: take a lock, wait for its end, take it over.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import type * as LockRecord from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import * as Case from "./Case.js"

export interface Taken {
  readonly lockId: string
  readonly ownerId: string
  readonly holdId: string
  readonly record: LockRecord.LockRecord
  readonly token: number
  readonly validFor: number
}

/** Claims, and insists on getting it. */
export const take = (
  env: Case.Env,
  storage: Storage.Service,
  request: { readonly lockId: string; readonly ownerId: string; readonly holdId?: string; readonly lease?: number },
  promise = "a free lock is given to who claims it"
): Effect.Effect<Taken, unknown> =>
  Effect.gen(function* () {
    const holdId = request.holdId ?? env.holdId()
    const { lockId, ownerId } = request
    const outcome = yield* storage.claim({ lockId, ownerId, holdId, lease: request.lease ?? env.long })
    const { record, validFor } = yield* Case.claimed(outcome, promise)
    return { lockId, ownerId, holdId, record, token: record.token, validFor }
  })

/** A machine may be busy, but not for this long. Only ends a case that would hang. */
const patience = 90_000_000

/** How much time to let pass before asking again: whole milliseconds, never none, and in real time short enough to notice soon. */
const pause = (env: Case.Env, left: number): number =>
  Math.max(1_000, env.hooks.advance === undefined ? Math.min(left, 100_000) : left) + 1_000

/** Lets time pass until nobody holds the lock, as this connection sees it. */
export const untilFree = (env: Case.Env, storage: Storage.Service, lockId: string): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const start = yield* env.mark
    const real = performance.now()
    for (let tries = 1; ; tries++) {
      const found = yield* storage.get(lockId)
      if (Option.isNone(found)) return
      if (performance.now() - real > patience / 1000 || (env.hooks.advance !== undefined && tries > 100)) {
        return yield* Case.fail("a lease ends by itself: it did not, long after", {
          validFor: found.value.validFor,
          waited: yield* env.since(start)
        })
      }
      yield* env.pass(pause(env, found.value.validFor))
    }
  })

/** Claims again and again until it is had: by others' end of lease, on any clock. */
export const takeOver = (
  env: Case.Env,
  storage: Storage.Service,
  request: LockRecord.Claim
): Effect.Effect<Case.Claimed, unknown> =>
  Effect.gen(function* () {
    const real = performance.now()
    for (let tries = 1; ; tries++) {
      const outcome = yield* storage.claim(request)
      if (outcome._tag === "Claimed") return outcome
      if (performance.now() - real > patience / 1000 || (env.hooks.advance !== undefined && tries > 100)) {
        return yield* Case.fail("an expired lock is given to the next who claims it: it was not", outcome)
      }
      yield* env.pass(pause(env, outcome.retryAfter ?? env.short))
    }
  })

/** For how long, in microseconds, a lease may be kept from others: what is told of it, and what the storage states that it does not know. */
export const longest = (env: Case.Env, lease: number): number =>
  lease + env.guarantees.leaseGranularity + (env.guarantees.leaseSlack ?? 0)

/** A lease lasts to its end by the clock that keeps it, to the microsecond: nobody else's begins before. Observed times are estimates, for people. */
export const tookOver = (
  env: Case.Env,
  before: Taken,
  next: LockRecord.LockRecord
): Effect.Effect<void, Case.ConformanceFailure> =>
  Case.that(
    env.guarantees.clock === "observed" ||
      env.guarantees.clock === "session" ||
      next.lockBeginTime >= before.record.leaseExpireTime,
    `a lock is not taken over before ${before.record.leaseExpireTime}, the end of the lease in its record`,
    next
  )

/** The record, of a lock that must be held. */
export const record = (
  storage: Storage.Service,
  lockId: string,
  promise: string
): Effect.Effect<Storage.Snapshot, unknown> =>
  Effect.flatMap(storage.get(lockId), (found) =>
    Option.isSome(found) ? Effect.succeed(found.value) : Case.fail(`${promise}: it is not held any more`)
  )

export const isFree = (storage: Storage.Service, lockId: string, promise: string): Effect.Effect<void, unknown> =>
  Effect.flatMap(storage.get(lockId), (found) => Case.that(Option.isNone(found), promise, Option.getOrUndefined(found)))

/** Free within a while that is shorter than the lease: what is given back in the background may take a call or two, but does not wait for its lease to end. */
export const isFreeSoon = (storage: Storage.Service, lockId: string, promise: string): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const start = performance.now()
    for (;;) {
      const found = yield* storage.get(lockId)
      if (Option.isNone(found)) return
      if (performance.now() - start > 20_000) return yield* Case.fail(promise, found.value)
      // In real time, as the lock service waits: a clock that is moved would bring the end of the lease.
      yield* Effect.sleep("20 millis")
    }
  })

export const renewOne = (
  storage: Storage.Service,
  request: LockRecord.Renew
): Effect.Effect<LockRecord.RenewOutcome, unknown> =>
  Effect.flatMap(storage.renew([request]), (answers): Effect.Effect<LockRecord.RenewOutcome, unknown> => {
    const answer = answers[0]
    return answer === undefined || answers.length > 1
      ? Case.fail("renew answers each request: one answer for one request", answers)
      : answer._tag === "StorageError"
        ? Effect.fail(answer)
        : Effect.succeed(answer)
  })

export const renewed = (
  outcome: LockRecord.RenewOutcome,
  promise: string
): Effect.Effect<Extract<LockRecord.RenewOutcome, { readonly _tag: "Renewed" }>, Case.ConformanceFailure> =>
  outcome._tag === "Renewed" ? Effect.succeed(outcome) : Case.fail(`${promise}: expected Renewed`, outcome)

/** `validFor`s are told by clocks that may be slewed while we look. */
export const clockSlack = 1_000_000
