/** Everything that can happen next in a state. One call of `Moves.from` visits every successor. */
import { Call, Give, head, headSize, Kind, slot, slotSize, Stage, unit } from "./model.js"
import type { System } from "./system.js"

export const moveNames = [
  "time passes",
  "the storage's clock steps ahead",
  "the storage's clock steps back",
  "the row is purged",
  "an operator reads the token",
  "the operator's revoke, when: leaseEnd, arrives",
  "the operator's revoke, when: now, arrives",
  "sends a claim",
  "gives up waiting for the answer; the request may arrive late",
  "gives up waiting for the answer; the message is lost",
  "does not want the lock any more",
  "sends a renewal",
  "releases",
  "notices that the deadline has passed",
  "sends a release, to settle",
  "stops to settle: a lease has passed",
  "its request arrives",
  "its request arrives, and a copy stays in the network",
  "its late request arrives",
  "the answer arrives",
  "the answer to the release arrives",
  "the answer to the release arrives; it goes on, for a claim may be under way"
] as const
export type MoveName = (typeof moveNames)[number]

export type Visit = (next: Buffer, move: MoveName, index: number, broken: string | undefined) => void

export class Moves {
  private readonly next: Buffer
  private state!: Buffer
  private visit!: Visit

  constructor(readonly system: System) {
    this.next = Buffer.alloc(system.size)
  }

  /** `next` is reused: who keeps it, copies it. */
  from(state: Buffer, visit: Visit): void {
    this.state = state
    this.visit = visit
    this.world()
    for (let i = 0; i < this.system.names.count; i++) this.hold(i)
    for (let i = 0; i < this.system.bound.late; i++) this.late(i)
  }

  private begin(): Buffer {
    this.next.set(this.state)
    return this.next
  }

  private world(): void {
    const { state, system } = this
    const { bound } = system
    if (state[head.tick]! < bound.ticks) {
      const next = this.begin()
      next[head.tick]!++
      system.settleTimes(next)
      this.visit(next, "time passes", -1, undefined)
    }
    if (state[head.skew]! < bound.skew) {
      const next = this.begin()
      next[head.skew]!++
      this.visit(next, "the storage's clock steps ahead", -1, undefined)
    }
    if (state[head.skew]! > 0) {
      const next = this.begin()
      next[head.skew]!--
      this.visit(next, "the storage's clock steps back", -1, undefined)
    }
    const record = system.record(state)
    const now = system.now(state)
    if (
      record !== undefined &&
      bound.memory !== undefined &&
      system.subject.purges(record, now - bound.memory * unit, now)
    ) {
      const next = this.begin()
      system.setRecord(next, 0)
      next[head.lastToken] = record.token
      next[head.lastVersion] = record.version
      this.visit(next, "the row is purged", -1, undefined)
    }
    if (
      record !== undefined &&
      state[head.revokes]! > 0 &&
      state[head.revoking] === 0 &&
      record.leaseExpireTime > now &&
      record.holds.length > 0
    ) {
      const next = this.begin()
      next[head.revokes]!--
      next[head.revoking] = record.token
      this.visit(next, "an operator reads the token", -1, undefined)
    }
    if (state[head.revoking] !== 0) {
      for (const when of ["leaseEnd", "now"] as const) {
        const next = this.begin()
        const applied = system.revoke(state, state[head.revoking]!, when)
        next[head.revoking] = 0
        system.setRecord(next, applied.record)
        // By the token that the operator named: whoever else is hit was hit by mistake.
        if (applied.tag === "Revoked" && when === "now" && record!.token === state[head.revoking])
          system.force(next, record!)
        this.visit(next, `the operator's revoke, when: ${when}, arrives`, -1, applied.broken)
      }
    }
  }

  /** The storage does what is asked. What it says goes to whoever still waits for it. */
  private serve(
    next: Buffer,
    kind: number,
    index: number,
    late: boolean
  ): { tag: string; validFor: number; token: number; broken: string | undefined } {
    const { system } = this
    const number = system.recordNumber(next)
    const applied = system.apply(next, kind, index)
    let { broken } = applied
    if (applied.record !== number) {
      if (number === 0) {
        const record = (system.setRecord(next, applied.record), system.record(next)!)
        if (record.token <= next[head.lastToken]!) broken ??= "the token grows over a purge"
        if (record.version <= next[head.lastVersion]!) broken ??= "the version grows over a purge"
        next[head.lastToken] = next[head.lastVersion] = 0
      }
      system.setRecord(next, applied.record)
      const at = system.at(index)
      const stage = next[at + slot.stage]!
      if (kind === Kind.release) next[at + slot.stray] = 0
      // What arrives after its caller has gone may stay for a lease: nobody can promise more.
      else if (stage >= Stage.settling || (late && stage === Stage.wanting)) next[at + slot.stray] = 1
    }
    return { ...applied, broken }
  }

  private remember(next: Buffer, kind: number, index: number): boolean {
    const { bound, names } = this.system
    const code = 1 + kind * names.count + index
    let place = headSize + bound.late - 1
    if (bound.late === 0 || next[place] !== 0) return false
    // Sorted, greatest first: the network knows no order.
    for (; place > headSize && next[place - 1]! < code; place--) next[place] = next[place - 1]!
    next[place] = code
    return true
  }

  private late(i: number): void {
    const { state, system } = this
    const place = headSize + i
    const code = state[place]!
    if (code === 0 || (i > 0 && state[place - 1] === code)) return
    const next = this.begin()
    for (let j = place; j < headSize + system.bound.late - 1; j++) next[j] = next[j + 1]!
    next[headSize + system.bound.late - 1] = 0
    const kind = Math.floor((code - 1) / system.names.count)
    const index = (code - 1) % system.names.count
    const { broken } = this.serve(next, kind, index, true)
    this.visit(next, "its late request arrives", index, broken)
  }

  /** Visits what `change` makes of the state, once for each fate of the request that is under way for this hold and is not waited for from here on. */
  private abandon(index: number, move: MoveName | undefined, change: (next: Buffer, at: number) => void): void {
    const { state, system } = this
    const at = system.at(index)
    const call = state[at + slot.call]!
    const request = call === Call.claim ? Kind.claim : call === Call.renew ? Kind.renew : undefined
    for (const late of request === undefined ? [false] : [true, false]) {
      const next = this.begin()
      if (late && !this.remember(next, request!, index)) continue
      if (call >= Call.claim && call <= Call.refused)
        next[at + slot.unsure] = next[head.tick]! + system.names.lease[index]!
      if (!(system.subject.rule.revivesLost && move !== undefined && call >= Call.renew)) this.forgetCall(next, at)
      else if (late) continue
      change(next, at)
      const fate = late
        ? "gives up waiting for the answer; the request may arrive late"
        : "gives up waiting for the answer; the message is lost"
      this.visit(next, move ?? fate, index, undefined)
    }
  }

  private forgetCall(next: Buffer, at: number): void {
    next[at + slot.call] = next[at + slot.start] = next[at + slot.validFor] = next[at + slot.answeredToken] = 0
  }

  /** From here on nobody believes in the hold. */
  private settle(next: Buffer, at: number, index: number): void {
    next[at + slot.stage] = Stage.settling
    next[at + slot.until] = next[head.tick]! + this.system.names.lease[index]!
    next[at + slot.token] = 0
  }

  private gone(next: Buffer, at: number): void {
    const stray = next[at + slot.stray]!
    next.fill(0, at, at + slotSize)
    next[at + slot.stage] = Stage.gone
    next[at + slot.stray] = stray
  }

  private hold(i: number): void {
    const { state, system } = this
    const {
      names,
      subject: { rule }
    } = system
    const at = system.at(i)
    const tick = state[head.tick]!
    const lease = names.lease[i]!
    const { margin } = system.bound
    const stage = state[at + slot.stage]!
    const call = state[at + slot.call]!

    if (call === Call.claim) this.arrive(i, Kind.claim)
    if (call === Call.renew) this.arrive(i, Kind.renew)
    if (call > Call.none && call !== Call.claim && call !== Call.renew) this.answer(i)
    if (call !== Call.none && stage !== Stage.settling) this.abandon(i, undefined, () => {})

    switch (stage) {
      case Stage.idle: {
        const previous = names.previous[i]
        if (previous !== undefined && state[system.at(previous) + slot.stage] === Stage.idle) break
        this.sendClaim(i)
        break
      }
      case Stage.wanting: {
        if (call === Call.none) this.sendClaim(i)
        this.abandon(i, "does not want the lock any more", (next) => {
          if (rule.settles && (next[at + slot.unsure]! > tick || call === Call.claimed)) this.settle(next, at, i)
          else this.gone(next, at)
        })
        break
      }
      case Stage.held: {
        if (call === Call.none && tick < state[at + slot.until]! && state[at + slot.until]! < tick + lease - margin) {
          const next = this.begin()
          next[at + slot.call] = Call.renew
          next[at + slot.start] = tick
          this.visit(next, "sends a renewal", i, undefined)
        }
        if (state[at + slot.give] === Give.none) {
          this.abandon(i, "releases", (next) => {
            if (rule.endsBeforeRelease) this.settle(next, at, i)
            next[at + slot.give] = Give.release
          })
        }
        if (tick >= state[at + slot.until]!)
          this.abandon(i, "notices that the deadline has passed", (next) => this.settle(next, at, i))
        break
      }
    }
    if (state[at + slot.give] !== Give.none || stage === Stage.settling) this.settling(i)
  }

  private sendClaim(i: number): void {
    const at = this.system.at(i)
    const next = this.begin()
    next[at + slot.stage] = Stage.wanting
    next[at + slot.call] = Call.claim
    next[at + slot.start] = next[head.tick]!
    this.visit(next, "sends a claim", i, undefined)
  }

  private arrive(i: number, kind: number): void {
    const at = this.system.at(i)
    for (const copy of [false, true]) {
      if (copy && this.state[head.duplicates] === 0) continue
      const next = this.begin()
      if (copy && !this.remember(next, kind, i)) continue
      if (copy) next[head.duplicates]!--
      const { broken, tag, token, validFor } = this.serve(next, kind, i, false)
      if (kind === Kind.release) {
        next[at + slot.give] = tag === "Released" ? Give.released : Give.notHeld
      } else {
        next[at + slot.call] =
          tag === "Claimed"
            ? Call.claimed
            : tag === "Held"
              ? Call.refused
              : tag === "Renewed"
                ? Call.renewed
                : Call.notHeld
        next[at + slot.validFor] = validFor
        next[at + slot.answeredToken] = tag === "Claimed" ? token : 0
      }
      this.visit(next, copy ? "its request arrives, and a copy stays in the network" : "its request arrives", i, broken)
    }
  }

  /** What `acquire` and `Hold.renewed` make of an answer. */
  private answer(i: number): void {
    const { state, system } = this
    const { rule } = system.subject
    const at = system.at(i)
    const tick = state[head.tick]!
    const stage = state[at + slot.stage]!
    const call = state[at + slot.call]!
    const lease = system.names.lease[i]!
    const deadline = rule.deadline(
      state[at + slot.start]!,
      tick,
      lease,
      state[at + slot.validFor]!,
      system.bound.margin
    )
    const next = this.begin()
    this.forgetCall(next, at)
    if (call === Call.claimed) {
      next[at + slot.stray] = 0
      if (deadline > tick) {
        next[at + slot.stage] = Stage.held
        next[at + slot.until] = deadline
        next[at + slot.token] = state[at + slot.answeredToken]!
      } else if (rule.freshIdentity) this.settle(next, at, i)
      else if (!this.remember(next, Kind.release, i)) return
    } else if (call === Call.renewed) {
      const until = state[at + slot.until]!
      const unnoticed = stage === Stage.held && tick >= until
      if (unnoticed && !rule.revivesUnnoticed) this.settle(next, at, i)
      else if (stage === Stage.held || (rule.revivesLost && deadline > tick)) {
        next[at + slot.stage] = Stage.held
        next[at + slot.until] = rule.deadlineGrows && stage === Stage.held ? Math.max(until, deadline) : deadline
        // Only a broken rule comes here from `settling`: its holder still has the token that it was given.
        if (stage !== Stage.held) next[at + slot.token] = system.record(state)?.token ?? 0
      }
    } else if (call === Call.notHeld && stage === Stage.held) this.settle(next, at, i)
    this.visit(next, "the answer arrives", i, undefined)
  }

  /** Release, again and again until the answer is definite, or for a lease. */
  private settling(i: number): void {
    const { state, system } = this
    const at = system.at(i)
    const tick = state[head.tick]!
    const give = state[at + slot.give]!
    const over = state[at + slot.until]! <= tick
    const unsure = state[at + slot.unsure]! > tick
    switch (give) {
      case Give.none: {
        const next = this.begin()
        if (over) {
          this.gone(next, at)
          next[at + slot.stray] = 1
        } else next[at + slot.give] = Give.release
        this.visit(next, over ? "stops to settle: a lease has passed" : "sends a release, to settle", i, undefined)
        return
      }
      case Give.release:
        this.arrive(i, Kind.release)
        break
      case Give.released:
      case Give.notHeld: {
        if (unsure) {
          const next = this.begin()
          next[at + slot.give] = Give.none
          this.visit(next, "the answer to the release arrives; it goes on, for a claim may be under way", i, undefined)
        }
        if (give === Give.released || !unsure) {
          const next = this.begin()
          this.gone(next, at)
          this.visit(next, "the answer to the release arrives", i, undefined)
        }
      }
    }
    for (const late of give === Give.release ? [true, false] : [false]) {
      const next = this.begin()
      if (late && !this.remember(next, Kind.release, i)) continue
      next[at + slot.give] = Give.none
      this.visit(
        next,
        late
          ? "gives up waiting for the answer; the request may arrive late"
          : "gives up waiting for the answer; the message is lost",
        i,
        undefined
      )
    }
  }
}
