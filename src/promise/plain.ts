/** What Effect has, as plain values: errors, what is known of a lock, events. */
import * as DateTime from "#effect/DateTime"
import * as Duration from "#effect/Duration"
import * as Option from "#effect/Option"
import { MissingDriver, UnknownScheme } from "../connect/errors.js"
import { AuditUnavailable, type Entry } from "../LockAudit.js"
import type * as FleetSchedule from "../FleetSchedule.js"
import { Resigned } from "../LeaderElection.js"
import * as LockError from "../LockError.js"
import type * as effect from "../LockEvent.js"
import type * as Info from "../LockInformation.js"
import { exclusive } from "../LockRecord.js"
import * as errors from "./errors.js"
import type { AuditEntry, LockEvent } from "./events.js"
import type { Holder, LockInformation } from "./information.js"
import type { ScheduleRun } from "./types.js"

const holderOf = ({ mode, permits, ...of }: Info.Holder): Holder => ({
  ownerId: of.ownerId,
  ownerLabel: of.ownerLabel,
  token: of.token,
  ...(mode === undefined ? {} : { mode }),
  ...(permits === undefined ? {} : { permits }),
  lockBeginTime: DateTime.toDate(of.lockBeginTime),
  leaseExpireTime: DateTime.toDate(of.leaseExpireTime)
})

export const information = (info: Info.LockInformation): LockInformation => ({
  lockId: info.lockId,
  kind: info.kind ?? exclusive,
  ownerId: info.ownerId,
  ownerLabel: info.ownerLabel,
  version: info.version,
  token: info.token,
  lockCount: info.lockCount,
  lockBeginTime: DateTime.toDate(info.lockBeginTime),
  leaseExpireTime: DateTime.toDate(info.leaseExpireTime),
  ...(info.holders === undefined
    ? {}
    : { holders: info.holders.map(holderOf), holderCount: info.holderCount ?? info.holders.length })
})

export const run = ({ began, ended, time, ...rest }: FleetSchedule.Run): ScheduleRun => ({
  ...rest,
  time: DateTime.toDate(time),
  began: DateTime.toDate(began),
  ...(ended === undefined ? {} : { ended: DateTime.toDate(ended) })
})

/** Without the word for a secret that is sealed: here it is a plain text. */
const unsealed = (text: string): string => text.replace(/, (the \w+( two)?|not) Redacted\b|\bRedacted /g, "")

const invalid = ({ field, kind, rule }: LockError.InvalidOptions | LockError.InvalidLockId) => ({
  field,
  kind: unsealed(kind),
  rule: unsealed(rule)
})

export const timeout = (error: LockError.LockTimeout): errors.LockTimeout =>
  new errors.LockTimeout(error.message, {
    lockId: error.lockId,
    ownerId: error.ownerId,
    waitedMillis: error.waitedMillis,
    heldBy: error.heldBy === undefined ? undefined : information(error.heldBy)
  })

export const storageError = (error: LockError.StorageError): errors.StorageError =>
  new errors.StorageError(error.message, {
    reason: error.reason,
    operation: error.operation,
    isRetryable: error.isRetryable,
    applied: error.applied,
    cause: error.cause
  })

/** One loss is one error, whoever tells it. */
const losses = new WeakMap<LockError.LockLost, errors.LockLost>()

export const lost = (error: LockError.LockLost): errors.LockLost => {
  let plain = losses.get(error)
  if (plain === undefined) {
    plain = new errors.LockLost(error.message, {
      lockId: error.lockId,
      ownerId: error.ownerId,
      token: error.token,
      reason: error.reason,
      detail: error.detail,
      completed: error.completed,
      result: error.result
    })
    losses.set(error, plain)
  }
  return plain
}

/** The same loss, and how the body ended after it. */
export const lostWith = (
  error: errors.LockLost,
  more: { readonly cause: unknown } | { readonly completed: true; readonly result: unknown }
): errors.LockLost =>
  new errors.LockLost(error.message, {
    lockId: error.lockId,
    ownerId: error.ownerId,
    token: error.token,
    reason: error.reason,
    detail: error.detail,
    ...more
  })

/** An error of this library; anything else is left as it is. */
export const error = (of: unknown): unknown =>
  of instanceof LockError.LockTimeout
    ? timeout(of)
    : of instanceof LockError.LockLost
      ? lost(of)
      : of instanceof Resigned
        ? new errors.Resigned(of.message, { lockId: of.lockId })
        : of instanceof LockError.InvalidLockId
          ? new errors.InvalidLockId(invalid(of))
          : of instanceof LockError.UpgradeRefused
            ? new errors.UpgradeRefused(of.message, { lockId: of.lockId, ownerId: of.ownerId })
            : of instanceof LockError.InvalidOptions
              ? new errors.InvalidOptions(invalid(of))
              : of instanceof LockError.StorageError
                ? storageError(of)
                : of instanceof UnknownScheme
                  ? new errors.UnknownScheme(of.message, { known: of.known })
                  : of instanceof MissingDriver
                    ? new errors.MissingDriver(of.message, { packages: of.packages, cause: of.cause })
                    : of instanceof AuditUnavailable
                      ? new errors.AuditUnavailable(of.message, { storage: of.storage, offeredBy: of.offeredBy })
                      : of

const holder = (of: Option.Option<Info.LockInformation>): LockInformation | undefined =>
  Option.isNone(of) ? undefined : information(of.value)

const subject = (event: effect.Subject) => ({
  at: DateTime.toDate(event.at),
  lockId: event.lockId,
  ownerId: event.ownerId,
  ownerLabel: event.ownerLabel
})

const hold = (event: effect.HoldSubject) => ({ ...subject(event), token: event.token })

export const event = (of: effect.LockEvent): LockEvent => {
  switch (of._tag) {
    case "Waiting":
    case "Refused":
      return { type: of._tag, ...subject(of), holder: holder(of.holder) }
    case "Acquired":
      return { type: of._tag, ...hold(of), waited: Duration.toMillis(of.waited), attempts: of.attempts }
    case "TimedOut":
      return { type: of._tag, ...subject(of), waited: Duration.toMillis(of.waited), error: timeout(of.error) }
    case "AcquireFailed":
      return { type: of._tag, ...subject(of), waited: Duration.toMillis(of.waited), error: storageError(of.error) }
    case "Interrupted":
      return { type: of._tag, ...subject(of), waited: Duration.toMillis(of.waited) }
    case "Renewed":
      return { type: of._tag, ...hold(of), leaseExpireTime: DateTime.toDate(of.leaseExpireTime) }
    case "RenewalFailed":
      return { type: of._tag, ...hold(of), error: storageError(of.error) }
    case "Late":
      return { type: of._tag, ...hold(of), remaining: Duration.toMillis(of.remaining) }
    case "Lost":
      return {
        type: of._tag,
        ...hold(of),
        reason: of.reason,
        detail: of.detail,
        held: Duration.toMillis(of.held)
      }
    case "Released":
      return { type: of._tag, ...hold(of), held: Duration.toMillis(of.held), confirmed: of.confirmed }
    case "Forced":
      return { type: of._tag, at: DateTime.toDate(of.at), lockId: of.lockId, token: of.token, when: of.when }
    case "StorageFailing":
      return { type: of._tag, at: DateTime.toDate(of.at), error: storageError(of.error) }
    case "StorageBack":
      return { type: of._tag, at: DateTime.toDate(of.at), failedFor: Duration.toMillis(of.failedFor) }
    case "Dropped":
      return { type: of._tag, at: DateTime.toDate(of.at), count: of.count }
  }
}

export const entry = ({ event: of, host, id, pid, writtenAt }: Entry): AuditEntry => ({
  id,
  writtenAt: DateTime.toDate(writtenAt),
  host,
  pid,
  event:
    of._tag === "Unreadable"
      ? { type: of._tag, at: DateTime.toDate(of.at), lockId: of.lockId, event: of.event, detail: of.detail }
      : event(of)
})
