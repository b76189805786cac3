/**
 * What a storage answers, looked at before it is believed. A storage is other people's code: one that throws, returns no effect, or answers with something of another
 * shape fails that one call, and nothing else.
 */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as direct from "../common/direct.js"
import { StorageError, StorageErrorReason } from "../LockError.js"
import type { LockRecord } from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import { kindOf } from "../common/input.js"

/** The furthest time that a date can tell, in microseconds. */
const endOfTime = 8.64e18

const isTime = (value: unknown): boolean => typeof value === "number" && Math.abs(value) <= endOfTime

const tagOf = (value: unknown): unknown =>
  typeof value === "object" && value !== null && "_tag" in value ? value._tag : undefined

export const isRecord = (value: unknown): value is LockRecord => {
  if (typeof value !== "object" || value === null) return false
  const record = value as Partial<Record<keyof LockRecord, unknown>>
  return (
    typeof record.lockId === "string" &&
    typeof record.ownerId === "string" &&
    (record.ownerLabel === undefined || typeof record.ownerLabel === "string") &&
    Array.isArray(record.holds) &&
    Number.isFinite(record.token) &&
    Number.isFinite(record.version) &&
    isTime(record.lockBeginTime) &&
    isTime(record.leaseExpireTime)
  )
}

const isSnapshot = (value: unknown): value is Storage.Snapshot =>
  typeof value === "object" && value !== null && isRecord((value as Partial<Storage.Snapshot>).record)

const isClaimOutcome = (value: any): boolean => {
  switch (tagOf(value)) {
    case "Claimed":
      return isRecord(value.record) && Number.isFinite(value.validFor)
    case "Held":
      return (
        (value.holder === undefined || isRecord(value.holder)) &&
        (value.retryAfter === undefined || Number.isFinite(value.retryAfter))
      )
    default:
      return false
  }
}

const reasons: ReadonlyArray<unknown> = StorageErrorReason.literals

/** By its fields: a storage may have been built with another copy of this library, and we make errors of our own from what it says. */
export const isStorageError = (error: any): error is StorageError =>
  tagOf(error) === "StorageError" &&
  reasons.includes(error.reason) &&
  typeof error.operation === "string" &&
  typeof error.isRetryable === "boolean" &&
  (error.applied === "no" || error.applied === "unknown") &&
  typeof error.message === "string"

export const isRenewAnswer = (value: any): value is Storage.RenewAnswer => {
  switch (tagOf(value)) {
    case "Renewed":
      return isTime(value.leaseExpireTime) && Number.isFinite(value.validFor)
    case "NotHeld":
      return value.current === undefined || isRecord(value.current)
    default:
      return isStorageError(value)
  }
}

const isExpected: Record<string, (value: any) => boolean> = {
  claim: isClaimOutcome,
  // One by one, by who asked for them: an odd one costs the others nothing.
  renew: Array.isArray,
  release: (value) => tagOf(value) === "NotHeld" || (tagOf(value) === "Released" && Number.isFinite(value.remaining)),
  revoke: (value) => tagOf(value) === "Revoked" || tagOf(value) === "NotHeld",
  get: (value) => Option.isOption(value) && (Option.isNone(value) || isSnapshot(value.value))
}

const unknown = (name: string, operation: string, message: string, cause?: unknown): StorageError =>
  new StorageError({
    reason: "Unknown",
    operation: `${name}.${operation}`,
    isRetryable: false,
    applied: "unknown",
    message,
    cause
  })

const shapeOf = (value: unknown): string => {
  const tag = tagOf(value)
  return tag === undefined
    ? Array.isArray(value)
      ? "an array"
      : `a value ${kindOf(value)}`
    : `a ${String(tag)} of another shape`
}

export const odd = (name: string, operation: string, value: unknown): StorageError =>
  unknown(
    name,
    operation,
    `${name} answered ${operation} with ${value === undefined ? "nothing" : shapeOf(value)}, which is no answer to it: this is a fault of that storage`
  )

/** The failure that an answer is, if it is no answer to this operation. */
export const faultOf = (name: string, operation: string, value: unknown): StorageError | undefined =>
  isExpected[operation]?.(value) === false ? odd(name, operation, value) : undefined

const textOf = (cause: unknown): string => {
  try {
    return cause instanceof Error ? cause.message : String(cause)
  } catch {
    return "something that cannot be shown"
  }
}

/** A storage threw, or failed with something that is no `StorageError`. */
export const thrown = (name: string, operation: string, cause: unknown): StorageError =>
  unknown(name, operation, `${name} threw in ${operation}: ${textOf(cause)}`, cause)

/** The storage, each of whose methods is called within the effect that it gives: what they throw is a failure of that call. */
const guard = (storage: Storage.Service): Storage.Service => {
  const wakeUps = Stream.suspend(() => storage.wakeUps)
  direct.offerHints(wakeUps, {
    listen: (tell) => Effect.suspend(() => direct.hintsOf(storage.wakeUps).listen(tell)),
    get expects() {
      return direct.hintsOf(storage.wakeUps).expects
    },
    get tells() {
      return direct.hintsOf(storage.wakeUps).tells
    }
  })
  return {
    claim: (request) => Effect.suspend(() => storage.claim(request)),
    renew: (requests) => Effect.suspend(() => storage.renew(requests)),
    release: (request) => Effect.suspend(() => storage.release(request)),
    revoke: (request) => Effect.suspend(() => storage.revoke(request)),
    get: (lockId) => Effect.suspend(() => storage.get(lockId)),
    list: Stream.suspend(() => storage.list).pipe(
      Stream.mapEffect((snapshot) =>
        isSnapshot(snapshot) ? Effect.succeed(snapshot) : odd(storage.guarantees.name, "list", snapshot)
      ),
      Stream.catchCause((cause) => {
        const error = Cause.squash(cause)
        return Cause.hasInterruptsOnly(cause)
          ? Stream.failCause(cause)
          : Stream.fail(isStorageError(error) ? error : thrown(storage.guarantees.name, "list", error))
      })
    ),
    purge: (olderThan) => Effect.suspend(() => storage.purge(olderThan)),
    wakeUps,
    guarantees: storage.guarantees,
    audit: storage.audit
  }
}

const guards = new WeakMap<Storage.Service, Storage.Service>()

/** One for each storage, so that layers over the same one can tell. */
export const guarded = (storage: Storage.Service): Storage.Service => {
  const made = guards.get(storage) ?? guard(storage)
  guards.set(storage, made)
  return made
}
