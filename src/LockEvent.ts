/**
 * What happens to the locks of a layer, as `StorageLock.events` tells it.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type * as DateTime from "#effect/DateTime"
import type * as Duration from "#effect/Duration"
import type * as Option from "#effect/Option"
import * as Schema from "#effect/Schema"
import { LockTimeout, LostReason, StorageError } from "./LockError.js"
import { LockInformation } from "./LockInformation.js"

/**
 * Who an event is about.
 *
 * @since 0.5.0
 * @category models
 */
export interface Subject {
  /** By this process's clock. */
  readonly at: DateTime.Utc
  readonly lockId: string
  readonly ownerId: string
  /** Tells people who the owner is. Empty if the layer has none. */
  readonly ownerLabel: string
}

/**
 * The same of a hold.
 *
 * @since 0.5.0
 * @category models
 */
export interface HoldSubject extends Subject {
  /** Fencing token. */
  readonly token: number
}

/**
 * An acquire could not go at once, and waits. Told once for each acquire. `holder` is `None` if the storage does not name one, or if it waits behind others of this process.
 *
 * @since 0.5.0
 * @category models
 */
export interface Waiting extends Subject {
  readonly _tag: "Waiting"
  readonly holder: Option.Option<LockInformation>
}

/**
 * An acquire, or a try, has the lock.
 *
 * @since 0.5.0
 * @category models
 */
export interface Acquired extends HoldSubject {
  readonly _tag: "Acquired"
  readonly waited: Duration.Duration
  /** How often the storage was asked. */
  readonly attempts: number
}

/**
 * A try found that somebody else has the lock.
 *
 * @since 0.5.0
 * @category models
 */
export interface Refused extends Subject {
  readonly _tag: "Refused"
  readonly holder: Option.Option<LockInformation>
}

/**
 * An acquire waited for as long as it may.
 *
 * @since 0.5.0
 * @category models
 */
export interface TimedOut extends Subject {
  readonly _tag: "TimedOut"
  readonly waited: Duration.Duration
  readonly error: LockTimeout
}

/**
 * An acquire or a try failed, since the storage did.
 *
 * @since 0.5.0
 * @category models
 */
export interface AcquireFailed extends Subject {
  readonly _tag: "AcquireFailed"
  readonly waited: Duration.Duration
  readonly error: StorageError
}

/**
 * An acquire was interrupted while it waited.
 *
 * @since 0.5.0
 * @category models
 */
export interface Interrupted extends Subject {
  readonly _tag: "Interrupted"
  readonly waited: Duration.Duration
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Renewed extends HoldSubject {
  readonly _tag: "Renewed"
  /** When the lease now ends, by the storage's clock. */
  readonly leaseExpireTime: DateTime.Utc
}

/**
 * A renewal failed, and will be tried again.
 *
 * @since 0.5.0
 * @category models
 */
export interface RenewalFailed extends HoldSubject {
  readonly _tag: "RenewalFailed"
  readonly error: StorageError
}

/**
 * Half of what was left of the lease when it should have been renewed has passed: the hold will be lost unless a renewal gets through.
 *
 * @since 0.5.0
 * @category models
 */
export interface Late extends HoldSubject {
  readonly _tag: "Late"
  /** For how long the lock is still surely held. */
  readonly remaining: Duration.Duration
}

/**
 * @since 0.5.0
 * @category models
 */
export interface Lost extends HoldSubject {
  readonly _tag: "Lost"
  readonly reason: LostReason
  readonly detail?: string | undefined
  readonly held: Duration.Duration
}

/**
 * A hold was given back by its program.
 *
 * @since 0.5.0
 * @category models
 */
export interface Released extends HoldSubject {
  readonly _tag: "Released"
  readonly held: Duration.Duration
  /** Whether the storage has said so. Else it is tried again in the background, and the lock may look held until its lease ends. */
  readonly confirmed: boolean
}

/**
 * `forceRelease` of this layer has taken a hold away.
 *
 * @since 0.5.0
 * @category models
 */
export interface Forced {
  readonly _tag: "Forced"
  readonly at: DateTime.Utc
  readonly lockId: string
  readonly token: number
  readonly when: "now" | "leaseEnd"
}

/**
 * A call to the storage failed, and those before it had not. The calls that fail after it are not told.
 *
 * @since 0.5.0
 * @category models
 */
export interface StorageFailing {
  readonly _tag: "StorageFailing"
  readonly at: DateTime.Utc
  readonly error: StorageError
}

/**
 * The storage answers again.
 *
 * @since 0.5.0
 * @category models
 */
export interface StorageBack {
  readonly _tag: "StorageBack"
  readonly at: DateTime.Utc
  readonly failedFor: Duration.Duration
}

/**
 * Who listens did not keep up. So many of the oldest events were dropped here.
 *
 * @since 0.5.0
 * @category models
 */
export interface Dropped {
  readonly _tag: "Dropped"
  readonly at: DateTime.Utc
  readonly count: number
}

/**
 * Every acquire ends in one of `Acquired`, `Refused`, `TimedOut`, `AcquireFailed` and `Interrupted`. Every hold ends in one of `Released` and `Lost`.
 *
 * @since 0.5.0
 * @category models
 */
export type LockEvent =
  | Waiting
  | Acquired
  | Refused
  | TimedOut
  | AcquireFailed
  | Interrupted
  | Renewed
  | RenewalFailed
  | Late
  | Lost
  | Released
  | Forced
  | StorageFailing
  | StorageBack
  | Dropped

const subject = {
  at: Schema.DateTimeUtcFromString,
  lockId: Schema.String,
  ownerId: Schema.String,
  ownerLabel: Schema.String
}
const hold = { ...subject, token: Schema.Number }
const storage = { at: Schema.DateTimeUtcFromString }
const holder = Schema.OptionFromNullOr(LockInformation)
const span = Schema.DurationFromMillis

const members = [
  Schema.TaggedStruct("Waiting", { ...subject, holder }),
  Schema.TaggedStruct("Acquired", { ...hold, waited: span, attempts: Schema.Number }),
  Schema.TaggedStruct("Refused", { ...subject, holder }),
  Schema.TaggedStruct("TimedOut", { ...subject, waited: span, error: LockTimeout }),
  Schema.TaggedStruct("AcquireFailed", { ...subject, waited: span, error: StorageError }),
  Schema.TaggedStruct("Interrupted", { ...subject, waited: span }),
  Schema.TaggedStruct("Renewed", { ...hold, leaseExpireTime: Schema.DateTimeUtcFromString }),
  Schema.TaggedStruct("RenewalFailed", { ...hold, error: StorageError }),
  Schema.TaggedStruct("Late", { ...hold, remaining: span }),
  Schema.TaggedStruct("Lost", { ...hold, reason: LostReason, detail: Schema.optional(Schema.String), held: span }),
  Schema.TaggedStruct("Released", { ...hold, held: span, confirmed: Schema.Boolean }),
  Schema.TaggedStruct("Forced", {
    at: Schema.DateTimeUtcFromString,
    lockId: Schema.String,
    token: Schema.Number,
    when: Schema.Literals(["now", "leaseEnd"])
  }),
  Schema.TaggedStruct("StorageFailing", { ...storage, error: StorageError }),
  Schema.TaggedStruct("StorageBack", { ...storage, failedFor: span }),
  Schema.TaggedStruct("Dropped", { ...storage, count: Schema.Number })
] as const

const union = Schema.Union(members)

/**
 * An event as it is encoded: times are ISO strings in UTC, lengths of time are milliseconds.
 *
 * @since 0.5.0
 * @category schemas
 */
export type LockEventEncoded = typeof union.Encoded

/**
 * The schema of events, to store them or to send them somewhere. The `cause` of a `StorageError` becomes a text with what the driver says: leave it out where that is nobody's business.
 *
 * @example
 * ```ts
 * import { LockEvent, StorageLock } from "effect-storage-lock"
 * import { Effect, Schema, Stream } from "effect"
 *
 * const encode = Schema.encodeUnknownSync(LockEvent.LockEvent)
 *
 * const tell = Stream.runForEach(StorageLock.events, (event) => Effect.log(JSON.stringify(encode(event))))
 * ```
 *
 * @since 0.5.0
 * @category schemas
 */
export const LockEvent: Schema.Codec<LockEvent, LockEventEncoded> = union
