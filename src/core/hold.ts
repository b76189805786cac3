/**
 * A hold, from the claim that won it to its end: held → released, or held → lost. Both are final.
 */
import * as DateTime from "#effect/DateTime"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import { inTurn } from "#effect/fibers"
import type { Span } from "#effect/spans"
import { LockLost, type LostReason, type StorageError } from "../LockError.js"
import type { LockRecord, RenewOutcome } from "../LockRecord.js"
import { exclusive, format, labelled, revokedHold } from "../LockRecord.js"
import type { Timer } from "./timers.js"
import type { Claimant, RenewableHold } from "./claimant.js"
import { callLimit, addTask, type Core, isUnsure, startRelease } from "./core.js"
import type { Resolved } from "./options.js"
import { settle } from "./settling.js"

export class Hold implements RenewableHold {
  before: this | undefined
  after: this | undefined
  state: "held" | "released" | "lost" = "held"
  /** On the timeline: until then, nobody else can have the lock. Only grows. */
  deadline = Number.NEGATIVE_INFINITY
  /** On the timeline: it is not held for longer, though it could be renewed. */
  private latest: number | undefined
  private readonly start: number
  /** Fencing token. */
  token: number
  private readonly version: number
  private readonly beginTime: number
  private leaseExpireTime: number
  /** Its record, where it says more than is known of a lock that nobody else has and that is held once. */
  private readonly told: LockRecord | undefined
  renewAt = 0
  renewing = false
  error: LockLost | undefined
  /** From its claim to its end, if somebody looks. */
  span: Span | undefined
  /** Who is to be told of its loss. Made when somebody asks: most holds live and die with nobody asking. */
  private listeners: Set<(error: LockLost) => void> | undefined
  private answered = false
  private whenAnswered: Array<() => void> | undefined
  private lastFailure: StorageError | undefined
  /** For the next thing to come: renewal or deadline. */
  private timer: Timer | undefined
  /** It is lost, and not given back yet: its body may be ending. */
  owesRelease = false
  /** When half of what was left at the first renewal that did not get through will have passed. */
  private halfway: number | undefined
  private isEndangered = false

  constructor(
    readonly core: Core,
    readonly claimant: Claimant,
    record: LockRecord,
    start: number,
    deadline: number
  ) {
    const { options } = claimant
    this.token = record.token
    this.version = record.version
    this.beginTime = record.lockBeginTime
    this.leaseExpireTime = record.leaseExpireTime
    this.told = isPlain(record, claimant) ? undefined : record
    this.start = start
    this.latest = options.holdAtMost === Number.POSITIVE_INFINITY ? undefined : start + options.holdAtMost
    core.holds.add(this)
    this.deadline = deadline
    core.queues.of(claimant.key).claimed(claimant.ownerId, start, record.version, claimant.place)
    claimant.until = deadline + options.margin
    this.renewLater(start + options.refresh)
  }

  /** Milliseconds for which the lock is surely held. Reads the clocks itself: no timer fires in a busy loop. */
  remaining(): number {
    if (this.state !== "held") return 0
    const end = this.latest === undefined ? this.deadline : Math.min(this.deadline, this.latest)
    const left = end - this.core.timeline.now()
    if (left > 0) return left
    if (this.latest !== undefined && this.latest <= this.deadline)
      this.lose("HeldTooLong", Duration.format(Duration.millis(this.latest - this.start)))
    else this.lose("Expired")
    return 0
  }

  /** It may be held for so many milliseconds from now, whatever was said before. */
  limit(millis: number): void {
    if (this.remaining() <= 0) return
    this.latest = this.core.timeline.now() + millis
    this.watch()
  }

  get check(): Effect.Effect<Duration.Duration, LockLost> {
    return Effect.suspend(() => {
      const left = this.remaining()
      return left > 0 ? Effect.succeed(Duration.millis(left)) : Effect.fail(this.failure())
    })
  }

  /** What a body that has run to its end fails with, if others may have run at the same time. An early release is the program's own. */
  failureAtEnd(): LockLost | undefined {
    return this.state === "released" || this.remaining() > 0 || this.options.lostAtEnd === "succeed"
      ? undefined
      : this.failure()
  }

  get options(): Resolved {
    return this.claimant.options
  }

  get storage() {
    return this.core.storage
  }

  get record(): LockRecord {
    const { leaseExpireTime, token, version } = this
    if (this.told !== undefined) return { ...this.told, token, leaseExpireTime }
    const { holdId, key, ownerId, ownerLabel } = this.claimant
    return {
      lockId: key,
      kind: exclusive,
      format,
      ownerId,
      ...labelled(ownerLabel),
      holds: [holdId],
      token,
      version,
      lockBeginTime: this.beginTime,
      leaseExpireTime,
      data: ""
    }
  }

  /** Its owner has a newer token now: it became a writer. */
  renumber(token: number): void {
    this.token = token
  }

  get leaseEnd(): number {
    return this.leaseExpireTime / 1000
  }

  get lost(): Effect.Effect<never, LockLost> {
    return Effect.callback<never, LockLost>((resume) => {
      const forget = this.onLost((error) => resume(inTurn(Effect.fail(error))))
      return Effect.sync(forget)
    })
  }

  /** Tells of the loss, at once if it is lost already; returns what takes that back. */
  onLost(tell: (error: LockLost) => void): () => void {
    if (this.error !== undefined) tell(this.error)
    else (this.listeners ??= new Set()).add(tell)
    return () => void this.listeners?.delete(tell)
  }

  get listening(): number {
    return this.listeners?.size ?? 0
  }

  failure(reason: LostReason = "Released", detail?: string): LockLost {
    const { lockId, ownerId } = this.claimant
    return this.error ?? new LockLost({ lockId, ownerId, token: this.token, reason, detail })
  }

  /** What a renewal that was started at `start` told. Counted from its start: the lease may have begun at any time since. */
  renewed(start: number, outcome: RenewOutcome): void {
    if (this.state !== "held") return
    // The deadline may have passed with no timer to tell: what is lost stays lost, whatever the storage has renewed.
    if (this.remaining() <= 0) return
    if (outcome._tag === "NotHeld") return this.lose(...this.whyNotHeld(outcome))
    this.lastFailure = undefined
    this.halfway = undefined
    if (this.isEndangered) {
      this.isEndangered = false
      this.core.logs.recovered(this)
    }
    this.leaseExpireTime = outcome.leaseExpireTime
    this.deadline = Math.max(this.deadline, deadlineOf(start, outcome.validFor, this.options))
    this.claimant.until = Math.max(this.claimant.until, this.deadline + this.options.margin)
    this.core.holds.delete(this)
    this.core.holds.add(this)
    this.renewLater(start + this.options.refresh)
    if (this.core.events.isHeard) {
      const leaseExpireTime = DateTime.makeUnsafe(Math.floor(this.leaseEnd))
      this.core.events.publishOf(this.claimant, { _tag: "Renewed", token: this.token, leaseExpireTime })
    }
  }

  /** The storage has no such hold, though it is not over by our clock. Only what its record shows is known; what it does not show is no operator's deed. */
  private whyNotHeld({
    because,
    current
  }: Extract<RenewOutcome, { readonly _tag: "NotHeld" }>): readonly [reason: LostReason, detail?: string] {
    const { token, version } = this
    if (current === undefined) return ["Vanished", "it has no record of this lock"]
    // Tokens and versions only grow, for as long as a storage keeps what it acknowledged.
    if (current.token < token || (current.token === token && current.version < version)) {
      return ["Vanished", `its record is of an older state, with token ${current.token}`]
    }
    if (because !== undefined) return sharedLoss[because]
    // Also if an operator has taken it away from whoever came next.
    if (current.token > token) return ["Taken"]
    if (current.holds[0] === revokedHold) return ["Forced"]
    if (current.holds.includes(this.claimant.holdId))
      return ["Expired", "by the storage's clock; its clock ran ahead by more than `clockMargin`"]
    // Nobody but its holder, and an operator's `"now"`, empties a lock.
    return current.holds.length === 0
      ? ["Forced"]
      : ["Vanished", "its record has other holds of this owner, and not this one"]
  }

  renewFailed(error: StorageError): void {
    this.lastFailure = error
    const now = this.core.timeline.now()
    if (error.applied === "unknown") this.claimant.until = now + this.options.lease
    if (this.state !== "held") return
    this.renewLater(now + Math.max(5, Math.min((this.deadline - now) / 10, this.options.refresh / 2)))
  }

  /** Final, even if the storage would still renew it. */
  lose(reason: LostReason, detail = reason === "Expired" ? this.lastFailure?.message : undefined): void {
    if (this.state !== "held") return
    const { claimant, core } = this
    this.end("lost")
    this.error = this.failure(reason, detail)
    this.span?.end(this.error)
    // Its body may need a moment to end, and has it until the lease ends: to release now would let others in early.
    this.owesRelease = true
    core.logs.lost(this, reason, this.error.detail)
    if (core.events.isHeard) {
      const { detail } = this.error
      core.events.publishOf(claimant, { _tag: "Lost", token: this.token, reason, detail, held: this.heldFor() })
    }
    core.queues.of(claimant.key).ended(claimant.ownerId, core.timeline.now())
    core.queues.tidy(claimant.key, core.timeline.now())
    if (reason !== "Closed") {
      const now = core.timeline.now()
      const end = reason === "HeldTooLong" ? Math.max(now, this.deadline) : now
      core.timers.set(end + this.options.margin, () => this.giveBack())
    }
    this.listeners?.forEach((tell) => tell(this.error!))
  }

  /** Gives back what was lost, once its body has ended or had time to. */
  giveBack(): void {
    if (!this.owesRelease) return
    this.owesRelease = false
    addTask(this.core, settle(this.core, this.claimant))
    this.core.quiet.notify()
  }

  /**
   * Gives the lock back, once; waits until the storage has answered, or for as long as a call may take. What then is not certain is settled
   * in the background.
   */
  get release(): Effect.Effect<void> {
    return Effect.suspend(() => this.giveUp())
  }

  /** The same for a scope to call when it closes: half as large as an effect, which each hold would keep. */
  get finalizer(): () => Effect.Effect<void> {
    return this.atEnd.bind(this)
  }

  private atEnd(): Effect.Effect<void> {
    try {
      return this.giveUp()
    } catch (defect) {
      // Thrown, it would keep the scope from all that it has to do after this.
      return Effect.die(defect)
    }
  }

  private giveUp(): Effect.Effect<void> {
    // It may be over with no timer to tell; then that is told now.
    this.remaining()
    if (this.state === "lost") {
      this.giveBack()
      return Effect.void
    }
    if (this.state === "released") return this.untilAnswered
    this.end("released")
    this.span?.end()
    const { claimant, core } = this
    const held = core.events.isHeard ? this.heldFor() : Duration.zero
    let settles = false
    const settleOnce = () => {
      if (settles) return
      settles = true
      addTask(core, settle(core, claimant))
    }
    const queue = core.queues.of(claimant.key)
    const isHeard = core.hearsItself && queue.ending(claimant.ownerId)
    queue.asks(core.timeline.now())
    let waiting = true
    const done = (failure: StorageError | undefined) => {
      if (!waiting) return
      waiting = false
      queue.heard(core.timeline.now(), failure)
      core.queues.of(claimant.key).ended(claimant.ownerId, core.timeline.now())
      core.queues.tidy(claimant.key, core.timeline.now())
      this.answered = true
      if (core.events.isHeard) {
        const confirmed = failure === undefined
        core.events.publishOf(claimant, { _tag: "Released", token: this.token, held, confirmed })
      }
      const wakes = this.whenAnswered
      // What is over keeps nothing alive.
      this.whenAnswered = undefined
      if (wakes !== undefined) for (const wake of wakes) wake()
    }
    startRelease(core, { lockId: claimant.key, holdId: claimant.holdId }, callLimit(this.options.lease), {
      answered: (answer) => {
        if (answer._tag === "Failure" || isUnsure(core, claimant)) settleOnce()
        if (answer._tag === "Success") {
          const { success } = answer
          const isFree = success._tag === "Released" && success.remaining === 0
          if (!isFree && isHeard) queue.notFreed()
          if (isFree && success.awaited === true) queue.awaited(core.timeline.now())
        }
        done(answer._tag === "Failure" ? answer.failure : undefined)
      },
      overdue: (error) => {
        // Also if the call never ends, since its driver lets it hang.
        settleOnce()
        done(error)
      }
    })
    return this.untilAnswered
  }

  /** Of the release. Without a canceller, which would cost more than all the rest; those who wait are few. */
  private get untilAnswered(): Effect.Effect<void> {
    return this.answered
      ? Effect.void
      : Effect.callback<void>((resume) => {
          if (this.answered) return resume(Effect.void)
          ;(this.whenAnswered ??= []).push(() => resume(Effect.void))
        })
  }

  /** It ends here, and nobody gives it back: it is free when its lease ends. */
  left(): void {
    if (this.state !== "held") return
    this.end("released")
    this.span?.end()
    const { claimant, core } = this
    const now = core.timeline.now()
    this.answered = true
    core.queues.of(claimant.key).ended(claimant.ownerId, now)
    core.queues.tidy(claimant.key, now)
    if (core.events.isHeard)
      core.events.publishOf(claimant, { _tag: "Released", token: this.token, held: this.heldFor(), confirmed: true })
  }

  /** Since its claim. */
  heldMillis(): number {
    return this.core.timeline.now() - this.start
  }

  private heldFor(): Duration.Duration {
    return Duration.millis(this.heldMillis())
  }

  private end(state: "released" | "lost"): void {
    this.state = state
    this.timer?.cancel()
    this.core.holds.delete(this)
    this.core.due.delete(this)
  }

  private renewLater(at: number): void {
    this.renewAt = at
    this.watch()
  }

  /** The deadline is watched apart from the renewal, which may hang. */
  private watch(): void {
    let due = Math.min(this.renewAt, this.deadline)
    if (this.latest !== undefined) due = Math.min(due, this.latest)
    if (this.halfway !== undefined) due = Math.min(due, this.halfway)
    if (this.timer === undefined) this.timer = this.core.timers.set(due, isTime, this)
    else this.timer.move(due)
  }

  isTime(): void {
    if (this.state !== "held" || this.remaining() <= 0) return
    const now = this.core.timeline.now()
    if (this.halfway !== undefined && now >= this.halfway) {
      this.halfway = undefined
      this.isEndangered = true
      this.core.logs.endangered(this, this.lastFailure)
      this.span?.event("late")
      if (this.core.events.isHeard) {
        const remaining = Duration.millis(this.deadline - now)
        this.core.events.publishOf(this.claimant, { _tag: "Late", token: this.token, remaining })
      }
    }
    if (now >= this.renewAt) {
      if (!this.isEndangered) this.halfway ??= (now + this.deadline) / 2
      this.renewAt = Number.POSITIVE_INFINITY
      this.core.due.add(this)
      this.core.work.notify()
    }
    this.watch()
  }
}

const isTime = (hold: Hold): void => hold.isTime()

/** Whether a record says no more than is known of its claimant, but for its numbers. */
const isPlain = (record: LockRecord, { holdId, ownerId, ownerLabel }: Claimant): boolean =>
  record.kind === exclusive &&
  record.format === format &&
  record.ownerId === ownerId &&
  record.holds.length === 1 &&
  record.holds[0] === holdId &&
  (record.ownerLabel ?? "") === ownerLabel &&
  record.data === ""

/** Of a lock that several may hold, others' holds tell nothing of this one. */
const sharedLoss = {
  revoked: ["Forced"],
  expired: ["Expired", "by the storage's clock; its clock ran ahead by more than `clockMargin`"],
  gone: ["Vanished", "its record does not have this hold any more"]
} as const

/** By the storage's word and by the length of the lease, whichever is shorter: a repeated claim tells the end of its first application. */
export const deadlineOf = (start: number, validFor: number, { lease, margin }: Resolved): number =>
  start + Math.min(lease, validFor / 1000) - margin
