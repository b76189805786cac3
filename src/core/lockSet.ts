/** Several holds as one. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import { inTurn } from "#effect/fibers"
import * as Option from "#effect/Option"
import type { LockLost } from "../LockError.js"
import { releaseAll } from "./all.js"
import { type Lock, type LockSet, LockSetTypeId } from "./api.js"
import { type Ground, guard } from "./guard.js"
import type { Hold } from "./hold.js"

const least = (left: ReadonlyArray<Duration.Duration>): Duration.Duration =>
  left.reduce((shortest, one) => Duration.min(shortest, one))

const lockOf = (locks: ReadonlyArray<Lock>, lockId: string): Option.Option<Lock> =>
  Option.fromNullishOr(locks.find((lock) => lock.lockId === lockId))

export class HeldLocks<Locks extends ReadonlyArray<Lock>> implements LockSet<Locks>, Ground {
  /** The first loss of any. */
  private first: LockLost | undefined

  constructor(
    private readonly holds: ReadonlyArray<Hold>,
    readonly locks: Locks
  ) {
    for (const hold of holds) hold.onLost((error) => (this.first ??= error))
  }

  get [LockSetTypeId](): typeof LockSetTypeId {
    return LockSetTypeId
  }

  readonly get = (lockId: string): Option.Option<Lock> => lockOf(this.locks, lockId)

  readonly unsafeRemainingMillis = (): number =>
    this.holds.reduce((shortest, hold) => Math.min(shortest, hold.remaining()), Number.POSITIVE_INFINITY)

  get check(): Effect.Effect<Duration.Duration, LockLost> {
    return Effect.suspend(() => {
      const left = this.unsafeRemainingMillis()
      return left > 0
        ? Effect.succeed(Duration.millis(left))
        : Effect.fail(this.first ?? this.holds.find((hold) => hold.remaining() <= 0)!.failure())
    })
  }

  /** Tells of the first loss, also at each that follows. */
  readonly onLost = (tell: (error: LockLost) => void): (() => void) => {
    const forget = this.holds.map((hold) => hold.onLost(() => tell(this.first!)))
    return () => forget.forEach((one) => one())
  }

  get lost(): Effect.Effect<never, LockLost> {
    return Effect.callback<never, LockLost>((resume) => {
      const forget = this.onLost((error) => resume(inTurn(Effect.fail(error))))
      return Effect.sync(forget)
    })
  }

  readonly failureAtEnd = (): LockLost | undefined => {
    const failures = this.holds.flatMap((hold) => hold.failureAtEnd() ?? [])
    return failures.length === 0 ? undefined : this.first
  }

  get renew(): LockSet["renew"] {
    return Effect.map(
      Effect.forEach(this.locks, (lock) => lock.renew, { concurrency: "unbounded" }),
      least
    )
  }

  readonly guard: LockSet["guard"] = (self) => guard(this, self)

  get release(): Effect.Effect<void> {
    return releaseAll(this.holds)
  }
}

/** Sets of several layers as one. `locks` are all of theirs, in any order. */
export const joined = <Locks extends ReadonlyArray<Lock>>(
  sets: ReadonlyArray<LockSet>,
  locks: Locks
): LockSet<Locks> => ({
  [LockSetTypeId]: LockSetTypeId,
  locks,
  get: (lockId) => lockOf(locks, lockId),
  unsafeRemainingMillis: () =>
    sets.reduce((shortest, set) => Math.min(shortest, set.unsafeRemainingMillis()), Number.POSITIVE_INFINITY),
  check: Effect.map(
    Effect.forEach(sets, (set) => set.check),
    least
  ),
  lost: sets.map((set) => set.lost).reduce((first, other) => Effect.raceFirst(first, other)),
  renew: Effect.map(
    Effect.forEach(sets, (set) => set.renew, { concurrency: "unbounded" }),
    least
  ),
  guard: (self) => sets.reduceRight<typeof self>((body, set) => set.guard(body) as typeof self, self),
  release: Effect.forEach(sets, (set) => set.release, { concurrency: "unbounded", discard: true })
})
