/**
 * The transition of the kinds, against what must hold whatever comes in whatever order: random schedules of requests, repeats, lost answers, late copies, revokes, exclusive claims and leases that run out,
 * over one record, by a clock or observed by several processes whose reads come late.
 */
import * as assert from "./assert.js"
import * as LockKind from "../../src/LockKind.js"
import * as LockRecord from "../../src/LockRecord.js"
import * as observations from "../../src/kinds/observed.js"
import { readWrite } from "../../src/kinds/readWrite.js"
import * as random from "../../src/testing/random.js"
import { expected, read } from "./oracle.js"

/** What a process believes to have: until when, on the true time. */
interface Belief {
  readonly holdId: string
  readonly ownerId: string
  readonly mode: LockRecord.Mode | undefined
  readonly permits: number
  readonly limit: number
  token: number
  until: number
  over: boolean
  /** By what knows no kinds, until its lease ends. */
  revoked: boolean
}

const second = 1_000_000

/** As versions before there were kinds took a lock away: they did not ask of what kind it is. */
const revokedByOld = (record: LockRecord.LockRecord, when: LockRecord.Revoke["when"], now: number) => {
  const { kind, lockId, token, version } = record
  const { outcome, record: next } = LockRecord.revoke(
    { ...record, kind: LockRecord.exclusive },
    { lockId, token, when },
    now
  )
  return { outcome, record: next!.version === version ? record : { ...next!, kind } }
}

/** Runs one, and throws with its last steps if something is wrong. Tells how often a lock was granted. */
export const run = (kind: LockKind.LockKind, isObserved: boolean, seed: number) => {
  const dice = random.seeded(seed)
  let record: LockRecord.LockRecord | undefined
  let time = 1_700_000_000_000_000
  const trace: Array<() => string> = []
  const beliefs: Array<Belief> = []
  const processes = Array.from({ length: 3 }, () => observations.make())
  /** Requests that may arrive again. */
  const copies: Array<() => void> = []
  let ids = 0
  let tokens = 0
  let written = 0
  /** Whose the newest token is. */
  let newest = ""
  let version = 0
  let grants = 0

  const momentOf = (process: observations.Observations): LockKind.Moment => {
    if (!isObserved) return LockKind.at(time)
    const left = process.look(record === undefined ? [] : kind.leases(record), time, "a")
    return { now: 0, left, isObserved, times: (lease, begin) => ({ lockBeginTime: begin, leaseExpireTime: lease.end }) }
  }

  const apply = <O>(what: () => string, step: LockRecord.Step<O>): O => {
    const at = time
    trace.push(() => `${at}: ${what()} -> ${JSON.stringify(step.outcome)}`)
    if (step.record !== record) {
      assert.isAbove(step.record!.version, version, "every change makes the version greater")
      version = step.record!.version
      record = step.record
    }
    return step.outcome
  }

  const isLive = (belief: Belief) => !belief.over && belief.until > time
  const live = () => beliefs.filter(isLive)

  /** What must hold at every moment. */
  const check = () => {
    const all = live()
    if (kind === readWrite) {
      for (const one of all)
        for (const other of all)
          if (one.ownerId !== other.ownerId) {
            assert.isFalse(one.mode === "write", "who writes is alone")
            assert.isFalse(one.mode === "upgradable" && other.mode === "upgradable", "one may upgrade")
          }
    } else {
      const sum = all.reduce((sum, { permits }) => sum + permits, 0)
      for (const { limit } of all) assert.isAtMost(sum, limit, "permits never exceed the limit of any that is held")
    }
    if (record !== undefined && record.kind === kind.name) {
      assert.strictEqual(record.ownerId, "")
      for (const { holdId, revoked } of all)
        assert.isTrue(revoked || record.holds.includes(holdId), "no live hold is dropped")
    }
  }

  const claim = (process: observations.Observations, wanted: LockRecord.Claim) => () => {
    const start = time
    const moment = momentOf(process)
    const before = record
    const mayHave = expected(kind.name, record, wanted, moment.left)
    const outcome = apply(() => `claim ${JSON.stringify(wanted)}`, kind.claim(record, wanted, moment))
    assert.strictEqual(outcome._tag, mayHave.granted ? "Claimed" : "Held", mayHave.why)
    if (outcome._tag !== "Claimed") {
      assert.isAbove(outcome.retryAfter!, 0)
      const { pending } = read(record!)
      assert.strictEqual(
        outcome.pending === true,
        pending?.id === wanted.holdId && wanted.waits === true,
        "who has a place is told so"
      )
      if (wanted.waits !== true) assert.strictEqual(record, before, "who only tries writes nothing")
      return
    }
    assert.isFalse(read(record!).pending?.id === wanted.holdId, "who is in does not wait any more")
    const known = beliefs.find(({ holdId }) => holdId === wanted.holdId)
    // A late copy, of a claim whose hold is over or was given back, is a ghost: the core releases it. Nobody believes in it.
    if (known !== undefined) {
      if (!isLive(known)) known.revoked = false
      // One that writes gives all holds of its owner a newer token.
      for (const each of live())
        if (kind === readWrite && each.ownerId === known.ownerId)
          each.token = Math.max(each.token, outcome.record.token)
      if (isLive(known) && !known.revoked) {
        assert.strictEqual(outcome.record.token, known.token, "a repeat has its own token")
        // Who repeats a claim has had no answer to the first one, and believes this one.
        known.until = Math.max(known.until, start + Math.min(outcome.validFor, wanted.lease))
      }
      return
    }
    grants++
    const { token } = outcome.record
    const siblings = live().filter(({ ownerId }) => ownerId === wanted.ownerId)
    if (kind !== readWrite) assert.isAbove(token, tokens, "tokens grow")
    // As a fenced resource judges: who writes must be as new as all before, who reads as all who wrote.
    else if (wanted.mode === "write")
      assert.isAtLeast(token, newest === wanted.ownerId ? tokens : tokens + 1, "who writes has the newest token")
    else assert.isAtLeast(token, written, "who reads has a token as new as who wrote last")
    if (token >= tokens) newest = wanted.ownerId
    tokens = Math.max(tokens, token)
    if (wanted.mode === "write") {
      written = token
      for (const sibling of siblings) sibling.token = token
    }
    // Counted from its start, as the core does.
    beliefs.push({
      holdId: wanted.holdId,
      ownerId: wanted.ownerId,
      mode: wanted.mode,
      permits: wanted.permits ?? 1,
      limit: wanted.limit ?? 1,
      token: outcome.record.token,
      until: start + Math.min(outcome.validFor, wanted.lease),
      over: false,
      revoked: false
    })
  }

  const step = () => {
    const process = dice.pick(processes)
    const chance = dice.below(100)
    const mine =
      dice.chance(80) && live().length > 0 ? dice.pick(live()) : beliefs.length > 0 ? dice.pick(beliefs) : undefined
    if (chance < 45) {
      const request: LockRecord.Claim = {
        lockId: "a",
        ownerId: `o${dice.below(4)}`,
        holdId: String(++ids).padStart(22, "h"),
        lease: dice.pick([2, 5, 12]) * second,
        waits: dice.chance(60),
        ...(kind === readWrite
          ? { mode: dice.pick(["read", "read", "upgradable", "write"] as const) }
          : { permits: 1 + dice.below(3), limit: 3 + dice.below(3) })
      }
      const ask = claim(process, request)
      ask()
      if (dice.chance(30)) copies.push(ask)
    } else if (chance < 60 && mine !== undefined) {
      const lease = dice.pick([2, 5, 12]) * second
      const outcome = apply(
        () => `renew ${mine.holdId}`,
        kind.renew(record, { lockId: "a", holdId: mine.holdId, lease }, momentOf(process))
      )
      if (outcome._tag === "Renewed") {
        assert.isFalse(mine.revoked, "what was taken away is not renewed")
        if (isLive(mine)) mine.until = Math.max(mine.until, time + Math.min(outcome.validFor, lease))
      } else assert.isFalse(isLive(mine) && !mine.revoked, "nobody who has it is told that they have not")
    } else if (chance < 78 && mine !== undefined) {
      mine.over = true
      apply(() => `release ${mine.holdId}`, kind.release(record, { lockId: "a", holdId: mine.holdId }))
    } else if (chance < 82 && mine !== undefined) {
      // Who takes away at once knows that its holder may go on: here it has been told.
      const now = dice.chance(50)
      const when = now ? ("now" as const) : ("leaseEnd" as const)
      const outcome = apply(
        () => `revoke ${mine.token}, ${when}`,
        kind.revoke(record, { lockId: "a", token: mine.token, when }, momentOf(process))
      )
      if (outcome._tag === "Revoked")
        for (const each of beliefs)
          if (each.token === mine.token || each.revoked) {
            each.over ||= now
            // Until its lease ends it may go on, and nobody else is let in.
            each.revoked = true
          }
    } else if (chance < 84 && !isObserved && record !== undefined) {
      // An older version of this library: it knows no kinds, and takes all.
      const when = dice.pick(["now", "leaseEnd"] as const)
      const outcome = apply(() => `an exclusive revoke, ${when}`, revokedByOld(record, when, time))
      if (outcome._tag === "Revoked")
        for (const each of live()) {
          each.over = when === "now"
          each.revoked = true
        }
    } else if (chance < 86 && copies.length > 0) copies.splice(dice.below(copies.length), 1)[0]!()
    else if (chance < 89 && !isObserved) {
      const other = LockRecord.claim(
        record,
        { lockId: "a", ownerId: `o${dice.below(4)}`, holdId: String(++ids).padStart(22, "x"), lease: second },
        time
      )
      const outcome = apply(() => "an exclusive claim", other)
      if (outcome._tag === "Claimed") {
        assert.strictEqual(live().length, 0, "an exclusive lock overlaps nothing")
        written = tokens = Math.max(tokens, outcome.record.token)
      }
    } else time += dice.pick([1, 1, 2, 5]) * (second / 2) + dice.below(1000)
    check()
  }

  try {
    for (let i = 0; i < 120; i++) step()
  } catch (error) {
    throw new Error(
      `seed ${seed}: ${(error as Error).message}\n${trace
        .slice(-15)
        .map((line) => line().slice(0, 600))
        .join("\n")}`
    )
  }
  return grants
}
