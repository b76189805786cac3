/**
 * Each is one plausible mistake in the record's transition, in the purge, or in what a client makes of an answer. A search that does not find them proves nothing.
 */
import * as LockRecord from "../../src/LockRecord.js"
import { type ClientRule, rule, type StepFunction, type Subject, subject, unit } from "./model.js"

type Rec = LockRecord.LockRecord

export interface Mutant {
  readonly name: string
  readonly subject: Subject
  /** Why nothing is to be found: the mistake harms nobody. */
  readonly harmless?: string | undefined
}

type Original = LockRecord.Step<any>

/** The answers of `step`, but for one kind of request. */
const instead =
  (
    tag: LockRecord.Request["_tag"],
    change: (original: Original, record: Rec | undefined, request: any, now: number) => Original
  ): StepFunction =>
  (record, request, now) => {
    const original = LockRecord.step(record, request, now)
    return request._tag === tag ? change(original, record, request, now) : original
  }

const live = LockRecord.isLive

/** `Claimed`, with the record as it is now. */
const claimed = (next: Rec, now: number): Original => ({
  record: next,
  outcome: { _tag: "Claimed", record: next, validFor: next.leaseExpireTime - now }
})

const renewed = (next: Rec, now: number): Original => ({
  record: next,
  outcome: { _tag: "Renewed", leaseExpireTime: next.leaseExpireTime, validFor: next.leaseExpireTime - now }
})

const changed = (original: Original, record: Rec | undefined) =>
  original.outcome._tag === "Claimed" && original.record !== record

const ofStep = (name: string, step: StepFunction, harmless?: string): Mutant => ({
  name,
  subject: { ...subject, step },
  harmless
})
const ofPurge = (name: string, purges: Subject["purges"], harmless?: string): Mutant => ({
  name,
  subject: { ...subject, purges },
  harmless
})
const ofRule = (name: string, change: Partial<ClientRule>, harmless?: string): Mutant => ({
  name,
  subject: { ...subject, rule: { ...rule, ...change } },
  harmless
})

const ownerOf = (holdId: string): string => holdId[0]!

export const mutants: ReadonlyArray<Mutant> = [
  ofStep(
    "claim: deepening sets the shorter lease",
    instead("Claim", (original, record, request, now) =>
      record !== undefined && live(record, now) && changed(original, record)
        ? claimed({ ...original.record!, leaseExpireTime: now + request.lease }, now)
        : original
    )
  ),
  ofStep(
    "claim: deepening takes a new token",
    instead("Claim", (original, record, _request, now) =>
      record !== undefined && live(record, now) && changed(original, record)
        ? claimed({ ...original.record!, token: record.token + 1 }, now)
        : original
    )
  ),
  ofStep("claim: a repeated hold id counts twice, a release takes one", (record, request, now) => {
    const original = LockRecord.step(record, request, now)
    if (request._tag === "Claim" && original.outcome._tag === "Claimed" && original.record === record) {
      // A list without bound would be a search without end.
      return record!.holds.length > 3
        ? original
        : claimed({ ...record!, holds: [...record!.holds, request.holdId], version: record!.version + 1 }, now)
    }
    if (request._tag !== "Release" || original.record === record) return original
    const at = record!.holds.indexOf(request.holdId)
    const holds = record!.holds.filter((_, i) => i !== at)
    return { record: { ...original.record!, holds }, outcome: { _tag: "Released", remaining: holds.length } }
  }),
  ofStep(
    "claim: a repeat is told the whole lease again",
    instead("Claim", (original, record, request) =>
      original.outcome._tag === "Claimed" && original.record === record
        ? { record, outcome: { ...original.outcome, validFor: request.lease } }
        : original
    )
  ),
  ofStep("claim: a takeover one tick early", (record, request, now) =>
    request._tag === "Claim" && record !== undefined && live(record, now) && record.ownerId !== request.ownerId
      ? LockRecord.step(record, request, record.leaseExpireTime <= now + unit ? record.leaseExpireTime : now)
      : LockRecord.step(record, request, now)
  ),
  ofStep(
    "claim: a lease that ends now still blocks",
    instead("Claim", (original, record, request, now) =>
      record !== undefined &&
      record.holds.length > 0 &&
      record.leaseExpireTime === now &&
      record.ownerId !== request.ownerId
        ? { record, outcome: { _tag: "Held", holder: record, retryAfter: 0 } }
        : original
    )
  ),
  ofStep(
    "claim: a takeover keeps the holds of the one before",
    instead("Claim", (original, record, request, now) =>
      record !== undefined && !live(record, now) && !record.holds.includes(request.holdId)
        ? claimed({ ...original.record!, holds: [...record.holds, request.holdId] }, now)
        : original
    )
  ),
  ofStep(
    "claim: a takeover keeps the token",
    instead("Claim", (original, record, _request, now) =>
      record !== undefined && !live(record, now) ? claimed({ ...original.record!, token: record.token }, now) : original
    )
  ),
  ofStep(
    "claim: the token is the clock, whatever the last one was",
    instead("Claim", (original, record, _request, now) =>
      record !== undefined && !live(record, now) ? claimed({ ...original.record!, token: now }, now) : original
    )
  ),
  ofStep(
    "claim: the token begins at one after a purge",
    instead("Claim", (original, record, _request, now) =>
      record === undefined ? claimed({ ...original.record!, token: 1 }, now) : original
    )
  ),
  ofStep(
    "claim: the version begins at one after a purge",
    instead("Claim", (original, record, _request, now) =>
      record === undefined ? claimed({ ...original.record!, version: 1 }, now) : original
    )
  ),
  ofStep(
    "claim: deepening does not look at the owner",
    instead("Claim", (original, record, request, now) =>
      original.outcome._tag === "Held"
        ? claimed({ ...record!, holds: [...record!.holds, request.holdId], version: record!.version + 1 }, now)
        : original
    )
  ),
  ofStep(
    "claim: deepening keeps the version",
    instead("Claim", (original, record, _request, now) =>
      record !== undefined && live(record, now) && changed(original, record)
        ? claimed({ ...original.record!, version: record.version }, now)
        : original
    )
  ),
  ofStep(
    "claim: a repeat begins the lease again",
    instead("Claim", (original, record, request, now) =>
      original.outcome._tag === "Claimed" && original.record === record && record!.leaseExpireTime < now + request.lease
        ? claimed({ ...record!, leaseExpireTime: now + request.lease, version: record!.version + 1 }, now)
        : original
    )
  ),
  ofStep(
    "renew: does not look whether the lease is over",
    instead("Renew", (original, record, request, now) =>
      record !== undefined && record.holds.includes(request.holdId) && !live(record, now)
        ? renewed({ ...record, version: record.version + 1, leaseExpireTime: now + request.lease }, now)
        : original
    )
  ),
  ofStep(
    "renew: puts a hold back that was released",
    instead("Renew", (original, record, request, now) =>
      record !== undefined && record.holds.length === 0 && record.ownerId === ownerOf(request.holdId)
        ? renewed(
            { ...record, holds: [request.holdId], version: record.version + 1, leaseExpireTime: now + request.lease },
            now
          )
        : original
    )
  ),
  ofStep(
    "renew: by owner",
    instead("Renew", (original, record, request, now) =>
      record !== undefined &&
      live(record, now) &&
      record.ownerId === ownerOf(request.holdId) &&
      original.outcome._tag === "NotHeld"
        ? renewed(
            {
              ...record,
              version: record.version + 1,
              leaseExpireTime: Math.max(record.leaseExpireTime, now + request.lease)
            },
            now
          )
        : original
    )
  ),
  ofStep(
    "renew: of any live lock",
    instead("Renew", (original, record, request, now) =>
      record !== undefined && live(record, now) && original.outcome._tag === "NotHeld"
        ? renewed(
            {
              ...record,
              version: record.version + 1,
              leaseExpireTime: Math.max(record.leaseExpireTime, now + request.lease)
            },
            now
          )
        : original
    )
  ),
  ofStep(
    "renew: sets the lease, though the present one is longer",
    instead("Renew", (original, _record, request, now) =>
      original.outcome._tag === "Renewed"
        ? renewed({ ...original.record!, leaseExpireTime: now + request.lease }, now)
        : original
    )
  ),
  ofStep(
    "renew: adds to the lease",
    instead("Renew", (original, record, request, now) =>
      original.outcome._tag === "Renewed"
        ? // With an end, for the search must have one.
          renewed(
            {
              ...original.record!,
              leaseExpireTime: Math.min(record!.leaseExpireTime + request.lease, now + 3 * request.lease)
            },
            now
          )
        : original
    )
  ),
  ofStep(
    "renew: keeps the version",
    instead("Renew", (original, record, _request, now) =>
      original.outcome._tag === "Renewed" ? renewed({ ...original.record!, version: record!.version }, now) : original
    )
  ),
  ofStep(
    "release: by owner",
    instead("Release", (original, record, request) =>
      record !== undefined && record.holds.length > 0 && record.ownerId === ownerOf(request.holdId)
        ? { record: { ...record, holds: [], version: record.version + 1 }, outcome: { _tag: "Released", remaining: 0 } }
        : original
    )
  ),
  ofStep(
    "release: takes whichever hold came last",
    instead("Release", (original, record) =>
      record !== undefined && record.holds.length > 0
        ? {
            record: { ...record, holds: record.holds.slice(0, -1), version: record.version + 1 },
            outcome: { _tag: "Released", remaining: record.holds.length - 1 }
          }
        : original
    )
  ),
  ofStep(
    "release: deletes the record",
    instead("Release", (original) =>
      original.record?.holds.length === 0 && original.outcome._tag === "Released"
        ? { ...original, record: undefined }
        : original
    )
  ),
  ofStep(
    "release: keeps the version",
    instead("Release", (original, record) =>
      original.outcome._tag === "Released"
        ? { ...original, record: { ...original.record!, version: record!.version } }
        : original
    )
  ),
  ofStep("revoke: leaseEnd frees at once", (record, request, now) =>
    LockRecord.step(record, request._tag === "Revoke" ? { ...request, when: "now" } : request, now)
  ),
  ofStep("revoke: does not look at the token", (record, request, now) =>
    LockRecord.step(record, request._tag === "Revoke" ? { ...request, token: record?.token ?? 0 } : request, now)
  ),
  ofPurge("purge: also of a live row", (_record, _before, now) => now > 0),
  ofPurge(
    "purge: of a free row, however young",
    (record, before) => record.holds.length === 0 || record.leaseExpireTime < before
  ),
  ofPurge(
    "purge: of a row that is just over, not older",
    (record, _before, now) => record.leaseExpireTime <= now,
    "With one clock, `max(clock, 1)` is above every token of a lease that has ended. What the hour's memory is for are clocks that step back."
  ),
  ofRule("client: the deadline counts from the answer", {
    deadline: (_start, answered, lease, validFor, margin) => answered + Math.min(lease, validFor) - margin
  }),
  ofRule("client: the deadline of a repeat is a whole lease", {
    deadline: (start, _answered, lease, _validFor, margin) => start + lease - margin
  }),
  ofRule("client: the deadline has no margin for the clock", {
    deadline: (start, _answered, lease, validFor) => start + Math.min(lease, validFor)
  }),
  ofRule(
    "client: the deadline may be longer than the own lease",
    { deadline: (start, _answered, _lease, validFor, margin) => start + validFor - margin },
    "`validFor` is what is left of the record's lease, and a lease only grows: the hold is safe for that long. The own lease is the cautious half."
  ),
  ofRule("client: an answer may bring the deadline forward", { deadlineGrows: false }, "It only believes less."),
  ofRule("client: a renewal revives a hold past its deadline", { revivesUnnoticed: true }),
  ofRule("client: a renewal revives a hold that is lost", { revivesLost: true }),
  ofRule("client: a hold counts until its release is answered", { endsBeforeRelease: false }),
  ofRule("client: a claim that is not wanted is not released", { settles: false }),
  ofRule("client: claims again under the hold id it is releasing", { freshIdentity: false })
]
