/**
 * Locks in the memory of one process: for tests, and for programs that are one process for now.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "#effect/Stream"
import { freeFor } from "../../common/freeFor.js"
import { wallMicros } from "../../common/time.js"
import { unknownName } from "../../common/optionNames.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import { type Ports, portsOf } from "../shared/layers.js"
import * as audit from "./audit.js"
import * as VersionedStore from "../../VersionedStore.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The storage's clock, microseconds since the Unix epoch. Default: the `Clock` in the context, which counts whole milliseconds. */
  readonly time?: Effect.Effect<number> | undefined
  /** The grain of `time`: leases are rounded up to a multiple of it. Default: a millisecond. */
  readonly leaseGranularity?: Duration.Input | undefined
}

const millisecond = 1_000

const guarantees: Storage.Guarantees = {
  name: "MemoryStorage",
  clock: "storage",
  time: "program",
  leaseGranularity: millisecond,
  shortestLease: 1_000,
  longestId: 4 * 255
}

/** These cannot fail, as a type: a name that is no option's is a defect. */
const checked = (options: Options | VersionedOptions): Effect.Effect<void> =>
  Effect.suspend(() => {
    const fault = unknownName<Options>(options, { time: true, leaseGranularity: true })
    return fault === undefined ? Effect.void : Effect.die(fault)
  })

/** In whole microseconds. One that is too coarse costs nothing; one too fine would promise more than the clock keeps. */
const grainOf = (asked: Duration.Input | undefined): number =>
  asked === undefined ? millisecond : Math.max(1, Math.ceil(Duration.toMillis(asked) * 1000))

/** The smaller port over records: it writes what it is told to, and whoever makes the records judges. */
const compareAndSet = (
  records: Map<string, LockRecord.LockRecord>,
  freed: (lockId: string) => Effect.Effect<unknown>
): Omit<VersionedStore.Service, "guarantees"> => {
  const at = (lockId: string, version: number | undefined, write: () => void) =>
    Effect.suspend(() => {
      if (records.get(lockId)?.version !== version) return new VersionedStore.VersionMiss({ lockId })
      write()
      return Effect.void
    })
  return {
    create: (lockId, _version, record) => at(lockId, undefined, () => records.set(lockId, record)),
    update: (lockId, expected, record) =>
      Effect.suspend(() => {
        const before = records.get(lockId)
        const written = at(lockId, expected, () => records.set(lockId, record))
        // One may go out as another comes in.
        return before?.holds.some((id) => !record.holds.includes(id)) === true
          ? Effect.tap(written, () => freed(lockId))
          : written
      }),
    delete: (lockId, expected) => at(lockId, expected, () => records.delete(lockId)),
    get: (lockId) => Effect.sync(() => Option.fromNullishOr(records.get(lockId))),
    list: Stream.suspend(() => Stream.fromIterable(Array.from(records.values())))
  }
}

/**
 * Both ports over one new, empty memory.
 *
 * @since 0.5.0
 * @category constructors
 */
export const makePorts = (options: Options = {}): Effect.Effect<Ports> =>
  Effect.gen(function* () {
    yield* checked(options)
    const time = options.time ?? wallMicros
    const records = new Map<string, LockRecord.LockRecord>()
    const leaseGranularity = grainOf(options.leaseGranularity)
    const freed = yield* PubSub.sliding<string>(1024)

    const run = <R extends LockRecord.Request>(request: R, now: number) => {
      const step = LockRecord.step(records.get(request.lockId), request, now)
      if (step.record !== undefined) records.set(request.lockId, step.record)
      return step.outcome
    }
    const at = <R extends LockRecord.Request>(request: R) => Effect.map(time, (now) => run(request, now))
    const snapshot = (record: LockRecord.LockRecord, now: number) =>
      LockRecord.isLive(record, now) ? Option.some({ record, validFor: record.leaseExpireTime - now }) : Option.none()
    const wake = (lockId: string) => PubSub.publish(freed, lockId)

    const storage = Storage.Storage.of({
      claim: (request) => at({ _tag: "Claim", ...request }),
      renew: (requests) =>
        Effect.map(time, (now) => requests.map((request) => run({ _tag: "Renew", ...request }, now))),
      release: (request) =>
        Effect.tap(at({ _tag: "Release", ...request }), (outcome) =>
          outcome._tag === "Released" && outcome.remaining === 0 ? wake(request.lockId) : Effect.void
        ),
      revoke: (request) => Effect.tap(at({ _tag: "Revoke", ...request }), () => wake(request.lockId)),
      get: (lockId) =>
        Effect.map(time, (now) => Option.flatMap(Option.fromNullishOr(records.get(lockId)), (_) => snapshot(_, now))),
      list: Stream.unwrap(
        Effect.map(time, (now) =>
          Stream.fromIterable(Array.from(records.values()).flatMap((record) => Option.toArray(snapshot(record, now))))
        )
      ),
      purge: (olderThan) =>
        Effect.map(time, (now) => {
          const before = now - freeFor(olderThan)
          const old = Array.from(records.values()).filter((record) => record.leaseExpireTime < before)
          for (const record of old) records.delete(record.lockId)
          return old.length
        }),
      wakeUps: Stream.fromPubSub(freed),
      audit: audit.make(time),
      guarantees: { ...guarantees, leaseGranularity }
    })
    const versioned = VersionedStore.VersionedStore.of({
      ...compareAndSet(records, wake),
      time,
      wakeUps: storage.wakeUps,
      guarantees: { ...guarantees, name: "MemoryStorage.versioned", leaseGranularity }
    })
    return { storage, versioned }
  })

/**
 * A new, empty storage.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<Storage.Service> =>
  Effect.map(makePorts(options), ({ storage }) => storage)

/**
 * @since 0.1.0
 * @category models
 */
export interface VersionedOptions {
  /** The store's clock, microseconds since the Unix epoch. `"none"`: a store without one, whose leases are observed. Default: the `Clock` in the context. */
  readonly time?: Effect.Effect<number> | "none" | undefined
  /** The grain of `time`: leases are rounded up to a multiple of it. Default: a millisecond; with `"none"` a microsecond, since those who wait measure by their monotonic clocks. */
  readonly leaseGranularity?: Duration.Input | undefined
}

/**
 * A new, empty store with nothing but compare-and-set.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeVersioned = (options: VersionedOptions = {}): Effect.Effect<VersionedStore.Service> =>
  Effect.map(checked(options), () =>
    VersionedStore.VersionedStore.of({
      ...compareAndSet(new Map(), () => Effect.void),
      time: options.time === "none" ? undefined : (options.time ?? wallMicros),
      guarantees: {
        ...guarantees,
        name: "MemoryStorage.versioned",
        leaseGranularity:
          options.time === "none" && options.leaseGranularity === undefined ? 1 : grainOf(options.leaseGranularity)
      }
    })
  )

/**
 * A memory of its own for each build of the layer, for locks of all kinds.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Storage.Storage | VersionedStore.VersionedStore> = portsOf(
  Effect.suspend(() => makePorts())
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layerVersioned: Layer.Layer<VersionedStore.VersionedStore> = Layer.effect(
  VersionedStore.VersionedStore,
  Effect.suspend(() => makeVersioned())
)
