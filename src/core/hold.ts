/**
 * A hold, from the claim that won it to its end: held → released, or held → lost. Both are final.
 */
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import { inTurn } from "#effect/fibers"
import { LockLost, type LostReason, type StorageError } from "../LockError.js"
import type { LockRecord, RenewOutcome } from "../LockRecord.js"
import { revokedHold } from "../LockRecord.js"
import type { Timer } from "./timers.js"
import type { Claimant, Held } from "./claimant.js"
import { callLimit, addTask, type Core, isUnsure, startRelease } from "./core.js"
import type { Resolved } from "./options.js"
import { settle } from "./settling.js"

/** A Deferred that is made only when somebody waits for it: most holds live and die with nobody asking. */
class Outcome<A, E = never> {
  private deferred: Deferred.Deferred<A, E> | undefined
  private exit: Exit.Exit<A, E> | undefined

  done(exit: Exit.Exit<A, E>): void {
    this.exit = exit
    if (this.deferred !== undefined) Deferred.doneUnsafe(this.deferred, exit)
  }

  get wait(): Effect.Effect<A, E> {
    return Effect.suspend(() => this.exit ?? inTurn(Deferred.await((this.deferred ??= Deferred.makeUnsafe()))))
  }
}

export class Hold implements Held {
  state: "held" | "released" | "lost" = "held"
  /** On the timeline: until then, nobody else can have the lock. Only grows. */
  deadline = Number.NEGATIVE_INFINITY
  /** On the timeline: it is not held for longer, though it could be renewed. */
  private readonly latest: number
  record: LockRecord
  renewAt = 0
  renewing = false
  error: LockLost | undefined
  private readonly whenLost = new Outcome<never, LockLost>()
  private guards: Set<(error: LockLost) => void> | undefined
  private answered = false
  private readonly whenAnswered: Array<() => void> = []
  private lastFailure: StorageError | undefined
  /** For the next thing to come: renewal or deadline. */
  private timer: Timer | undefined
  /** Done once the hold, being lost, was given back: its body may be ending until then. */
  readonly givenBack = new Outcome<void>()
  private owesRelease = false
  /** When half of what was left at the first renewal that did not get through will have passed. */
  private halfway = Number.POSITIVE_INFINITY
  private isEndangered = false

  constructor(
    readonly core: Core,
    readonly claimant: Claimant,
    readonly options: Resolved,
    record: LockRecord,
    start: number,
    deadline: number
  ) {
    this.record = record
    this.latest = start + options.holdAtMost
    core.holds.add(this)
    this.deadline = deadline
    core.queues.of(claimant.key).claimed(claimant.ownerId, start, claimant.place)
    claimant.until = deadline + options.margin
    this.renewLater(start + options.refresh)
  }

  /** Milliseconds for which the lock is surely held. Reads the clocks itself: no timer fires in a busy loop. */
  remaining(): number {
    if (this.state !== "held") return 0
    const left = Math.min(this.deadline, this.latest) - this.core.timeline.now()
    if (left > 0) return left
    if (this.latest <= this.deadline)
      this.lose("HeldTooLong", Duration.format(Duration.millis(this.options.holdAtMost)))
    else this.lose("Expired")
    return 0
  }

  get storage() {
    return this.core.storage
  }

  get token(): number {
    return this.record.token
  }

  get leaseEnd(): number {
    return this.record.leaseExpireTime / 1000
  }

  get lost(): Effect.Effect<never, LockLost> {
    return this.whenLost.wait
  }

  /** Tells of the loss, at once if it is lost already; returns what takes that back. */
  onLost(tell: (error: LockLost) => void): () => void {
    if (this.error !== undefined) tell(this.error)
    else (this.guards ??= new Set()).add(tell)
    return () => void this.guards?.delete(tell)
  }

  failure(reason: LostReason = "Released", detail?: string): LockLost {
    const { lockId, ownerId } = this.claimant
    return this.error ?? new LockLost({ lockId, ownerId, token: this.record.token, reason, detail })
  }

  /** What a renewal that was started at `start` told. Counted from its start: the lease may have begun at any time since. */
  renewed(start: number, outcome: RenewOutcome): void {
    if (this.state !== "held") return
    // The deadline may have passed with no timer to tell: what is lost stays lost, whatever the storage has renewed.
    if (this.remaining() <= 0) return
    if (outcome._tag === "NotHeld") return this.lose(...this.whyNotHeld(outcome.current))
    this.lastFailure = undefined
    this.halfway = Number.POSITIVE_INFINITY
    if (this.isEndangered) {
      this.isEndangered = false
      this.core.signs.recovered(this)
    }
    this.record = { ...this.record, leaseExpireTime: outcome.leaseExpireTime }
    this.deadline = Math.max(this.deadline, deadlineOf(start, outcome.validFor, this.options))
    this.claimant.until = Math.max(this.claimant.until, this.deadline + this.options.margin)
    this.renewLater(start + this.options.refresh)
  }

  /** The storage has no such hold, though it is not over by our clock. Only what its record shows is known; what it does not show is no operator's deed. */
  private whyNotHeld(current: LockRecord | undefined): readonly [reason: LostReason, detail?: string] {
    const { token, version } = this.record
    if (current === undefined) return ["Vanished", "it has no record of this lock"]
    // Tokens and versions only grow, for as long as a storage keeps what it acknowledged.
    if (current.token < token || (current.token === token && current.version < version)) {
      return ["Vanished", `its record is of an older state, with token ${current.token}`]
    }
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
    // Its body may need a moment to end, and has it until the lease ends: to release now would let others in early.
    this.owesRelease = true
    core.signs.lost(this, reason, this.error.detail)
    core.queues.of(claimant.key).ended(claimant.ownerId, core.timeline.now())
    core.queues.tidy(claimant.key, core.timeline.now())
    if (reason !== "Closed") {
      const now = core.timeline.now()
      const end = reason === "HeldTooLong" ? Math.max(now, this.deadline) : now
      core.timers.set(end + this.options.margin, () => this.giveBack())
    }
    this.whenLost.done(Exit.fail(this.error))
    this.guards?.forEach((tell) => tell(this.error!))
  }

  /** Gives back what was lost, once its body has ended or had time to. */
  giveBack(): void {
    if (!this.owesRelease) return
    this.owesRelease = false
    addTask(this.core, settle(this.core, this.claimant))
    this.givenBack.done(Exit.void)
  }

  /**
   * Gives the lock back, once; waits until the storage has answered, or for as long as a call may take. What then is not certain is settled
   * in the background.
   */
  get release(): Effect.Effect<void> {
    return Effect.suspend(() => this.giveUp())
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
    const { claimant, core } = this
    let settles = false
    const settleOnce = () => {
      if (settles) return
      settles = true
      addTask(core, settle(core, claimant))
    }
    const queue = core.queues.of(claimant.key)
    queue.ending(claimant.ownerId)
    queue.asks(core.timeline.now())
    let waiting = true
    const done = (failure: StorageError | undefined) => {
      if (!waiting) return
      waiting = false
      queue.heard(core.timeline.now(), failure)
      core.queues.of(claimant.key).ended(claimant.ownerId, core.timeline.now())
      core.queues.tidy(claimant.key, core.timeline.now())
      this.answered = true
      for (const wake of this.whenAnswered) wake()
    }
    startRelease(core, { lockId: claimant.key, holdId: claimant.holdId }, callLimit(this.options.lease), {
      answered: (answer) => {
        if (answer._tag === "Failure" || isUnsure(core, claimant)) settleOnce()
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
          this.whenAnswered.push(() => resume(Effect.void))
        })
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
    this.timer?.cancel()
    const due = Math.min(this.renewAt, this.deadline, this.latest, this.halfway)
    this.timer = this.core.timers.set(due, () => {
      if (this.state !== "held" || this.remaining() <= 0) return
      const now = this.core.timeline.now()
      if (now >= this.halfway) {
        this.halfway = Number.POSITIVE_INFINITY
        this.isEndangered = true
        this.core.signs.endangered(this, this.lastFailure)
      }
      if (now >= this.renewAt) {
        if (!this.isEndangered && this.halfway === Number.POSITIVE_INFINITY) this.halfway = (now + this.deadline) / 2
        this.renewAt = Number.POSITIVE_INFINITY
        this.core.due.add(this)
        this.core.work.notify()
      }
      this.watch()
    })
  }
}

/** By the storage's word and by the length of the lease, whichever is shorter: a repeated claim tells the end of its first application. */
export const deadlineOf = (start: number, validFor: number, { lease, margin }: Resolved): number =>
  start + Math.min(lease, validFor / 1000) - margin
