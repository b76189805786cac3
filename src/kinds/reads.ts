/** Reads of records for every kind of lock, with the time by which they are judged. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import type { Observations } from "../common/observation.js"
import * as provided from "../common/provided.js"
import * as storageErrors from "../common/storageErrors.js"
import { monotonicMicros } from "../common/time.js"
import type { StorageError } from "../LockError.js"
import * as LockRecords from "../LockRecord.js"
import type { Timeless } from "./gather.js"

/** What a `VersionedStore`, which stands above this, has of it. */
export interface Store {
  readonly get: (lockId: string) => Effect.Effect<Option.Option<LockRecords.LockRecord>, StorageError>
  readonly time?: Effect.Effect<number, StorageError> | undefined
  readonly timeBounds?: Effect.Effect<{ readonly earliest: number; readonly latest: number }, StorageError> | undefined
  readonly guarantees: { readonly name: string }
}

export interface Read {
  readonly found: LockRecords.LockRecord | undefined
  /** The record as `step` is to see it, and the time to judge it by. */
  readonly seen: LockRecords.LockRecord | undefined
  readonly now: number
  /** By how much the clock may be ahead of that. */
  readonly error?: number
}

export const never: Timeless = () => false
export const always: Timeless = () => true

/** Whether a lease has a length where others have an end, or the other way round. Only a clock that is provided is known to tell no such early time. */
export const isForeign = (
  { time, timeBounds }: Store,
  { holds, leaseExpireTime, lockBeginTime }: LockRecords.LockRecord
): boolean =>
  holds.length > 0 &&
  (timeBounds !== undefined
    ? lockBeginTime < provided.firstMicros
    : time === undefined && leaseExpireTime >= provided.firstMicros)

/** Why this is no record to be changed, if it is none. */
export const faultOf = (
  store: Store,
  lockId: string,
  record: LockRecords.LockRecord | undefined
): StorageError | undefined => {
  if (record === undefined) return undefined
  const unreadable = (message: string) => storageErrors.schema(`${store.guarantees.name}.read`, message)
  if (record.format > LockRecords.format)
    return unreadable(
      `the record of ${JSON.stringify(lockId)} has format ${record.format}, newer than ${LockRecords.format}: update effect-storage-lock`
    )
  const isObserved = store.time === undefined && store.timeBounds === undefined
  return isForeign(store, record)
    ? unreadable(
        `the lease of ${JSON.stringify(lockId)} is ${isObserved ? "timed by a clock" : "observed"}, and this layer's are not: all that use a store must say the same of its clock`
      )
    : undefined
}

/** By a clock that is provided. What is the same at any time does not wait for it: so a hold is given back, and its loss is told, also where nobody tells the time. */
const byProvided = (
  store: Store,
  bounds: NonNullable<Store["timeBounds"]>,
  lockId: string,
  timeless: Timeless
): Effect.Effect<Read, StorageError> =>
  Effect.flatMap(store.get(lockId), (option) => {
    const found = Option.getOrUndefined(option)
    return timeless(found)
      ? Effect.succeed({ found, seen: found, now: 0 })
      : Effect.map(bounds, ({ earliest, latest }) => ({ found, seen: found, now: earliest, error: latest - earliest }))
  })

/** `observed`: of a store without a clock. */
export const make =
  (store: Store, observed: Observations | undefined) =>
  (lockId: string, timeless: Timeless = never): Effect.Effect<Read, StorageError> =>
    store.timeBounds !== undefined
      ? byProvided(store, store.timeBounds, lockId, timeless)
      : observed === undefined
        ? Effect.zipWith(store.get(lockId), store.time!, (found, now) => ({
            found: Option.getOrUndefined(found),
            seen: Option.getOrUndefined(found),
            now
          }))
        : Effect.zipWith(store.get(lockId), monotonicMicros, (found, at) => {
            const record = Option.getOrUndefined(found)
            // Observed records hold spans, not times, so `step` runs at time 0; one seen for its whole lease is shown to it as over.
            const left = record === undefined ? 0 : observed.left(record, at)
            return {
              found: record,
              seen: record !== undefined && left <= 0 ? { ...record, leaseExpireTime: 0 } : record,
              now: 0
            }
          })
