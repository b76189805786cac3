/**
 * What happened to the locks, kept in their storage: who had which lock, and when, and what went wrong.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Schema from "#effect/Schema"
import type * as Scope from "#effect/Scope"
import type * as Stream from "#effect/Stream"
import * as internal from "./core/audit.js"
import * as reading from "./core/auditReading.js"
import { coreOf } from "./core/service.js"
import { thisProcess } from "./core/thisProcess.js"
import { duration, flagFault, invalid, textFault, valid } from "./common/input.js"
import { unknownName } from "./common/optionNames.js"
import { InvalidOptions, type InvalidLockId, type StorageError } from "./LockError.js"
import type { LockEvent } from "./LockEvent.js"
import type * as Storage from "./Storage.js"
import { StorageLock } from "./StorageLock.js"

export type { Counts } from "./core/audit.js"
export type { Entry, Query } from "./core/auditReading.js"
export type { Unreadable } from "./core/auditRows.js"

/**
 * The storages that can keep an audit.
 *
 * @since 0.5.0
 * @category errors
 */
export const offeredBy: ReadonlyArray<string> = [
  "PostgresStorage",
  "MysqlStorage",
  "MssqlStorage",
  "SqliteStorage",
  "MongoStorage",
  "RedisStorage",
  "ElasticsearchStorage",
  "MemoryStorage"
]

/**
 * The storage has no place for an audit.
 *
 * @since 0.5.0
 * @category errors
 */
export class AuditUnavailable extends Schema.TaggedError<AuditUnavailable>("effect-storage-lock/AuditUnavailable")(
  "AuditUnavailable",
  {
    storage: Schema.String,
    /** Those that can keep one. */
    offeredBy: Schema.Array(Schema.String)
  }
) {
  override get message(): string {
    return `${this.storage} has no place for an audit. These have: ${this.offeredBy.join(", ")}`
  }
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Service {
  /** Entries of the namespace in the order in which they were written, read in pages. An entry in doubt is not told twice. */
  readonly read: (query?: reading.Query) => Stream.Stream<reading.Entry, StorageError | InvalidOptions | InvalidLockId>
  /** What has become of this process's events. All are 0 where nothing is written. */
  readonly counts: Effect.Effect<internal.Counts>
}

/**
 * The audit of the locks of one storage.
 *
 * @since 0.5.0
 * @category tags
 */
export class LockAudit extends Context.Service<LockAudit, Service>()("effect-storage-lock/LockAudit") {}

/**
 * @since 0.5.0
 * @category models
 */
export interface PlaceOptions {
  /** What the table, collection, stream or index is called; it stands where the locks do. Default: that of the locks with `_audit` behind it, or as the page of the storage says. */
  readonly name?: string | undefined
  /** Makes it if it is missing. Default `true`. If `false`, see `ddl` of the storage. */
  readonly setup?: boolean | undefined
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Options extends PlaceOptions {
  /** Which events are kept, by their `_tag`. Default: all but `Renewed`, which every hold has again and again. */
  readonly events?: ReadonlyArray<LockEvent["_tag"]> | undefined
  /** How long entries are kept. Default: 30 days. `"infinity"`: for ever. */
  readonly keep?: Duration.Input | "infinity" | undefined
  /** About how many entries are kept. Redis (default: a million) and memory (default: 10 000) have this, others refuse it. */
  readonly mostEntries?: number | undefined
  /** How many events wait for the storage at most; the oldest of more are dropped, and an entry tells how many. Default: 10 000. */
  readonly capacity?: number | undefined
  /** How many are written at once, at most. Default: 500. */
  readonly batch?: number | undefined
  /** How long an event may wait for others to be written with it. Default: a second. */
  readonly every?: Duration.Input | undefined
}

const tags: Readonly<Record<LockEvent["_tag"], true>> = {
  Waiting: true,
  Acquired: true,
  Refused: true,
  TimedOut: true,
  AcquireFailed: true,
  Interrupted: true,
  Renewed: true,
  RenewalFailed: true,
  Late: true,
  Lost: true,
  Released: true,
  Forced: true,
  StorageFailing: true,
  StorageBack: true,
  Dropped: true
}
const allTags = Object.keys(tags) as ReadonlyArray<LockEvent["_tag"]>

const whole = (field: string, value: unknown, least: number, most: number): InvalidOptions | undefined =>
  value === undefined || (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    ? undefined
    : invalid(field, value, `an integer from ${least} to ${most}`)

const eventsFault = (events: unknown): InvalidOptions | undefined =>
  events === undefined ||
  (Array.isArray(events) && events.every((tag) => typeof tag === "string" && Object.hasOwn(tags, tag)))
    ? undefined
    : invalid("events", events, `an array of ${allTags.join(", ")}`)

const placeFault = ({ name, setup }: PlaceOptions): InvalidOptions | undefined => {
  const fault = name === undefined ? undefined : textFault(name)
  return fault === undefined
    ? flagFault("setup", setup)
    : new InvalidOptions({ field: "name", kind: fault, rule: "a name of the storage" })
}

const resolve = (options: Options): internal.Resolved | InvalidOptions => {
  const fault =
    unknownName<Options>(options, {
      name: true,
      setup: true,
      events: true,
      keep: true,
      mostEntries: true,
      capacity: true,
      batch: true,
      every: true
    }) ??
    placeFault(options) ??
    eventsFault(options.events) ??
    whole("mostEntries", options.mostEntries, 1, Number.MAX_SAFE_INTEGER) ??
    whole("capacity", options.capacity, 1, 1_000_000) ??
    whole("batch", options.batch, 1, 1_000)
  if (fault !== undefined) return fault
  const keep =
    options.keep === "infinity"
      ? Number.POSITIVE_INFINITY
      : duration("keep", options.keep ?? "30 days", 'a minute or more, or "infinity"', (_) => _ >= 60_000)
  if (typeof keep !== "number") return keep
  const every = duration("every", options.every ?? "1 second", "from 0 to an hour", (_) => _ <= 3_600_000)
  if (typeof every !== "number") return every
  return {
    events: new Set(options.events ?? allTags.filter((tag) => tag !== "Renewed")),
    capacity: options.capacity ?? 10_000,
    batch: options.batch ?? 500,
    every,
    keep,
    ownerLabel: thisProcess
  }
}

const open = (storage: Storage.Service, options: PlaceOptions & Pick<Options, "mostEntries">) =>
  storage.audit === undefined
    ? Effect.fail(new AuditUnavailable({ storage: storage.guarantees.name, offeredBy }))
    : storage.audit({ name: options.name, setup: options.setup ?? true, mostEntries: options.mostEntries })

const nothing: internal.Counts = { waiting: 0, written: 0, dropped: 0 }

/**
 * What a storage has kept, for those who only read. `namespace`: as that of the locks.
 *
 * @since 0.5.0
 * @category constructors
 */
export const reader = (
  storage: Storage.Service,
  options: PlaceOptions & { readonly namespace?: string | undefined } = {}
): Effect.Effect<Service, InvalidOptions | StorageError | AuditUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    yield* valid(
      unknownName<typeof options>(options, { name: true, setup: true, namespace: true }) ?? placeFault(options) ?? true
    )
    const store = yield* open(storage, { ...options, setup: options.setup ?? false })
    return { read: reading.make(store, options.namespace), counts: Effect.succeed(nothing) }
  })

/**
 * Keeps what happens to the locks of the `StorageLock` layer beneath, while it lives: in their storage, in a table beside theirs. Events are written in the background, in batches; no claim, renewal or
 * release waits for it, and none fails for it. While the storage does not take them, up to `capacity` events wait in memory. When the layer closes, what waits is written within two seconds.
 *
 * Fails with `AuditUnavailable` if the storage has no place for it, and with `StorageError` if the table cannot be made, or is another one.
 *
 * @example
 * ```ts
 * import { LockAudit, StorageLock } from "effect-storage-lock"
 * import * as SqliteStorage from "effect-storage-lock/SqliteStorage"
 * import { Layer } from "effect"
 *
 * const locks = LockAudit.layer({ keep: "90 days" }).pipe(
 *   Layer.provideMerge(StorageLock.layer()),
 *   Layer.provide(SqliteStorage.layer({ filename: "locks.db" }))
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<LockAudit, InvalidOptions | StorageError | AuditUnavailable, StorageLock> =>
  Layer.effect(
    LockAudit,
    Effect.gen(function* () {
      const resolved = yield* valid(resolve(options))
      const core = coreOf(yield* StorageLock)
      if (core === undefined) {
        return yield* new AuditUnavailable({
          storage: "a StorageLock that is no layer of effect-storage-lock",
          offeredBy
        })
      }
      const store = yield* open(core.storage, options)
      const recorder = yield* internal.start(core, store, resolved)
      return { read: reading.make(store, core.namespace), counts: Effect.sync(recorder.counts) }
    })
  )
