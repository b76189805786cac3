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
import { valid } from "./common/input.js"
import { jitter } from "./common/jitter.js"
import { unknownName } from "./common/optionNames.js"
import * as observation from "./common/observation.js"
import * as promised from "./common/promised.js"
import * as renewals from "./common/renewals.js"
import * as storageErrors from "./common/storageErrors.js"
import * as provided from "./common/provided.js"
import { monotonicMicros, wallMicros } from "./common/time.js"
import { inRealTime } from "./common/clocks.js"
import type * as TimeProvider from "./TimeProvider.js"
import type { StorageError } from "./LockError.js"
import { InvalidOptions } from "./LockError.js"
import * as purging from "./kinds/purging.js"
import * as reads from "./kinds/reads.js"
import * as records from "./kinds/records.js"
import * as kinds from "./kinds/storage.js"
import type * as LockKind from "./LockKind.js"
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
 * Two times in microseconds since the Unix epoch, both of one moment. Leases are judged by `earliest`, and last from `latest` on: so a judge never is ahead of whoever wrote the lease.
 *
 * @since 0.5.0
 * @category models
 */
export interface TimeBounds {
  readonly earliest: number
  readonly latest: number
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
  /**
   * Reads the record and the store's clock, and writes what `transition` makes of it, while the store lets nobody else write it: so a slow client gets its turn beside fast ones, to whom it would lose each
   * compare-and-set. It takes more than that does, and keeps others waiting meanwhile, so it is for those who have missed. Leave it out if the store has no such way, or nobody is slow.
   *
   * Nothing that is safe rests on it. The write is conditional on the version all the same, and one that missed, as where two make the first record, fails with `VersionMiss` and is to be tried again. `transition` is
   * pure, and may be called again; if it gives the record that it was given, nothing is written; if it throws, nothing is either, and the effect dies of that. The store frees the record by itself, within
   * seconds, if the client dies in between.
   *
   * @since 0.5.0
   */
  readonly modify?:
    | (<O>(
        lockId: string,
        transition: (record: LockRecord.LockRecord | undefined, now: number) => LockRecord.Step<O>
      ) => Effect.Effect<O, VersionMiss | StorageError>)
    | undefined
  /** Every record, held or free, read in pages. */
  readonly list: Stream.Stream<LockRecord.LockRecord, StorageError>
  /** The store's one clock, in microseconds since the Unix epoch. Leave it out if there is no trustworthy clock: then expiry is observed. */
  readonly time?: Effect.Effect<number, StorageError> | undefined
  /** Of a clock that is not told exactly, which `withTime` gives. In place of `time` it judges, and leases are longer by what it does not know. */
  readonly timeBounds?: Effect.Effect<TimeBounds, StorageError> | undefined
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
  /**
   * The kind of its locks. Default: exclusive locks. Locks of different kinds over one store never overlap on one id.
   *
   * @since 0.5.0
   */
  readonly kind?: LockKind.LockKind | undefined
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
  const fault = unknownName<Options>(options, { versionMissRetry: true, kind: true })
  if (fault !== undefined) throw fault
  const retry = options.versionMissRetry ?? defaultVersionMissRetry
  const observed = store.time === undefined && store.timeBounds === undefined ? observation.make() : undefined
  const name = store.guarantees.name

  const read = reads.make(store, observed)

  const write = (lockId: string, found: LockRecord.LockRecord | undefined, next: LockRecord.LockRecord | undefined) =>
    next === undefined || next === found
      ? Effect.void
      : found === undefined
        ? store.create(lockId, next.version, next)
        : store.update(lockId, found.version, next)

  const readable = (lockId: string, record: LockRecord.LockRecord | undefined): Effect.Effect<void, StorageError> =>
    reads.faultOf(store, lockId, record) ?? Effect.void

  const foreign = (record: LockRecord.LockRecord) =>
    reads.isForeign(store, record) ? readable(record.lockId, record) : Effect.void

  /** One compare-and-set of everything `transition` does to the record. */
  const transact = <O>(
    operation: string,
    lockId: string,
    transition: (record: LockRecord.LockRecord | undefined, now: number, error: number) => LockRecord.Step<O>,
    timeless?: kinds.Timeless
  ): Effect.Effect<O, StorageError> =>
    read(lockId, timeless).pipe(
      Effect.tap(({ found }) => readable(lockId, found)),
      Effect.flatMap(({ error = 0, found, now, seen }) => {
        const { outcome, record } = transition(seen, now, error)
        return Effect.as(write(lockId, found, record === seen ? found : record), outcome)
      }),
      Effect.retry({ schedule: retry, while: (error) => error._tag === "VersionMiss" }),
      Effect.catchTag("VersionMiss", () => storageErrors.conflict(`${name}.${operation}`, lockId, "no"))
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
    transact("claim", request.lockId, (record, now, error) => {
      const judged = LockRecord.claim(record, promised.longer(request, error), now)
      const step = { ...judged, outcome: promised.less(judged.outcome, error) }
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
    transact(
      "renew",
      lockId,
      (record, now, error) => {
        const step = renewals.step(
          record,
          requests.map((request) => promised.longer(request, error)),
          now
        )
        return { ...step, outcome: step.outcome.map((outcome) => promised.less(outcome, error)) }
      },
      (record) => !requests.some(({ holdId }) => record?.holds.includes(holdId))
    ).pipe(
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

  const rest = {
    purge: purging.make(store),
    wakeUps: store.wakeUps ?? Stream.empty,
    guarantees: {
      ...store.guarantees,
      clock: observed !== undefined ? "observed" : store.timeBounds === undefined ? "storage" : "provided"
    }
  } as const

  if (options.kind !== undefined) {
    const means = { store, name, isObserved: observed !== undefined, read, readable, write, retry }
    return Storage.Storage.of(kinds.make(records.make(means), options.kind, rest))
  }

  return Storage.Storage.of({
    claim,
    renew,
    release: (request) =>
      transact("release", request.lockId, (record) => LockRecord.release(record, request), reads.always),
    revoke: (request) => transact("revoke", request.lockId, (record, now) => LockRecord.revoke(record, request, now)),
    get: (lockId) =>
      Effect.flatMap(read(lockId), ({ found, now }) =>
        found === undefined ? Effect.succeedNone : Effect.andThen(foreign(found), snapshot(found, now))
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
    ...rest
  })
}

/**
 * The same store, with a clock. Leases then end by that clock: a waiter that comes late does not wait for a whole lease, and `purge` drops what is old. Observed expiry, which is what the store has without
 * it, depends on no clock; so this is for those who know the clock that they give. All processes must say the same of a store: a record whose lease is observed is refused here (`Schema`), and the other way
 * round.
 *
 * The provider is asked once before this is done, and then at most once in `maxAge`. Fails with `InvalidOptions` for nonsense, and for a store that has a clock of its own; with `StorageError` if the provider
 * cannot be asked, or tells what is no time. `docs/time-providers.md` says what it costs in safety.
 *
 * @example
 * ```ts
 * import { MemoryStorage, Storage, TimeProvider, VersionedStore } from "effect-storage-lock"
 * import { Effect, Layer } from "effect"
 *
 * const storage = Layer.effect(
 *   Storage.Storage,
 *   Effect.gen(function* () {
 *     const store = yield* MemoryStorage.makeVersioned({ time: "none" })
 *     const time = TimeProvider.httpDate({ url: "https://time.internal.example/" })
 *     return VersionedStore.toStorage(yield* VersionedStore.withTime(store, time, { tolerance: "100 millis" }))
 *   })
 * )
 * ```
 *
 * @since 0.5.0
 * @category combinators
 */
export const withTime = (
  store: Service,
  provider: TimeProvider.TimeProvider,
  options: TimeProvider.Options = {}
): Effect.Effect<Service, InvalidOptions | StorageError> =>
  Effect.gen(function* () {
    if (store.time !== undefined || store.timeBounds !== undefined)
      return yield* new InvalidOptions({
        field: "store",
        kind: `${store.guarantees.name}, with a clock of its own`,
        rule: "a store without a clock"
      })
    const settings = yield* valid(provided.resolve(provider, options))
    const made = provided.make(store.guarantees.name, provider, settings)
    const timeBounds = store.guarantees.time === "real" ? inRealTime(made) : made
    yield* timeBounds
    return {
      ...store,
      time: Effect.map(timeBounds, ({ earliest }) => earliest),
      timeBounds,
      guarantees: { ...store.guarantees, leaseSlack: provided.slack(settings) }
    }
  })

/**
 * The `VersionedStore` of the context, with a clock. See `withTime`.
 *
 * @example
 * ```ts
 * import { TimeProvider, VersionedStore } from "effect-storage-lock"
 * import * as EtcdStorage from "effect-storage-lock/EtcdStorage"
 * import { Layer, Redacted } from "effect"
 *
 * const storage = VersionedStore.layerStorage().pipe(
 *   Layer.provide(VersionedStore.layerWithTime(TimeProvider.httpDate({ url: "https://time.internal.example/" }))),
 *   Layer.provide(EtcdStorage.layerVersioned({ url: Redacted.make("http://127.0.0.1:2379"), prefix: "timed-locks/" }))
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layerWithTime = (
  provider: TimeProvider.TimeProvider,
  options?: TimeProvider.Options
): Layer.Layer<VersionedStore, InvalidOptions | StorageError, VersionedStore> =>
  Layer.effect(
    VersionedStore,
    Effect.flatMap(VersionedStore, (store) => withTime(store, provider, options))
  )

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
