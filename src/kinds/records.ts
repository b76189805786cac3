/** What a kind needs that several may hold at once: the record as it was read, and the times. */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Random from "#effect/Random"
import type * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as storageErrors from "../common/storageErrors.js"
import { monotonicMicros, wallMicros } from "../common/time.js"
import type { StorageError } from "../LockError.js"
import type * as LockRecord from "../LockRecord.js"
import * as Storage from "../Storage.js"
import { faultOf, never, type make as reads, type Read, type Store } from "./reads.js"
import type * as kinds from "./storage.js"

/** Of the port, which stands above this. */
interface VersionMiss {
  readonly _tag: "VersionMiss"
}

export interface Means {
  readonly store: Store & {
    readonly list: Stream.Stream<LockRecord.LockRecord, StorageError>
    readonly modify?:
      | (<O>(
          lockId: string,
          transition: (record: LockRecord.LockRecord | undefined, now: number) => LockRecord.Step<O>
        ) => Effect.Effect<O, StorageError | VersionMiss>)
      | undefined
  }
  readonly name: string
  readonly isObserved: boolean
  readonly read: ReturnType<typeof reads>
  /** Fails, where it is no record to be changed. */
  readonly readable: (lockId: string, record: LockRecord.LockRecord | undefined) => Effect.Effect<void, StorageError>
  readonly write: (
    lockId: string,
    found: LockRecord.LockRecord | undefined,
    next: LockRecord.LockRecord | undefined
  ) => Effect.Effect<void, StorageError | VersionMiss>
  readonly retry: Schedule.Schedule<unknown>
}

/** So long at most, in milliseconds, whatever time there is. */
const longestStubborn = 10_000

/**
 * After a miss, and so long a try, in microseconds, a change is made by `modify`. Who is near the store wins one of many compare-and-sets in this time, and keeps nobody out meanwhile; who is far loses each.
 */
const patience = { urgent: 0, claim: 50_000 }

export const make = ({ isObserved, name, read, readable, retry, store, write }: Means): kinds.Records => {
  const times = Effect.zipWith(monotonicMicros, wallMicros, (at, wall) => ({ at, wall }))
  const timed = (found: LockRecord.LockRecord | undefined, now: number, ahead: number) =>
    Effect.map(times, ({ at, wall }): kinds.Read => ({ found, now, ahead, at, wall }))
  const unjudged = (lockId: string, timeless: kinds.Timeless): Effect.Effect<Read, StorageError> =>
    isObserved
      ? Effect.map(store.get(lockId), (found) => ({ found: Option.getOrUndefined(found), seen: undefined, now: 0 }))
      : read(lockId, timeless)
  const readTimed = (lockId: string, timeless: kinds.Timeless = never) =>
    Effect.tap(
      Effect.flatMap(unjudged(lockId, timeless), ({ error = 0, found, now }) => timed(found, now, error)),
      ({ found }) => readable(lockId, found)
    )
  /** What keeps and frees goes on for as long as its caller waits: a hold is not lost because others are faster. */
  const stubborn = <A>(
    once: Effect.Effect<A, StorageError | VersionMiss>
  ): Effect.Effect<A, StorageError | VersionMiss> =>
    Effect.flatMap(Effect.all([Storage.TimeLimit, monotonicMicros]), ([limit, start]) => {
      const end = start + Math.min(Duration.toMillis(limit), longestStubborn) * 1000
      const again: Effect.Effect<A, StorageError | VersionMiss> = Effect.catchTag(once, "VersionMiss", (miss) =>
        Effect.flatMap(Effect.all([monotonicMicros, Random.nextBetween(0, 4)]), ([now, pause]) =>
          now < end ? Effect.andThen(Effect.sleep(pause), again) : Effect.fail(miss)
        )
      )
      return again
    })
  /** By compare-and-set, and after some time of misses by `modify`, where the store has that. */
  const thenModify = <O>(
    lockId: string,
    urgency: kinds.Urgency,
    byVersion: Effect.Effect<O, StorageError | VersionMiss>,
    transition: (read: kinds.Read) => LockRecord.Step<O>
  ): Effect.Effect<O, StorageError | VersionMiss> => {
    const { modify } = store
    if (modify === undefined || store.time === undefined || store.timeBounds !== undefined) return byVersion
    const alone = Effect.flatten(
      modify(lockId, (found, now): LockRecord.Step<Effect.Effect<O, StorageError>> => {
        const fault = faultOf(store, lockId, found)
        if (fault !== undefined) return { record: found, outcome: Effect.fail(fault) }
        const { outcome, record } = transition({ found, now, ahead: 0, at: 0, wall: 0 })
        return { record, outcome: Effect.succeed(outcome) }
      })
    )
    let isMissed = false
    let since: number | undefined
    return Effect.flatMap(monotonicMicros, (now) => {
      since ??= now
      if (isMissed && now - since >= patience[urgency]) return alone
      return Effect.tapError(byVersion, ({ _tag }) => Effect.sync(() => (isMissed ||= _tag === "VersionMiss")))
    })
  }
  return {
    isObserved,
    read: (lockId) => readTimed(lockId),
    change: (lockId, urgency, transition, timeless) => {
      const byVersion = Effect.flatMap(readTimed(lockId, timeless), (read) => {
        const { outcome, record } = transition(read)
        return Effect.as(write(lockId, read.found, record), outcome)
      })
      const once = thenModify(lockId, urgency, byVersion, transition)
      return Effect.catchTag(
        urgency === "urgent"
          ? stubborn(once)
          : Effect.retry(once, { schedule: retry, while: (error) => error._tag === "VersionMiss" }),
        "VersionMiss",
        () => storageErrors.conflict(`${name}.change`, lockId, "no")
      )
    },
    list: Stream.unwrap(
      Effect.map(store.time ?? Effect.succeed(0), (now) =>
        Stream.mapEffect(store.list, (record) => timed(record, now, 0))
      )
    )
  }
}
