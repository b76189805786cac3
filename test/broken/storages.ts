/** Storages that break one rule in how they compare, tell time, answer, list, remember, or stand among others. */
import * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import { LockRecord } from "../../src/index.js"
import { shiftDate } from "../../src/testing/index.js"
import type { Broken } from "./transitions.js"

const second = 1_000_000

const rounded = (round: (n: number) => number, unit = second): Broken["parts"] => ({
  claim: (record, request, now) => {
    const step = LockRecord.claim(record, request, now)
    if (step.outcome._tag !== "Claimed" || step.record === record) return step
    const next = { ...step.record!, leaseExpireTime: round(step.record!.leaseExpireTime / unit) * unit }
    return { record: next, outcome: { _tag: "Claimed", record: next, validFor: next.leaseExpireTime - now } }
  }
})

/** Judges by the record, but answers with what was asked for. */
const roundedSilently = (round: (n: number) => number): Broken["parts"] => ({
  ...rounded(round),
  claimAnswer: (outcome, request) => (outcome._tag === "Claimed" ? { ...outcome, validFor: request.lease } : outcome)
})

const former = () => {
  const last = new Map<string, LockRecord.LockRecord>()
  const before = new Map<string, LockRecord.LockRecord>()
  return {
    claim: (
      record: LockRecord.LockRecord | undefined,
      request: LockRecord.Claim,
      now: number
    ): LockRecord.Step<LockRecord.ClaimOutcome> => {
      const step = LockRecord.claim(record, request, now)
      if (step.outcome._tag === "Claimed") {
        const previous = last.get(request.lockId)
        if (previous !== undefined && previous.token !== step.record!.token) before.set(request.lockId, previous)
        last.set(request.lockId, step.record!)
        return step
      }
      return { ...step, outcome: { ...step.outcome, holder: before.get(request.lockId) ?? record } }
    }
  }
}

const clientTime = Effect.map(Clock.currentTimeMillis, (millis) => millis * 1000)

export const storages: ReadonlyArray<Broken> = [
  { name: "ids are folded to one case", rules: ["lock-ids-byte-for-byte"], parts: { key: (id) => id.toLowerCase() } },
  {
    name: "trailing blanks of ids are padding",
    rules: ["lock-ids-byte-for-byte"],
    parts: { key: (id) => id.trimEnd() }
  },
  {
    name: "ids are brought to a normal form",
    rules: ["lock-ids-byte-for-byte"],
    parts: { key: (id) => id.normalize("NFC") }
  },
  {
    name: "ids lose what is not printed",
    rules: ["lock-ids-byte-for-byte"],
    parts: { key: (id) => id.replace(/[\u200b\u00ad\ufeff]/g, "") }
  },
  {
    name: "ids are paths",
    rules: ["lock-ids-byte-for-byte"],
    parts: { key: (id) => new URL(`file:///${encodeURIComponent(id).replace(/%2F/g, "/")}`).pathname }
  },
  { name: "ids are cut at 200 characters", rules: ["long-ids"], parts: { key: (id) => id.slice(0, 200) } },
  {
    name: "owner ids are folded to one case",
    rules: ["owner-ids-byte-for-byte"],
    parts: { owner: (id) => id.toLowerCase() }
  },
  {
    name: "trailing blanks of owner ids are padding",
    rules: ["owner-ids-byte-for-byte"],
    parts: { owner: (id) => id.trimEnd() }
  },
  {
    name: "owner ids are compared in a normal form",
    rules: ["owner-ids-byte-for-byte"],
    parts: { owner: (id) => id.normalize("NFC") }
  },
  { name: "owner ids are cut at 200 characters", rules: ["long-ids"], parts: { owner: (id) => id.slice(0, 200) } },

  {
    name: "the client's clock ends leases",
    rules: ["storage-clock"],
    parts: { time: (world) => Effect.map(clientTime, (now) => now - 1.7e15 + world.now) }
  },
  {
    name: "the client's Date ends leases",
    rules: ["storage-clock"],
    parts: { time: (world) => Effect.sync(() => new Date().getTime() * 1000 - 1.7e15 + world.now) },
    hooks: { shiftClient: shiftDate }
  },
  { name: "lease ends are cut to whole seconds", rules: ["lease-length", "claim-free"], parts: rounded(Math.floor) },
  {
    name: "lease ends are rounded up to whole seconds",
    rules: ["lease-length", "claim-free"],
    parts: rounded(Math.ceil)
  },
  {
    name: "lease ends are cut to whole seconds, which no answer tells",
    rules: ["lease-length"],
    parts: roundedSilently(Math.floor)
  },
  {
    name: "lease ends are rounded up to whole seconds, which no answer tells",
    rules: ["lease-length"],
    parts: roundedSilently(Math.ceil)
  },
  {
    name: "it says that its clock counts microseconds, and it counts milliseconds",
    rules: ["grain"],
    parts: { time: () => Effect.sync(() => Date.now() * 1000) },
    hooks: { advance: undefined }
  },
  {
    name: "it keeps leases in milliseconds, and says in microseconds",
    rules: ["grain"],
    parts: rounded(Math.ceil, 1_000)
  },
  {
    name: "get tells the whole lease, not what is left of it",
    rules: ["valid-for"],
    parts: { validFor: (record) => record.leaseExpireTime - record.lockBeginTime }
  },
  {
    name: "the answer to a claim tells the lease that was asked for, not what the record has",
    rules: ["leases-only-grow"],
    parts: {
      claimAnswer: (outcome, request) =>
        outcome._tag === "Claimed" ? { ...outcome, validFor: request.lease } : outcome
    }
  },

  {
    name: "Held does not say by whom",
    rules: ["life-timeout", "held-names-holder", "race-one-winner"],
    parts: { claimAnswer: (outcome) => (outcome._tag === "Held" ? { _tag: "Held" } : outcome) }
  },
  { name: "Held names the former holder", rules: ["held-names-present-holder", "specification"], parts: former() },
  {
    name: "Held does not say until when",
    rules: ["held-names-holder"],
    parts: { claimAnswer: (outcome) => (outcome._tag === "Held" ? { _tag: "Held", holder: outcome.holder } : outcome) }
  },

  { name: "get shows locks that have expired", rules: ["get"], parts: { isLive: (record) => record.holds.length > 0 } },
  {
    name: "get and list show free locks",
    rules: ["get", "list"],
    parts: { isLive: (record, now) => record.leaseExpireTime > now }
  },
  { name: "list ends after its first page", rules: ["list"], parts: { list: (all) => all.slice(0, 100) } },
  {
    name: "list shows the last of a page again",
    rules: ["list"],
    parts: { list: (all) => all.flatMap((one, i) => (i % 100 === 99 ? [one, one] : [one])) }
  },
  {
    name: "renew answers in the order of the locks",
    rules: ["renew-many-in-order"],
    parts: { renewAnswers: (all) => [...all].reverse() }
  },
  {
    name: "renew answers the first hundred",
    rules: ["renew-many-in-order"],
    parts: { renewAnswers: (all) => all.slice(0, 100) }
  },
  {
    name: "renew answers what was renewed, and nothing else",
    rules: ["renew-many-in-order"],
    parts: { renewAnswers: (all) => all.filter(({ _tag }) => _tag === "Renewed") }
  },

  {
    name: "a freed record is deleted, and a token counts on from the last",
    rules: ["tokens-grow"],
    parts: {
      claim: (record, request, now) => {
        const step = LockRecord.claim(record, request, now)
        if (step.outcome._tag !== "Claimed" || (record !== undefined && LockRecord.isLive(record, now))) return step
        const next = { ...step.record!, token: (record?.token ?? 0) + 1, version: (record?.version ?? 0) + 1 }
        return { record: next, outcome: { ...step.outcome, record: next } }
      },
      afterWrite: (records, key) => {
        if (records.get(key)!.holds.length === 0) records.delete(key)
      }
    }
  },
  {
    name: "purge drops every lock that is old enough, held or not",
    rules: ["purge-spares-live"],
    parts: { dropped: (record, now, memory) => record.lockBeginTime < now - memory }
  },
  {
    name: "purge forgets what has just been freed",
    rules: ["purge-keeps-an-hour"],
    parts: { purgeMemory: (olderThan) => olderThan }
  },
  {
    name: "purge drops nothing",
    rules: ["purge-keeps-an-hour", "tokens-grow-over-purge"],
    parts: { dropped: () => false }
  },
  {
    name: "reading a lock changes it",
    rules: ["versions-grow"],
    parts: {
      onRead: (records, key) => {
        const record = records.get(key)
        if (record !== undefined) records.set(key, { ...record, version: record.version + 1 })
      }
    }
  },

  { name: "each build of the layer has locks of its own", rules: ["shared"], parts: { sharedByBuilds: false } },
  {
    name: "it takes part in the program's transaction",
    rules: ["outside-transactions"],
    parts: { joinsTransaction: true }
  },
  { name: "interrupting one operation cancels another", rules: ["interruption"], parts: { cancelsInnocents: true } },
  { name: "a lost reply is told as not applied", rules: ["lost-reply"], parts: { lostReplySays: "no" } },
  { name: "it waits for a hanging server for ever", rules: ["time-limit"], parts: { keepsTimeLimit: false } },
  { name: "a restart forgets everything", rules: ["restart"], parts: { survivesRestart: false } },
  {
    name: "wake-ups name no lock that anybody knows",
    rules: ["wake-ups"],
    parts: { wake: (lockId) => `channel:${lockId}` }
  },
  { name: "wake-ups that it has never come", rules: ["wake-ups"], parts: { wake: () => undefined } },
  {
    name: "claim reads, then writes, and others come between",
    rules: ["race-one-winner", "race-takeover", "race-reentry", "mutual-exclusion"],
    parts: { torn: ["claim"] }
  },
  {
    name: "release reads, then writes, and others come between",
    rules: ["race-reentry", "race-repeat"],
    parts: { torn: ["release"] }
  },
  {
    name: "renew reads, then writes, and others come between",
    rules: ["race-renewal"],
    parts: { torn: ["renew"] }
  },
  {
    name: "a renewal finds one hold of a lock, waits, and finds no other when that is given back",
    rules: ["race-renewal"],
    parts: { renewsFoundAlone: true }
  }
]
