/**
 * Storages that break one rule as other libraries, drivers and servers have broken it. Each is caught by the cases of its rules, and by no others: what these rules see,
 * nothing else did.
 */
import { LockRecord } from "../../src/index.js"
import type { Storage } from "../../src/index.js"
import type { Parts } from "./base.js"
import type { Broken } from "./transitions.js"

type Record = LockRecord.LockRecord

const minute = 60_000_000

/** What a storage knows that keeps holds in a memory of its own beside the data. */
const remembering = (
  renewUnknown: (held: Record, request: LockRecord.Renew, now: number) => LockRecord.Step<LockRecord.RenewOutcome>
): Partial<Parts> => {
  const held = new Map<string, Record>()
  return {
    claim: (record, request, now) => {
      const step = LockRecord.claim(record, request, now)
      if (step.outcome._tag === "Claimed") held.set(request.holdId, step.record!)
      return step
    },
    renew: (record, request, now) => {
      const known = held.get(request.holdId)
      return record === undefined && known !== undefined && known.leaseExpireTime > now
        ? renewUnknown(known, request, now)
        : LockRecord.renew(record, request, now)
    },
    release: (record, request) => {
      held.delete(request.holdId)
      return LockRecord.release(record, request)
    }
  }
}

/** A claim of a free or expired lock, with another token. */
const withToken =
  (token: (last: number, now: number) => number): Parts["claim"] =>
  (record, request, now) => {
    const step = LockRecord.claim(record, request, now)
    if (step.outcome._tag !== "Claimed" || record === undefined || LockRecord.isLive(record, now)) return step
    const next = { ...step.record!, token: token(record.token, now) }
    return { record: next, outcome: { ...step.outcome, record: next } }
  }

/** NotHeld with another record. */
const telling =
  (current: (record: Record, now: number) => Record | undefined): Parts["renew"] =>
  (record, request, now) => {
    const step = LockRecord.renew(record, request, now)
    return step.outcome._tag === "Renewed" || record === undefined
      ? step
      : { record, outcome: { _tag: "NotHeld", current: current(record, now) } }
  }

/** The record as each hold last saw it, for a storage that tells from a cache. */
const cached = (): Partial<Parts> => {
  const seen = new Map<string, Record>()
  return {
    claim: (record, request, now) => {
      const step = LockRecord.claim(record, request, now)
      if (step.outcome._tag === "Claimed") seen.set(request.holdId, step.record!)
      return step
    },
    renew: (record, request, now) => {
      const step = LockRecord.renew(record, request, now)
      const stale = seen.get(request.holdId)
      return step.outcome._tag === "Renewed" ||
        record === undefined ||
        stale === undefined ||
        stale.token === record.token
        ? step
        : { record, outcome: { _tag: "NotHeld", current: stale } }
    }
  }
}

const withoutLabel = <A extends Record>(record: A): A => {
  const { ownerLabel: _, ...rest } = record
  return rest as A
}

const unlabelled = (snapshot: Storage.Snapshot): Storage.Snapshot => ({
  ...snapshot,
  record: withoutLabel(snapshot.record)
})

const labels =
  (
    change: (next: Record, before: Record | undefined, request: LockRecord.Claim, now: number) => Record
  ): Parts["claim"] =>
  (record, request, now) => {
    const step = LockRecord.claim(record, request, now)
    if (step.outcome._tag !== "Claimed") return step
    const next = change(step.record!, record, request, now)
    return { record: next, outcome: { ...step.outcome, record: next } }
  }

const astext = (snapshot: Storage.Snapshot): Storage.Snapshot => ({
  ...snapshot,
  record: { ...snapshot.record, lockBeginTime: String(snapshot.record.lockBeginTime) as unknown as number }
})

/** Caught by these rules at least. */
const also = (rules: ReadonlyArray<string>, name: string, parts: Partial<Parts>): Broken => ({ name, rules, parts })

const kind = (rule: string, name: string, parts: Partial<Parts>): Broken => ({ name, rules: [rule], parts, only: true })

export const kinds: ReadonlyArray<Broken> = [
  // A queue of notifications that is full, a channel that may not be published on.
  kind("hint-never-fails-release", "a hint that cannot be sent fails the release that was made", {
    hintFailure: "fails"
  }),
  kind("hint-never-fails-release", "a hint that cannot be sent takes the release back with it", {
    hintFailure: "undoes"
  }),

  // Memory, disk or quota is full.
  kind("frees-where-it-refuses", "a full server refuses renewals", { refusedWhenFull: ["claim", "renew"] }),
  kind("frees-where-it-refuses", "a full server refuses releases", { refusedWhenFull: ["claim", "release"] }),
  kind("frees-where-it-refuses", "a full server refuses revocations", { refusedWhenFull: ["claim", "revoke"] }),

  // Eviction, flush, restore.
  kind(
    "forgotten-record",
    "a renewal of a record that is gone is answered from memory",
    remembering((held, request, now) => ({
      record: undefined,
      outcome: {
        _tag: "Renewed",
        leaseExpireTime: now + request.lease,
        validFor: Math.max(request.lease, held.leaseExpireTime - now)
      }
    }))
  ),
  kind(
    "forgotten-record",
    "a renewal writes a record again that is gone",
    remembering((held, request, now) => LockRecord.renew(held, request, now))
  ),
  kind(
    "forgotten-record",
    "NotHeld tells a record that is gone",
    remembering((held) => ({ record: undefined, outcome: { _tag: "NotHeld", current: held } }))
  ),
  kind(
    "restored-record",
    "NotHeld takes an older record for none",
    (() => {
      const highest = new Map<string, number>()
      return {
        claim: (record: Record | undefined, request: LockRecord.Claim, now: number) => {
          const step = LockRecord.claim(record, request, now)
          if (step.outcome._tag === "Claimed") highest.set(request.lockId, step.record!.token)
          return step
        },
        renew: telling((record) => (record.token < (highest.get(record.lockId) ?? 0) ? undefined : record))
      }
    })()
  ),

  // A clock that stepped back, or was far ahead once.
  kind("future-token", "a token that is far ahead of the clock is not counted on from", {
    claim: withToken((last, now) => (last > now + minute ? now : Math.max(last + 1, now)))
  }),
  kind("future-token", "a token that is far ahead of the clock is given again", {
    claim: withToken((last, now) => (last > now + minute ? last : Math.max(last + 1, now)))
  }),

  // What a driver makes of numbers.
  also(["answer-shape", "specification"], "get tells times as text", { get: astext }),
  kind("answer-shape", "list tells times as text", { list: (all) => all.map(astext) }),
  also(["answer-shape", "specification"], "the holder's lease is left out of Held", {
    claimAnswer: (outcome) =>
      outcome._tag === "Held" && outcome.holder !== undefined
        ? { ...outcome, holder: { ...outcome.holder, leaseExpireTime: undefined as unknown as number } }
        : outcome
  }),
  kind("answer-shape", "Held tells the time to come again as text", {
    claimAnswer: (outcome) =>
      outcome._tag === "Held" ? { ...outcome, retryAfter: String(outcome.retryAfter) as unknown as number } : outcome
  }),
  kind("answer-shape", "a revoked lock's record has no times", {
    renew: telling((record) =>
      record.holds[0] === LockRecord.revokedHold ? { ...record, lockBeginTime: Number.NaN } : record
    )
  }),

  // What NotHeld tells.
  also(["no-renewal-after-expiry", "specification"], "NotHeld tells nothing of a hold that has expired", {
    renew: telling((record, now) => (record.holds.length > 0 && record.leaseExpireTime <= now ? undefined : record))
  }),
  also(["revoke-lease-end-blocks", "answer-shape"], "NotHeld tells nothing of a lock that was revoked", {
    renew: telling((record) => (record.holds[0] === LockRecord.revokedHold ? undefined : record))
  }),
  also(["no-renewal-after-release", "answer-shape", "specification"], "NotHeld tells nothing of a free lock", {
    renew: telling((record) => (record.holds.length === 0 ? undefined : record))
  }),
  also(["late-never-touches-successor", "no-renewal-after-release"], "NotHeld tells the former record", cached()),

  // Who it is, for people.
  kind("owner-label", "the label is lost where a record is read", { get: unlabelled }),
  kind("owner-label", "the label is lost in Held", {
    claimAnswer: (outcome) =>
      outcome._tag === "Held" && outcome.holder !== undefined
        ? { ...outcome, holder: withoutLabel(outcome.holder) }
        : outcome
  }),
  kind("owner-label", "the label is lost in lists", { list: (all) => all.map(unlabelled) }),
  kind("owner-label", "the label of the former holder stays with the next one", {
    claim: labels((next, before, request) =>
      request.ownerLabel || before === undefined ? next : { ...next, ...LockRecord.labelled(before.ownerLabel) }
    )
  }),
  kind("owner-label", "a deeper claim changes the label", {
    claim: labels((next, before, request, now) =>
      before !== undefined && LockRecord.isLive(before, now)
        ? { ...next, ...LockRecord.labelled(request.ownerLabel) }
        : next
    )
  }),
  kind("owner-label", "an owner with another label is another owner", {
    claim: (record, request, now) =>
      record !== undefined && LockRecord.isLive(record, now) && (record.ownerLabel ?? "") !== (request.ownerLabel ?? "")
        ? { record, outcome: { _tag: "Held", holder: record, retryAfter: record.leaseExpireTime - now } }
        : LockRecord.claim(record, request, now)
  }),
  kind("owner-label", "who has the label of the holder has the lock", {
    claim: (record, request, now) =>
      LockRecord.claim(
        record !== undefined && record.ownerLabel && record.ownerLabel === request.ownerLabel
          ? { ...record, ownerId: request.ownerId }
          : record,
        request,
        now
      )
  }),
  kind("owner-label", "a label is cut where it has more than ASCII", {
    claim: labels((next) => ({ ...next, ...LockRecord.labelled(next.ownerLabel?.replace(/[^\x20-\x7e]/g, "?")) }))
  }),
  kind("owner-label", "a revoked lock keeps the label of its former holder", {
    revoke: (record, request, now) => {
      const step = LockRecord.revoke(record, request, now)
      return step.record === undefined || step.record === record || step.record.holds[0] !== LockRecord.revokedHold
        ? step
        : { ...step, record: { ...step.record, ...LockRecord.labelled(record?.ownerLabel) } }
    }
  })
]
