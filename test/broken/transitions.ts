/** Storages that break one rule in what claim, renew, release or revoke do to a record. */
import { LockRecord } from "../../src/index.js"
import type * as Conformance from "../../src/testing/index.js"
import type { Parts } from "./base.js"

export interface Broken {
  readonly name: string
  /** The rules whose cases must catch it: each of them. Other cases may catch it too. */
  readonly rules: ReadonlyArray<string>
  readonly parts: Partial<Parts>
  /** No case of any other rule may catch it. */
  readonly only?: boolean
  /** In place of the usual ones. */
  readonly hooks?: Partial<Conformance.Hooks>
}

type Record = LockRecord.LockRecord

/** A claim whose result is changed where it took the lock, or deepened it. */
const onClaimed =
  (
    change: (
      next: Record,
      before: Record | undefined,
      request: LockRecord.Claim,
      now: number,
      deeper: boolean
    ) => Record
  ): Parts["claim"] =>
  (record, request, now) => {
    const step = LockRecord.claim(record, request, now)
    if (step.outcome._tag !== "Claimed" || step.record === record) return step
    const deeper = record !== undefined && LockRecord.isLive(record, now)
    const next = change(step.record!, record, request, now, deeper)
    return { record: next, outcome: { _tag: "Claimed", record: next, validFor: next.leaseExpireTime - now } }
  }

const renewing =
  (may: (record: Record, request: LockRecord.Renew, now: number) => boolean, grow = true): Parts["renew"] =>
  (record, request, now) => {
    if (record === undefined) return { record, outcome: { _tag: "NotHeld" } }
    if (!may(record, request, now)) {
      return { record, outcome: { _tag: "NotHeld", current: LockRecord.isLive(record, now) ? record : undefined } }
    }
    const leaseExpireTime = grow ? Math.max(record.leaseExpireTime, now + request.lease) : now + request.lease
    return {
      record: { ...record, version: record.version + 1, leaseExpireTime },
      outcome: { _tag: "Renewed", leaseExpireTime, validFor: leaseExpireTime - now }
    }
  }

/** Whoever held it under any hold id: what a storage remembers that knows owners, and no holds. */
const ownerOf = new Map<string, string>()
const rememberOwner: Parts["claim"] = (record, request, now) => {
  ownerOf.set(request.holdId, request.ownerId)
  return LockRecord.claim(record, request, now)
}
const byOwner = (record: Record, holdId: string) => ownerOf.get(holdId) === record.ownerId

const withoutCurrent: Parts["renew"] = (record, request, now) => {
  const step = LockRecord.renew(record, request, now)
  return step.outcome._tag === "NotHeld" ? { ...step, outcome: { _tag: "NotHeld" } } : step
}

/** Takes every record for one of an exclusive lock. */
const kindless =
  (step: Parts["renew"]): Parts["renew"] =>
  (record, request, now) => {
    if (record === undefined) return step(record, request, now)
    const seen = { ...record, kind: LockRecord.exclusive }
    const next = step(seen, request, now)
    return next.record === seen ? { ...next, record } : { ...next, record: { ...next.record!, kind: record.kind } }
  }

export const transitions: ReadonlyArray<Broken> = [
  {
    name: "tokens restart with each hold of a lock",
    rules: ["life-waiting", "life-takeover", "tokens-grow", "specification"],
    parts: { claim: onClaimed((next, _, __, ___, deeper) => (deeper ? next : { ...next, token: 1 })) }
  },
  {
    name: "tokens count from one, and a purge forgets them",
    rules: ["tokens-grow-over-purge"],
    parts: {
      claim: onClaimed((next, before, _, __, deeper) => (deeper ? next : { ...next, token: (before?.token ?? 0) + 1 }))
    }
  },
  {
    name: "tokens are beyond what a number can tell apart",
    rules: ["claim-free", "tokens-grow"],
    parts: {
      claim: onClaimed((next, _, __, ___, deeper) => (deeper ? next : { ...next, token: next.token * 1000 + 2 ** 60 }))
    }
  },
  {
    name: "a deeper hold gets a new token",
    rules: ["reentry", "race-reentry", "specification"],
    parts: { claim: onClaimed((next, _, __, ___, deeper) => (deeper ? { ...next, token: next.token + 1 } : next)) }
  },
  {
    name: "a deeper hold restarts the begin",
    rules: ["reentry"],
    parts: {
      claim: onClaimed((next, _, __, now, deeper) => (deeper ? { ...next, lockBeginTime: now } : next))
    }
  },
  {
    name: "versions stand still",
    rules: ["versions-grow", "specification"],
    parts: {
      renew: (record, request, now) => {
        const step = LockRecord.renew(record, request, now)
        return step.record === record ? step : { ...step, record: { ...step.record!, version: record!.version } }
      }
    }
  },
  {
    name: "a deeper hold is no change of version",
    rules: ["versions-grow", "reentry", "specification"],
    parts: {
      claim: onClaimed((next, before, _, __, deeper) => (deeper ? { ...next, version: before!.version } : next))
    }
  },
  {
    name: "an inner hold shortens the lease",
    rules: ["leases-only-grow", "specification"],
    parts: {
      claim: onClaimed((next, _, request, now, deeper) =>
        deeper ? { ...next, leaseExpireTime: now + request.lease } : next
      )
    }
  },
  {
    name: "a renewal shortens the lease",
    rules: ["renewal-only-lengthens", "specification"],
    parts: {
      renew: renewing(
        (record, request, now) => LockRecord.isLive(record, now) && record.holds.includes(request.holdId),
        false
      )
    }
  },
  {
    name: "a renewal lengthens nothing",
    rules: ["life-refresh", "renewal-keeps", "renewal-only-lengthens", "specification"],
    parts: {
      renew: (record, request, now) => {
        const step = LockRecord.renew(record, request, now)
        return step.outcome._tag === "NotHeld"
          ? step
          : { ...step, record: { ...record!, version: record!.version + 1 } }
      }
    }
  },
  {
    name: "the same claim again deepens",
    rules: ["idempotent-by-hold-id", "race-repeat", "specification"],
    parts: {
      claim: (record, request, now) => {
        if (record === undefined || !LockRecord.isLive(record, now) || !record.holds.includes(request.holdId)) {
          return LockRecord.claim(record, request, now)
        }
        const next = { ...record, holds: [...record.holds, `${request.holdId}'`], version: record.version + 1 }
        return { record: next, outcome: { _tag: "Claimed", record: next, validFor: next.leaseExpireTime - now } }
      }
    }
  },
  {
    name: "the same claim again takes a fresh lease in its answer, which the record has not",
    rules: ["repeat-tells-what-is-left"],
    parts: {
      claimAnswer: (outcome, request) =>
        outcome._tag === "Claimed" && outcome.record.holds.includes(request.holdId)
          ? { ...outcome, validFor: Math.max(outcome.validFor, request.lease) }
          : outcome
    }
  },
  {
    name: "holds are counted, not named: any release takes one",
    rules: [
      "release-frees-one-hold",
      "release-by-hold-id",
      "late-never-touches-successor",
      "former-hold-of-same-owner",
      "specification"
    ],
    parts: {
      release: (record, request) =>
        record === undefined || record.holds.length === 0
          ? { record, outcome: { _tag: "NotHeld" } }
          : LockRecord.release(record, { ...request, holdId: record.holds[record.holds.length - 1]! })
    }
  },
  {
    name: "release is by owner",
    rules: ["release-frees-one-hold", "former-hold-of-same-owner"],
    parts: {
      claim: rememberOwner,
      release: (record, request) =>
        record !== undefined && record.holds.length > 0 && byOwner(record, request.holdId)
          ? LockRecord.release(record, { ...request, holdId: record.holds[0]! })
          : { record, outcome: { _tag: "NotHeld" } }
    }
  },
  {
    name: "a release frees the whole lock, whoever holds it deeper",
    rules: ["life-reentry", "reentry", "race-reentry", "specification"],
    parts: {
      release: (record, request) =>
        record !== undefined && record.holds.includes(request.holdId)
          ? {
              record: { ...record, holds: [], version: record.version + 1 },
              outcome: { _tag: "Released", remaining: 0 }
            }
          : { record, outcome: { _tag: "NotHeld" } }
    }
  },
  {
    name: "a release is told, but not made",
    rules: ["life-scope", "life-with-lock", "specification"],
    parts: {
      release: (record, request) => {
        const { outcome } = LockRecord.release(record, request)
        return { record, outcome }
      }
    }
  },
  {
    name: "renewal is by owner",
    rules: ["former-hold-of-same-owner", "no-renewal-after-release"],
    parts: {
      claim: rememberOwner,
      renew: renewing((record, request, now) => LockRecord.isLive(record, now) && byOwner(record, request.holdId))
    }
  },
  {
    name: "an expired hold that nobody took is renewed",
    rules: ["no-renewal-after-expiry"],
    parts: { renew: renewing((record, request) => record.holds.includes(request.holdId)) }
  },
  {
    name: "a renewal brings an expired hold back over its successor",
    rules: ["life-lost", "late-never-touches-successor"],
    parts: {
      renew: (record, request, now) => {
        if (record === undefined || record.holds.includes(request.holdId)) return LockRecord.renew(record, request, now)
        const next = {
          ...record,
          holds: [request.holdId],
          version: record.version + 1,
          leaseExpireTime: now + request.lease
        }
        return {
          record: next,
          outcome: { _tag: "Renewed", leaseExpireTime: next.leaseExpireTime, validFor: request.lease }
        }
      }
    }
  },
  {
    name: "a renewal that is refused does not tell who has the lock",
    rules: ["late-never-touches-successor", "no-renewal-after-release", "renew-many-in-order", "specification"],
    parts: { renew: withoutCurrent }
  },
  {
    name: "a released hold is renewed",
    rules: ["no-renewal-after-release"],
    parts: {
      renew: (record, request, now) =>
        record !== undefined && record.holds.length === 0
          ? {
              record: {
                ...record,
                holds: [request.holdId],
                version: record.version + 1,
                leaseExpireTime: now + request.lease
              },
              outcome: { _tag: "Renewed", leaseExpireTime: now + request.lease, validFor: request.lease }
            }
          : LockRecord.renew(record, request, now)
    }
  },
  {
    name: "a contended claim writes",
    rules: ["contended-claim-only-reads", "specification"],
    parts: {
      claim: (record, request, now) => {
        const step = LockRecord.claim(record, request, now)
        return step.outcome._tag === "Held" ? { ...step, record: { ...record!, version: record!.version + 1 } } : step
      }
    }
  },
  {
    name: "a contended claim renews the holder",
    rules: ["life-takeover", "contended-claim-only-reads"],
    parts: {
      claim: (record, request, now) => {
        const step = LockRecord.claim(record, request, now)
        return step.outcome._tag === "Held"
          ? { ...step, record: { ...record!, leaseExpireTime: Math.max(record!.leaseExpireTime, now + request.lease) } }
          : step
      }
    }
  },
  {
    name: "everybody gets the lock",
    rules: [
      "life-try",
      "life-exclusion",
      "life-interruption",
      "held-names-holder",
      "race-one-winner",
      "race-takeover",
      "mutual-exclusion",
      "specification"
    ],
    parts: { claim: (_, request, now) => LockRecord.claim(undefined, request, now) }
  },
  {
    name: "revoked at once, it stays held",
    rules: ["revoke-now-frees", "specification"],
    parts: { revoke: (record, request, now) => LockRecord.revoke(record, { ...request, when: "leaseEnd" }, now) }
  },
  {
    name: "revoked for its lease end, it is free at once",
    rules: ["revoke-lease-end-blocks", "revoke-lease-end-ends", "specification"],
    parts: { revoke: (record, request, now) => LockRecord.revoke(record, { ...request, when: "now" }, now) }
  },
  {
    name: "revoked for its lease end, it blocks for ever",
    rules: ["revoke-lease-end-ends"],
    parts: {
      revoke: (record, request, now) => {
        const step = LockRecord.revoke(record, request, now)
        return step.record === record || request.when === "now"
          ? step
          : { ...step, record: { ...step.record!, leaseExpireTime: now + 1e15 } }
      }
    }
  },
  {
    name: "revoked for its lease end, its former owner deepens it",
    rules: ["revoke-lease-end-blocks", "specification"],
    parts: {
      revoke: (record, request, now) => {
        const step = LockRecord.revoke(record, request, now)
        return step.record === record || request.when === "now"
          ? step
          : { ...step, record: { ...step.record!, ownerId: record!.ownerId } }
      }
    }
  },
  ...(["renew", "release", "revoke"] as const).map((operation): Broken => ({
    name: `${operation} asks for no kind`,
    rules: ["other-kinds"],
    only: true,
    parts: { [operation]: kindless(LockRecord[operation] as Parts["renew"]) }
  })),
  {
    name: "a revocation asks for no token",
    rules: ["revoke-by-token", "specification"],
    parts: {
      revoke: (record, request, now) => LockRecord.revoke(record, { ...request, token: record?.token ?? 0 }, now)
    }
  }
]
