/** What must be true of every single answer of the storage: the rules of the port, said once more and otherwise. */
import type * as LockRecord from "../../src/LockRecord.js"
import type { StepFunction } from "./model.js"

type Rec = LockRecord.LockRecord

const live = (record: Rec | undefined, now: number): record is Rec =>
  record !== undefined && record.holds.length > 0 && now < record.leaseExpireTime

const others = (record: Rec | undefined, holdId: string) =>
  (record?.holds ?? []).filter((hold) => hold !== holdId).join()

const sameBut = (a: Rec | undefined, b: Rec | undefined, version: boolean): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.ownerId === b.ownerId &&
    a.holds.join() === b.holds.join() &&
    a.token === b.token &&
    a.leaseExpireTime === b.leaseExpireTime &&
    a.kind === b.kind &&
    (!version || a.version === b.version))

/** The rule that this answer breaks. */
export const brokenBy = (
  step: StepFunction,
  before: Rec | undefined,
  request: LockRecord.Request,
  now: number
): string | undefined => {
  const { outcome, record: after } = step(before, request, now)
  const wasLive = live(before, now)
  const success = ["Claimed", "Renewed", "Released", "Revoked"].includes(outcome._tag)

  if (!success && after !== before) return "a request that is refused changes nothing"
  if (after !== before) {
    if (after === undefined) return "the record of a free lock stays"
    if (before !== undefined && after.version <= before.version) return "the version grows with every change"
  }
  const begins: boolean = request._tag === "Claim" && outcome._tag === "Claimed" && !live(before, now)
  if (before !== undefined && after !== undefined) {
    if (begins && after.token <= before.token) return "the token grows from hold period to hold period"
    if (!begins && after.token !== before.token)
      return "the token stays within a hold period, and when the lock is freed"
    if (wasLive && !begins && after.leaseExpireTime < before.leaseExpireTime) return "a lease only grows"
  }

  switch (request._tag) {
    case "Claim": {
      if (outcome._tag === "Held") {
        if (!wasLive || before.ownerId === request.ownerId)
          return "a lock that is free, expired or one's own is not refused"
        if (outcome.holder !== before) return "Held names the present holder"
        if (outcome.retryAfter !== before.leaseExpireTime - now || outcome.retryAfter <= 0)
          return "Held tells what is left of the lease"
        break
      }
      if (
        after === undefined ||
        !live(after, now) ||
        after.ownerId !== request.ownerId ||
        !after.holds.includes(request.holdId)
      ) {
        return "Claimed: the hold is in the record"
      }
      if (outcome.record !== after || outcome.validFor !== after.leaseExpireTime - now)
        return "Claimed tells what is left of the lease"
      if (wasLive && before.ownerId !== request.ownerId) return "a live lock of another owner is not taken"
      if (
        wasLive
          ? others(before, request.holdId) !== others(after, request.holdId)
          : others(after, request.holdId) !== ""
      ) {
        return "a claim adds its own hold and leaves the others, of a hold period that lives"
      }
      const repeated = wasLive && before.holds.includes(request.holdId)
      if (repeated && !sameBut(before, after, true)) return "a repeated claim has the effect of one"
      if (!repeated && after.leaseExpireTime !== Math.max(wasLive ? before.leaseExpireTime : 0, now + request.lease)) {
        return "a claim leaves the longer of both leases"
      }
      break
    }
    case "Renew": {
      if (outcome._tag === "NotHeld") {
        if (wasLive && before.holds.includes(request.holdId)) return "NotHeld is said only of what is not held"
        break
      }
      if (!wasLive || !before.holds.includes(request.holdId)) return "only a live hold is renewed"
      if (after === undefined || after.holds.join() !== before.holds.join() || after.ownerId !== before.ownerId) {
        return "a renewal changes nothing but the lease"
      }
      if (after.leaseExpireTime !== Math.max(before.leaseExpireTime, now + request.lease))
        return "a renewal gives its lease, and no more"
      if (outcome.validFor !== after.leaseExpireTime - now || outcome.leaseExpireTime !== after.leaseExpireTime) {
        return "Renewed tells what is left of the lease"
      }
      break
    }
    case "Release": {
      if (outcome._tag === "NotHeld") {
        if (wasLive && before.holds.includes(request.holdId)) return "NotHeld is said only of what is not held"
        break
      }
      if (before === undefined || !before.holds.includes(request.holdId)) return "only this hold is released"
      if (after === undefined || after.holds.includes(request.holdId)) return "Released: the hold is out"
      if (after.holds.join() !== others(before, request.holdId)) return "a release leaves the other holds"
      if (after.leaseExpireTime !== before.leaseExpireTime) return "a release leaves the lease"
      if (outcome.remaining !== after.holds.length) return "Released tells what remains"
      break
    }
    case "Revoke": {
      if (outcome._tag === "NotHeld") {
        if (wasLive && before.token === request.token) return "a live lock is revoked by its token"
        break
      }
      if (!wasLive || before.token !== request.token) return "only the hold period with this token is revoked"
      if (request.when === "now" ? after!.holds.length > 0 : !live(after, now))
        return "leaseEnd keeps the lock blocked, now frees it"
      if (after!.leaseExpireTime !== before.leaseExpireTime) return "revoking leaves the lease"
      break
    }
  }

  const again = step(after, request, now)
  if (!sameBut(again.record, after, request._tag !== "Renew"))
    return `a repeated ${request._tag.toLowerCase()} has the effect of one`
  return undefined
}
