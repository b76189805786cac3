/**
 * Locks in the memory of one process: for tests, and for programs that are one process for now.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as direct from "../../common/direct.js"
import { freeFor } from "../../common/freeFor.js"
import { wallMicros, wallMicrosOf } from "../../common/time.js"
import { unknownName } from "../../common/optionNames.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import { board } from "../shared/hints.js"
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
  freed: (lockId: string) => void
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
        return at(lockId, expected, () => {
          records.set(lockId, record)
          // One may go out as another comes in.
          if (before?.holds.some((id) => !record.holds.includes(id)) === true) freed(lockId)
        })
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
    const hints = board()

    const run = <R extends LockRecord.Request>(request: R, now: number) => {
      const step = LockRecord.step(records.get(request.lockId), request, now)
      if (step.record !== undefined) records.set(request.lockId, step.record)
      return step.outcome
    }
    const claim = (request: LockRecord.Claim, now: number) => run({ _tag: "Claim", ...request }, now)
    const release = (request: LockRecord.Release, now: number) => {
      const outcome = run({ _tag: "Release", ...request }, now)
      if (outcome._tag === "Released" && outcome.remaining === 0) hints.tell(request.lockId)
      return outcome
    }
    const snapshot = (record: LockRecord.LockRecord, now: number) =>
      LockRecord.isLive(record, now) ? Option.some({ record, validFor: record.leaseExpireTime - now }) : Option.none()

    const storage = Storage.Storage.of({
      claim: (request) => Effect.map(time, (now) => claim(request, now)),
      renew: (requests) =>
        Effect.map(time, (now) => requests.map((request) => run({ _tag: "Renew", ...request }, now))),
      release: (request) => Effect.map(time, (now) => release(request, now)),
      revoke: (request) =>
        Effect.map(time, (now) => {
          const outcome = run({ _tag: "Revoke", ...request }, now)
          hints.tell(request.lockId)
          return outcome
        }),
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
      wakeUps: hints.stream(Effect.void),
      audit: audit.make(time),
      guarantees: { ...guarantees, leaseGranularity }
    })
    const versioned = VersionedStore.VersionedStore.of({
      ...compareAndSet(records, hints.tell),
      time,
      wakeUps: storage.wakeUps,
      guarantees: { ...guarantees, name: "MemoryStorage.versioned", leaseGranularity }
    })
    // A clock of somebody's own is an effect.
    if (options.time === undefined)
      direct.offer(storage, {
        claim: (request, _, done, clock) => done(Exit.succeed(claim(request, wallMicrosOf(clock)))),
        release: (request, _, done, clock) => done(Exit.succeed(release(request, wallMicrosOf(clock))))
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
      ...compareAndSet(new Map(), () => {}),
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
