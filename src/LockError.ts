/**
 * Every way in which this library can fail, as values in the typed error channel.
 *
 * @since 0.1.0
 */
import "#effect/major"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Schema from "#effect/Schema"
import { lostBecause, Reason } from "./common/lostBecause.js"
import { LockInformation } from "./LockInformation.js"
import { exclusive } from "./LockRecord.js"

const when = (time: DateTime.Utc): string => DateTime.formatIso(time)

/** An owner as people want to read it: the label, and the id that decides. */
const ownerText = (ownerId: string, label: string): string =>
  label === "" ? JSON.stringify(ownerId) : `${label} (owner ${JSON.stringify(ownerId)})`

const names: Readonly<Record<string, string>> = { readWrite: "a read-write lock", semaphore: "a semaphore" }

/** Whoever waits for a lock of one kind is not told who holds it as one of another kind. */
const isOther = ({ holderCount, kind }: LockInformation): boolean =>
  kind !== undefined && kind !== exclusive && holderCount === undefined

const others = ({ holderCount = 1, holders = [] }: LockInformation): string => {
  const more = holderCount > 1 ? `, and ${holderCount - 1} more` : ""
  const taken = holders.reduce((sum, { permits = 0 }) => sum + permits, 0)
  const all = holders.length < holderCount ? "at least " : ""
  return taken === 0 ? more : `${more}; permits taken: ${all}${taken}`
}

/**
 * The lock was not acquired within `acquireTimeout`, or before the `retry` schedule ended.
 *
 * `lockId` and `ownerId` are those of the waiter. `heldBy` is the holder as the storage last reported it, in the form of `StorageLock.get`. It is absent if
 * the storage was not asked or did not say.
 *
 * @since 0.1.0
 * @category errors
 */
export class LockTimeout extends Schema.TaggedError<LockTimeout>("effect-storage-lock/LockTimeout")("LockTimeout", {
  lockId: Schema.String,
  ownerId: Schema.String,
  /** How long the caller waited, in milliseconds. */
  waitedMillis: Schema.Number,
  heldBy: Schema.optional(LockInformation)
}) {
  /** The same as `heldBy.ownerId`. */
  get holder(): string | undefined {
    return this.heldBy?.ownerId
  }
  /** The same as `heldBy.ownerLabel`, if there is one. */
  get holderLabel(): string | undefined {
    return this.heldBy?.ownerLabel || undefined
  }
  /** The same as `heldBy.lockBeginTime`. */
  get since(): DateTime.Utc | undefined {
    return this.heldBy?.lockBeginTime
  }
  /** The same as `heldBy.leaseExpireTime`. */
  get until(): DateTime.Utc | undefined {
    return this.heldBy?.leaseExpireTime
  }
  override get message(): string {
    const { heldBy } = this
    const who =
      heldBy === undefined
        ? "its turn in this process did not come"
        : isOther(heldBy)
          ? `it is held as ${names[heldBy.kind!] ?? `a lock of the kind ${JSON.stringify(heldBy.kind)}`}, lease until ${when(heldBy.leaseExpireTime)}`
          : heldBy.ownerId === ""
            ? `it was revoked by an operator and stays blocked until ${when(heldBy.leaseExpireTime)}`
            : `it is held by ${ownerText(heldBy.ownerId, heldBy.ownerLabel)} since ${when(heldBy.lockBeginTime)}, lease until ${when(heldBy.leaseExpireTime)}${others(heldBy)}`
    return `${JSON.stringify(this.ownerId)} waited ${Math.round(this.waitedMillis)} ms for the lock ${JSON.stringify(this.lockId)}: ${who}`
  }
}

/**
 * Why a hold ended.
 *
 * - `Expired`: its local deadline passed before the storage confirmed a renewal
 * - `Taken`: the storage says that somebody else has the lock
 * - `Forced`: an operator took it away
 * - `Vanished`: the storage has no record of this hold any more, and nobody is known to have taken it. The record was flushed, evicted, restored from a backup,
 *   dropped, or hidden
 * - `HeldTooLong`: it was held for as long as its option `holdAtMost` allows
 * - `Closed`: the layer was closed under it
 * - `Released`: it was given back in order (only `check`, `renew` and `guard` say so; `lost` never does)
 *
 * @since 0.1.0
 * @category errors
 */
export const LostReason = Reason

/**
 * @since 0.1.0
 * @category errors
 */
export type LostReason = typeof LostReason.Type

/**
 * The hold is over: stop the work that it protected. This is final, even if the storage would still renew it.
 *
 * @since 0.1.0
 * @category errors
 */
export class LockLost extends Schema.TaggedError<LockLost>("effect-storage-lock/LockLost")("LockLost", {
  lockId: Schema.String,
  ownerId: Schema.String,
  token: Schema.Number,
  reason: LostReason,
  /** More about the reason: the storage's last error, or what it has in place of this hold. */
  detail: Schema.optional(Schema.String),
  /**
   * Whether the body of `withLock`, `withLockIfAvailable` or `guard` ran to its end, because a blocked event loop kept it from being interrupted. Another
   * holder may have run at the same time. Absent if the body was interrupted.
   */
  completed: Schema.optional(Schema.Boolean),
  /** The result of that body. */
  result: Schema.optional(Schema.Unknown)
}) {
  override get message(): string {
    const detail = this.detail === undefined ? "" : ` (${this.detail})`
    return `the lock ${JSON.stringify(this.lockId)} of ${JSON.stringify(this.ownerId)}, token ${this.token}, is no longer held: ${
      lostBecause[this.reason]
    }${detail}${this.completed === true ? "; its body has run to its end all the same, perhaps not alone" : ""}`
  }
}

/**
 * This process has no such hold to unlock or extend: it was never locked here, or it is unlocked already. A lock that another process holds is unlocked there.
 *
 * @since 0.5.0
 * @category errors
 */
export class NotLocked extends Schema.TaggedError<NotLocked>("effect-storage-lock/NotLocked")("NotLocked", {
  lockId: Schema.String,
  ownerId: Schema.String
}) {
  override get message(): string {
    return `${JSON.stringify(this.ownerId)} has no lock ${JSON.stringify(this.lockId)} in this process: it was not locked here, or is unlocked already. If another process has it, unlock it there, or use \`forceRelease\` with its token`
  }
}

/**
 * An owner that reads has asked to write. Others that read would wait for it, and it for them, so it is refused, alone or not. Read with `upgradable` what may have to be written, and `upgrade` it; or give
 * the read back first. Raised before any I/O.
 *
 * @since 0.5.0
 * @category errors
 */
export class UpgradeRefused extends Schema.TaggedError<UpgradeRefused>("effect-storage-lock/UpgradeRefused")(
  "UpgradeRefused",
  {
    lockId: Schema.String,
    ownerId: Schema.String
  }
) {
  override get message(): string {
    return `${JSON.stringify(this.ownerId)} reads under the lock ${JSON.stringify(this.lockId)}, and cannot write under it too: two that read and want to write would wait for each other. Take it with \`upgradable\` and \`upgrade\` it, or give the read back first`
  }
}

const invalid = { field: Schema.String, kind: Schema.String, rule: Schema.String }
const invalidMessage = (self: { field: string; kind: string; rule: string }): string =>
  `${self.field} must be ${self.rule}, but is ${self.kind}`

/**
 * A lock id that cannot be stored byte for byte. Raised before any I/O.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidLockId extends Schema.TaggedError<InvalidLockId>("effect-storage-lock/InvalidLockId")(
  "InvalidLockId",
  invalid
) {
  override get message(): string {
    return invalidMessage(this)
  }
}

/**
 * An invalid option. With field `ownerId`: the acquire has no owner id and could only wait for its own fiber. The error names the field, the rule and the
 * kind of the value, never the value of a secret. Raised before any I/O.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>("effect-storage-lock/InvalidOptions")(
  "InvalidOptions",
  invalid
) {
  override get message(): string {
    return invalidMessage(this)
  }
}

/**
 * What went wrong in the storage.
 *
 * - `Connection`: it cannot be reached, or the connection broke
 * - `Timeout`: no answer in time
 * - `Conflict`: too many others at once (deadlock, serialization failure, version misses, a busy file)
 * - `Permission`: it refuses the login or the operation
 * - `Schema`: its table is missing, foreign, or of a newer format
 * - `TooLarge`: a lock that several may hold has no room for one more in its record
 * - `Closed`: the layer is closed
 * - `Unknown`: anything else; see `cause`
 *
 * @since 0.1.0
 * @category errors
 */
export const StorageErrorReason = Schema.Literals([
  "Connection",
  "Timeout",
  "Conflict",
  "Permission",
  "Schema",
  "TooLarge",
  "Closed",
  "Unknown"
])

/**
 * @since 0.1.0
 * @category errors
 */
export type StorageErrorReason = typeof StorageErrorReason.Type

/**
 * The storage failed. `applied` says whether the operation may have taken effect: `"no"` is certain, `"unknown"` is a lost reply.
 *
 * @since 0.1.0
 * @category errors
 */
export class StorageError extends Schema.TaggedError<StorageError>("effect-storage-lock/StorageError")("StorageError", {
  reason: StorageErrorReason,
  /** Where it happened, such as `"PostgresStorage.claim"`. */
  operation: Schema.String,
  isRetryable: Schema.Boolean,
  applied: Schema.Literals(["no", "unknown"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

/**
 * Any error of this library.
 *
 * @since 0.1.0
 * @category errors
 */
export type LockError =
  LockTimeout | LockLost | NotLocked | UpgradeRefused | InvalidLockId | InvalidOptions | StorageError

/**
 * Whether a value is an error of this library. For handlers that receive errors of many kinds.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLockError = (error: unknown): error is LockError =>
  error instanceof LockTimeout ||
  error instanceof LockLost ||
  error instanceof NotLocked ||
  error instanceof UpgradeRefused ||
  error instanceof InvalidLockId ||
  error instanceof InvalidOptions ||
  error instanceof StorageError

const isInvalid = (error: unknown): error is InvalidLockId | InvalidOptions =>
  error instanceof InvalidLockId || error instanceof InvalidOptions

/**
 * Turns `InvalidLockId` and `InvalidOptions` into defects. For programs whose lock ids and options are constants, so that either error is a bug. Keep the
 * errors typed if an id comes from outside.
 *
 * @example
 * ```ts
 * import { LockError, StorageLock } from "effect-storage-lock"
 * import { Effect } from "effect"
 *
 * // What is left to handle: LockTimeout, LockLost and StorageError.
 * const report = Effect.log("alone").pipe(StorageLock.withLock("nightly-report", { acquireTimeout: "1 minute" }), LockError.orDieIfInvalid)
 * ```
 *
 * @since 0.1.0
 * @category error handling
 */
export const orDieIfInvalid = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, InvalidLockId | InvalidOptions>, R> =>
  Effect.catch(self, (error) =>
    isInvalid(error) ? Effect.die(error) : Effect.fail(error as Exclude<E, InvalidLockId | InvalidOptions>)
  )
