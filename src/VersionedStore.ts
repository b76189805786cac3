/**
 * The smaller port: a store that can compare-and-set a record by its version. `toStorage` turns it into a lock storage.
 *
 * Implement it for stores that have nothing better than compare-and-set. Every backend implements it too, as the base for locks of other kinds.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import * as Schema from "#effect/Schema"
import * as Stream from "#effect/Stream"
import { freeFor } from "./common/freeFor.js"
import { jitter } from "./common/jitter.js"
import { unknownName } from "./common/optionNames.js"
import * as observation from "./common/observation.js"
import * as renewals from "./common/renewals.js"
import { monotonicMicros, wallMicros } from "./common/time.js"
import { StorageError } from "./LockError.js"
import * as LockRecord from "./LockRecord.js"
import * as Storage from "./Storage.js"

/**
 * The record is not at the expected version or, for `create`, already exists. Nothing was written. It is the only conflict of this port.
 *
 * @since 0.1.0
 * @category errors
 */
export class VersionMiss extends Schema.TaggedError<VersionMiss>("effect-storage-lock/VersionMiss")("VersionMiss", {
  lockId: Schema.String
}) {
  override get message(): string {
    return `the record of ${JSON.stringify(this.lockId)} was changed by somebody else`
  }
}

/**
 * Each write is atomic, as durable as the store, and outside the program's own transaction. Reads see the newest acknowledged write.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Writes the record if there is none. `version` is `record.version`. */
  readonly create: (
    lockId: string,
    version: number,
    record: LockRecord.LockRecord
  ) => Effect.Effect<void, VersionMiss | StorageError>
  /** Replaces the record if it is at `expectedVersion`. */
  readonly update: (
    lockId: string,
    expectedVersion: number,
    record: LockRecord.LockRecord
  ) => Effect.Effect<void, VersionMiss | StorageError>
  /** Removes the record if it is at `expectedVersion`. */
  readonly delete: (lockId: string, expectedVersion: number) => Effect.Effect<void, VersionMiss | StorageError>
  readonly get: (lockId: string) => Effect.Effect<Option.Option<LockRecord.LockRecord>, StorageError>
  /** Every record, held or free, read in pages. */
  readonly list: Stream.Stream<LockRecord.LockRecord, StorageError>
  /** The store's one clock, in microseconds since the Unix epoch. Leave it out if there is no trustworthy clock: then expiry is observed. */
  readonly time?: Effect.Effect<number, StorageError> | undefined
  /** See `Storage`. If absent, waiters poll. */
  readonly wakeUps?: Stream.Stream<string> | undefined
  readonly guarantees: Omit<Storage.Guarantees, "clock">
}

/**
 * @since 0.1.0
 * @category tags
 */
export class VersionedStore extends Context.Service<VersionedStore, Service>()("effect-storage-lock/VersionedStore") {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * When to try again after another client was faster. When the schedule ends, the operation fails with reason `Conflict`. Default: three immediate tries,
   * then jittered and growing pauses, about 30 tries in all.
   */
  readonly versionMissRetry?: Schedule.Schedule<unknown> | undefined
}

/**
 * @since 0.1.0
 * @category constants
 */
export const defaultVersionMissRetry: Schedule.Schedule<unknown> = Schedule.recurs(3).pipe(
  Schedule.concat(
    Schedule.max([
      Schedule.min([Schedule.exponential("2 millis", 1.5), Schedule.spaced("100 millis")]).pipe(jitter(0.2, 1.8)),
      Schedule.recurs(27)
    ])
  )
)

/**
 * A lock storage over compare-and-set. It reads the record, applies `LockRecord.step`, writes the result if the version is unchanged, and starts again if not.
 *
 * With `time`, leases end by the store's clock. Without it they are **observed**: the record holds the length of its lease, and a waiter takes over only
 * after it has seen one unchanged version for that whole length on its own monotonic clock. This needs no correct clock, only clocks of about the same rate.
 * The price is that a waiter that comes late waits for a whole lease.
 *
 * @example
 * ```ts
 * import { MemoryStorage, Storage, VersionedStore } from "effect-storage-lock"
 * import { Effect, Layer } from "effect"
 *
 * const storage = Layer.effect(Storage.Storage, Effect.map(MemoryStorage.makeVersioned(), (store) => VersionedStore.toStorage(store)))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const toStorage = (store: Service, options: Options = {}): Storage.Service => {
  const fault = unknownName<Options>(options, { versionMissRetry: true })
  if (fault !== undefined) throw fault
  const retry = options.versionMissRetry ?? defaultVersionMissRetry
  const observed = store.time === undefined ? observation.make() : undefined
  const name = store.guarantees.name

  /** The record as `step` is to see it, the time to judge it by, and when this was. */
  const read = (lockId: string) =>
    observed === undefined
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

  const write = (lockId: string, found: LockRecord.LockRecord | undefined, next: LockRecord.LockRecord | undefined) =>
    next === undefined || next === found
      ? Effect.void
      : found === undefined
        ? store.create(lockId, next.version, next)
        : store.update(lockId, found.version, next)

  const readable = (lockId: string, record: LockRecord.LockRecord | undefined) =>
    record !== undefined && record.format > LockRecord.format
      ? Effect.fail(
          new StorageError({
            reason: "Schema",
            operation: `${name}.read`,
            isRetryable: false,
            applied: "no",
            message: `the record of ${JSON.stringify(lockId)} has format ${record.format}, newer than ${LockRecord.format}: update effect-storage-lock`
          })
        )
      : Effect.void

  /** One compare-and-set of everything `transition` does to the record. */
  const transact = <O>(
    operation: string,
    lockId: string,
    transition: (record: LockRecord.LockRecord | undefined, now: number) => LockRecord.Step<O>
  ): Effect.Effect<O, StorageError> =>
    read(lockId).pipe(
      Effect.tap(({ found }) => readable(lockId, found)),
      Effect.flatMap(({ found, now, seen }) => {
        const { outcome, record } = transition(seen, now)
        return Effect.as(write(lockId, found, record === seen ? found : record), outcome)
      }),
      Effect.retry({ schedule: retry, while: (error) => error._tag === "VersionMiss" }),
      Effect.catchTag(
        "VersionMiss",
        () =>
          new StorageError({
            reason: "Conflict",
            operation: `${name}.${operation}`,
            isRetryable: true,
            applied: "no",
            message: `gave up on ${JSON.stringify(lockId)} after too many version misses: too many processes change it at once`
          })
      )
    )

  /** In an outcome for people, spans become estimated times. */
  const estimate = (observed: observation.Observations, record: LockRecord.LockRecord) =>
    Effect.zipWith(monotonicMicros, wallMicros, (at, wall) => observed.estimate(record, at, wall))

  const snapshot = (record: LockRecord.LockRecord, now: number): Effect.Effect<Option.Option<Storage.Snapshot>> =>
    observed === undefined
      ? Effect.succeed(
          LockRecord.isLive(record, now)
            ? Option.some({ record, validFor: record.leaseExpireTime - now })
            : Option.none()
        )
      : Effect.map(estimate(observed, record), ({ left, record: view }) =>
          record.holds.length > 0 && left > 0 ? Option.some({ record: view, validFor: left }) : Option.none()
        )

  const claim: Storage.Service["claim"] = (request) =>
    transact("claim", request.lockId, (record, now) => {
      const step = LockRecord.claim(record, request, now)
      // Waiters may have watched this version since the first application: a repeat must show them a new one, or its `validFor` would promise too much.
      if (observed === undefined || step.outcome._tag !== "Claimed" || step.record !== record) return step
      const rewritten = { ...record!, version: record!.version + 1 }
      return { record: rewritten, outcome: { ...step.outcome, record: rewritten } }
    }).pipe(
      Effect.flatMap((outcome): Effect.Effect<LockRecord.ClaimOutcome> => {
        if (observed === undefined) return Effect.succeed(outcome)
        if (outcome._tag === "Claimed") {
          return Effect.map(estimate(observed, outcome.record), ({ record }) => ({ ...outcome, record }))
        }
        return Effect.map(estimate(observed, outcome.holder!), ({ left, record }) => ({
          _tag: "Held",
          holder: record,
          retryAfter: Math.max(left, 1)
        }))
      })
    )

  const renewOne = (lockId: string, requests: ReadonlyArray<LockRecord.Renew>) =>
    transact("renew", lockId, (record, now) => {
      let current = record
      const outcomes = requests.map((request) => {
        const { outcome, record } = LockRecord.renew(current, request, now)
        current = record
        return outcome
      })
      return { record: current, outcome: outcomes }
    }).pipe(
      Effect.flatMap((outcomes) =>
        observed === undefined
          ? Effect.succeed(outcomes)
          : Effect.map(wallMicros, (wall) =>
              outcomes.map((outcome) =>
                outcome._tag === "Renewed" ? { ...outcome, leaseExpireTime: wall + outcome.validFor } : outcome
              )
            )
      )
    )

  const renew: Storage.Service["renew"] = (requests) =>
    renewals.byLock(requests, (groups) =>
      Effect.forEach(groups, ([lockId, group]) => Effect.catch(renewOne(lockId, group), Effect.succeed), {
        concurrency: 16
      })
    )

  return Storage.Storage.of({
    claim,
    renew,
    release: (request) => transact("release", request.lockId, (record) => LockRecord.release(record, request)),
    revoke: (request) => transact("revoke", request.lockId, (record, now) => LockRecord.revoke(record, request, now)),
    get: (lockId) =>
      Effect.flatMap(read(lockId), ({ found, now }) =>
        found === undefined ? Effect.succeedNone : snapshot(found, now)
      ),
    list: Stream.unwrap(
      Effect.map(store.time ?? Effect.succeed(0), (now) =>
        store.list.pipe(
          Stream.mapEffect((record) =>
            Effect.andThen(
              observed === undefined
                ? Effect.void
                : Effect.map(monotonicMicros, (at) => void observed.left(record, at)),
              snapshot(record, now)
            )
          ),
          Stream.filter(Option.isSome),
          Stream.map(({ value }) => value)
        )
      )
    ),
    purge: (olderThan) =>
      store.time === undefined
        ? Effect.succeed(0)
        : Effect.flatMap(store.time, (now) => {
            const before = now - freeFor(olderThan)
            return store.list.pipe(
              Stream.filter((record) => record.leaseExpireTime < before),
              Stream.mapEffect((record) =>
                store.delete(record.lockId, record.version).pipe(
                  Effect.as(1),
                  // Somebody took it meanwhile: then it is not to be dropped.
                  Effect.catchTag("VersionMiss", () => Effect.succeed(0))
                )
              ),
              Stream.runSum
            )
          }),
    wakeUps: store.wakeUps ?? Stream.empty,
    guarantees: { ...store.guarantees, clock: observed === undefined ? "storage" : "observed" }
  })
}

/**
 * The lock storage over the `VersionedStore` in the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStorage = (options?: Options): Layer.Layer<Storage.Storage, never, VersionedStore> =>
  Layer.effect(
    Storage.Storage,
    Effect.map(VersionedStore, (store) => toStorage(store, options))
  )
