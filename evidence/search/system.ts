/** The records, the storage and the state's invariants: what a move of `moves.ts` is judged by. */
import * as LockRecord from "../../src/LockRecord.js"
import { type Bound, Call, head, headSize, lockId, Names, slot, slotSize, Stage, type Subject, unit } from "./model.js"
import { brokenBy } from "./rules.js"

type Rec = LockRecord.LockRecord

/** What a request did. */
export interface Applied {
  readonly record: number
  readonly tag: "Claimed" | "Held" | "Renewed" | "Released" | "Revoked" | "NotHeld"
  /** In ticks. */
  readonly validFor: number
  readonly token: number
  readonly broken: string | undefined
}

/** Records are kept once, under a number; the number 0 is no record. */
export class System {
  readonly names: Names
  readonly size: number
  readonly slots: number
  private readonly records: Array<Rec | undefined> = [undefined]
  private readonly numbers = new Map<string, number>()
  private readonly cache = new Map<number, Applied>()
  private readonly permuted: Array<Array<number>> = []

  constructor(
    readonly bound: Bound,
    readonly subject: Subject,
    readonly judgeAnswers: boolean
  ) {
    this.names = new Names(bound)
    this.slots = headSize + bound.late
    this.size = this.slots + this.names.count * slotSize
  }

  initial(): Buffer {
    const state = Buffer.alloc(this.size)
    state[head.tick] = 1
    state[head.revokes] = this.bound.revokes
    state[head.duplicates] = this.bound.duplicates
    return state
  }

  record(state: Buffer): Rec | undefined {
    return this.records[this.recordNumber(state)]
  }

  recordNumber(state: Buffer): number {
    return state[head.recordHigh]! * 256 + state[head.recordLow]!
  }

  setRecord(state: Buffer, number: number): void {
    state[head.recordHigh] = number >> 8
    state[head.recordLow] = number & 255
  }

  storageTick(state: Buffer): number {
    return state[head.tick]! + state[head.skew]!
  }

  now(state: Buffer): number {
    return this.storageTick(state) * unit
  }

  at(index: number): number {
    return this.slots + index * slotSize
  }

  private number(record: Rec | undefined): number {
    if (record === undefined) return 0
    const key = `${record.ownerId}|${record.holds.join()}|${record.token}|${record.version}|${record.leaseExpireTime}`
    let number = this.numbers.get(key)
    if (number === undefined) {
      number = this.records.push(record) - 1
      if (number > 65535 || record.token > 255 || record.version > 255)
        throw new RangeError("the bound is too large for the encoding")
      this.numbers.set(key, number)
    }
    return number
  }

  /** `step` is pure: what it says of one record, request and time is judged once. */
  apply(state: Buffer, kind: number, index: number): Applied {
    const tick = this.storageTick(state)
    const key = ((this.recordNumber(state) * 3 + kind) * 8 + index) * 32 + tick
    let applied = this.cache.get(key)
    if (applied === undefined) {
      applied = this.run(this.record(state), this.names.request(kind, index), tick * unit)
      this.cache.set(key, applied)
    }
    return applied
  }

  revoke(state: Buffer, token: number, when: "leaseEnd" | "now"): Applied {
    return this.run(this.record(state), { _tag: "Revoke", lockId, token, when }, this.now(state))
  }

  private run(before: Rec | undefined, request: LockRecord.Request, now: number): Applied {
    const { outcome, record } = this.subject.step(before, request, now)
    const broken = this.judgeAnswers ? brokenBy(this.subject.step, before, request, now) : undefined
    // Nothing reads the version, and the changes of a live record in one tick are without bound: what is kept is the most that it can be if they
    // are fewer than `unit`. Of a lock that is over only releases are left, and these can be counted.
    const over = before !== undefined && !LockRecord.isLive(before, now) && request._tag === "Release"
    const kept =
      record === undefined || record === before
        ? record
        : {
            ...record,
            lockBeginTime: 0,
            version: over ? record.version : Math.max(before?.version ?? 0, now + unit - 1)
          }
    return {
      record: this.number(kept),
      tag: outcome._tag,
      validFor: outcome.validFor === undefined ? 0 : Math.max(0, Math.floor(outcome.validFor / unit)),
      token: record?.token ?? 0,
      broken:
        broken ??
        (before === undefined && record !== undefined && record.version < now
          ? "a version starts at the clock, above every purged one"
          : undefined)
    }
  }

  /** The same record, in a world in which the clients have other names. */
  permute(permutation: number, number: number, holds: ReadonlyArray<number>): number {
    const known = (this.permuted[permutation] ??= [])
    let result = known[number]
    if (result === undefined) {
      const record = this.records[number]
      const { names } = this
      const from = record?.ownerId === undefined ? -1 : names.owner.indexOf(record.ownerId)
      result =
        record === undefined
          ? 0
          : this.number({
              ...record,
              ownerId: from < 0 ? record.ownerId : names.owner[holds[from]!]!,
              holds: record.holds.map((hold) =>
                names.slotOf.has(hold) ? names.holdId[holds[names.slotOf.get(hold)!]!]! : hold
              )
            })
      known[number] = result
    }
    return result
  }

  believes(state: Buffer, index: number): boolean {
    const at = this.at(index)
    return state[at + slot.stage] === Stage.held && state[head.tick]! < state[at + slot.until]!
  }

  /** The invariant that this state breaks. */
  broken(state: Buffer): string | undefined {
    const { names } = this
    const record = this.record(state)
    const now = this.now(state)
    const live = record !== undefined && record.holds.length > 0 && record.leaseExpireTime > now
    let unwanted = live && record.holds[0] !== LockRecord.revokedHold
    for (let i = 0; i < names.count; i++) {
      const at = this.at(i)
      const inRecord = record !== undefined && record.holds.includes(names.holdId[i]!)
      const stage = state[at + slot.stage]!
      if (inRecord && stage < Stage.settling) unwanted = false
      if (live && inRecord && stage === Stage.gone && state[at + slot.stray] === 0) {
        return "an acquire that is over leaves nothing behind"
      }
      if (!this.believes(state, i)) continue
      const token = state[at + slot.token]!
      const forced = token <= state[at + slot.forced]!
      for (let j = 0; j < names.count; j++) {
        if (j === i || !this.believes(state, j)) continue
        const other = this.at(j)
        if (names.owner[i] === names.owner[j]) continue
        const otherForced = state[other + slot.token]! <= state[other + slot.forced]!
        if (!forced && !otherForced) return "two owners never hold at once"
        if (forced && !otherForced && token >= state[other + slot.token]!)
          return "a holder that was forced out has the smaller token"
      }
      if (forced) continue
      const blocked = live && record.holds[0] === LockRecord.revokedHold && record.token === token
      if (!(live && inRecord) && !blocked) return "who believes to hold is in the live record, or was revoked"
      if (record.token !== token) return "who believes to hold has the token of the present hold period"
    }
    if (unwanted && record!.leaseExpireTime > now + (names.longestLease + this.bound.skew) * unit)
      return "what nobody wants blocks for no longer than a lease"
    return undefined
  }

  /** Times that have passed are all the same. */
  settleTimes(state: Buffer): void {
    const tick = state[head.tick]!
    for (let i = 0; i < this.names.count; i++) {
      const at = this.at(i)
      if (state[at + slot.until]! <= tick) state[at + slot.until] = 0
      if (state[at + slot.unsure]! > tick || state[at + slot.unsure] === 0) continue
      state[at + slot.unsure] = 0
      // `acquire` reckons with a claim of unknown fate for a lease, though the owner's other holds may keep it in the record for longer.
      if (state[at + slot.stage] === Stage.wanting) state[at + slot.stray] = 1
    }
  }

  /** Every hold that was given out in the record's hold period, whether its client knows already or not. */
  force(state: Buffer, record: Rec): void {
    for (let i = 0; i < this.names.count; i++) {
      const at = this.at(i)
      const told =
        state[at + slot.token] === record.token ||
        (state[at + slot.call] === Call.claimed && state[at + slot.answeredToken] === record.token)
      if (told || record.holds.includes(this.names.holdId[i]!)) state[at + slot.forced] = record.token
    }
  }
}
