/**
 * The way to a hold: wait for one's turn in this process, claim, and, if somebody else has it, wait for a hint, the end of their lease, or the next poll.
 *
 * ```
 *            ┌───────────────────────────────────────────────────────── Signalled ◀─┐
 *            ▼                                                                hint or poll
 *   ───▶ Queued ──▶ AwaitingTurn ──▶ Asking ── somebody else has it ──▶ Waiting ────┘
 *          │  ▲           ▲            │ │                                 └──── no more polls ──▶ Gone
 *          ▼  │           │            │ └── it failed ──▶ BackingOff ──▶ Queued
 *        Pausing ─────────┘            └── it is ours ──▶ Won
 * ```
 *
 * From every state there is a way to `Gone`: the layer closes, or the time is over. That is looked at before each step.
 */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Result from "#effect/Result"
import * as Random from "#effect/Random"
import * as Schedule from "#effect/Schedule"
import { wallMillis, withClock } from "#effect/clocks"
import type { Span, Start } from "#effect/spans"
import { LockTimeout, type StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import { type ClaimOutcome, exclusive, type LockRecord } from "../LockRecord.js"
import type { Timer } from "./timers.js"
import { outcomeOf, tooSlow, withApplied } from "./acquireOutcome.js"
import {
  type Acquired,
  type Asking,
  awaitingTurn,
  type BackingOff,
  type Failure,
  gone,
  type Gone,
  type Won,
  type Pausing,
  queued,
  signalled,
  type State,
  type Step,
  waiting
} from "./acquireStates.js"
import { Attempt } from "./attempt.js"
import { noAnswer } from "./calls.js"
import { Claimant, type Place, type Share } from "./claimant.js"
import { callLimit, addTask, closedError, type Core } from "./core.js"
import { holderOf } from "./events.js"
import { deadlineOf, Hold } from "./hold.js"
import { hintsOf } from "../common/direct.js"
import { holdIdOf, randomId, randomIds } from "../common/ids.js"
import { type LockQueue, pauseForOthers, Waiter } from "./lockQueue.js"
import { beforeWarning, isOwn, warn } from "./nesting.js"
import type { Resolved } from "./options.js"
import { settle } from "./settling.js"
import * as traces from "./traces.js"

export interface Wanted {
  readonly key: string
  readonly lockId: string
  readonly ownerId: string | undefined
  readonly options: Resolved
  /** Whether to wait for the lock, or to be content with the first answer. */
  readonly wait: boolean
  readonly place: Place
  readonly share?: Share | undefined
  /** Begins spans, if somebody looks at them. */
  readonly trace: Start | undefined
}

/** What `Effect.uninterruptibleMask` gives: makes interruptible again what was so outside. */
export type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * How long `tryAcquire` puts up with a storage that fails or is silent; how long with one that this layer has not heard of yet, and that may have to be connected to first; and
 * how much longer if this very process stood still, so that it could not hear the answer. In milliseconds.
 */
const patienceOfTry = 500
const patienceOfFirstTry = 5000
const stoodStill = 100
const moreAfterStandstill = 250

/** How long somebody has waited in vain before a place is kept for them, in milliseconds: more than the longest poll, so that others have asked meanwhile. */
const beforePlace = 1000

/** Of the times that are given, so that not all come at once. */
const jitter = Random.nextBetween(0.5, 1.5)

const isExit = (way: Effect.Effect<Acquired, Failure>): way is Exit.Exit<Acquired, Failure> => Exit.isExit(way)

class Acquiring {
  private readonly began: number
  private readonly queue: LockQueue
  private readonly waiter: Waiter
  private claimant: Claimant
  /** Who has little time must not spend it on letting others go first. */
  private readonly latest: number
  /** Of those who do not wait. */
  private readonly patience: number
  private expired = false
  /** After a hint; a poll needs no turn. */
  private awaitsTurn: boolean
  private attempts = 0
  private readonly span: Span | undefined
  private isWaiting = false
  /** Whether an earlier claim was applied. */
  private gaveBack = false
  /** Since when, how often, and how at last the storage has failed, if it has not answered since. */
  private failingSince: number | undefined
  private failures = 0
  private failure: StorageError | undefined
  /** When it was first told that somebody else has the lock. */
  private refusedSince: number | undefined
  /** The holder that the storage last named. */
  private holder: LockRecord | undefined
  /** How long until the next poll; fails when there is none. */
  private poll: ((now: number, input: undefined) => Effect.Effect<[unknown, Duration.Duration], unknown>) | undefined
  /** Since it last waited: the next poll is due; something else than that gave a signal. */
  private isPolling = false
  private isTold = false
  private deadlineTimer: Timer | undefined
  private pauseTimer: Timer | undefined
  private pollTimer: Timer | undefined
  private nestedTimer: Timer | undefined

  constructor(
    private readonly core: Core,
    private readonly wanted: Wanted,
    private readonly restore: Restore,
    private readonly newId: Effect.Effect<string>,
    holdId: string,
    ownerId: string
  ) {
    const { key, options, place, wait } = wanted
    this.claimant = newClaimant(wanted, ownerId, holdId)
    this.began = core.timeline.now()
    this.span = wanted.trace === undefined ? undefined : traces.acquire(wanted.trace, core, this.claimant)
    this.latest = this.began + options.acquireTimeout / 2
    this.queue = core.queues.join(key, this.began)
    this.waiter = new Waiter(ownerId, wanted.ownerId !== undefined)
    const hasTimeout = options.acquireTimeout !== Number.POSITIVE_INFINITY
    this.patience = hasTimeout ? options.acquireTimeout : core.calls.hasAnswered() ? patienceOfTry : patienceOfFirstTry
    if (hasTimeout) this.endWithin(options.acquireTimeout, 0)
    else if (!wait) this.endWithin(this.patience, moreAfterStandstill)
    const held = this.queue.holderHere
    if (wait && held !== undefined && isOwn(place, held) && !this.queue.mayGo(this.waiter)) {
      this.nestedTimer = core.timers.set(this.began + beforeWarning, () => warn(core, key, place))
    }
    core.acquiring++
    this.awaitsTurn = wait && this.queue.join(this.waiter, this.began)
  }

  /** The whole way. Must be run uninterruptibly; is interruptible where it waits. */
  start(): Effect.Effect<Acquired, Failure> {
    const way = this.go(queued)
    return isExit(way) ? this.leave(way) : Effect.flatMap(Effect.exit(way), (exit) => this.leave(exit))
  }

  /** From state to state, for as long as nothing has to be waited for. */
  private go(state: State): Effect.Effect<Acquired, Failure> {
    try {
      let step: Step = state
      for (;;) {
        if (Effect.isEffect(step)) return Effect.flatMap(step, (next) => this.go(next))
        if (step._tag === "Won") return Exit.succeed(Result.succeed(step.hold))
        if (step._tag === "Gone") return step.exit
        step = this.step(step)
      }
    } catch (defect) {
      // Here too, whoever is queued must leave the queue.
      return Exit.die(defect)
    }
  }

  private step(state: Exclude<State, Won | Gone>): Step {
    const end = this.verdict()
    if (end !== undefined) return gone(end)
    switch (state._tag) {
      case "Queued":
        return this.queued()
      case "Pausing":
        return this.pausing(state)
      case "AwaitingTurn":
        return this.awaitingTurn()
      case "Asking":
        return this.asking(state)
      case "Waiting":
        return this.waiting()
      case "Signalled":
        return this.signalled()
      case "BackingOff":
        return this.backingOff(state)
    }
  }

  private queued(): Step {
    const { core, queue, waiter, wanted } = this
    if (!wanted.wait) return awaitingTurn
    if (!queue.mayGo(waiter)) {
      this.waits()
      return this.untilNotified(queued)
    }
    // Once for each time in the queue: to ask for a pause takes it.
    if (!queue.takePause(core.timeline.now())) return this.afterQueue()
    return Effect.map(jitter, (part) => {
      queue.pausesUntil = core.timeline.now() + pauseForOthers * part
      return this.afterQueue()
    })
  }

  private afterQueue(): State {
    const { pausesUntil } = this.queue
    if (pausesUntil === undefined) return awaitingTurn
    const until = Math.min(this.latest, pausesUntil)
    if (this.core.timeline.now() >= until) return awaitingTurn
    this.notifyAt(until)
    return { _tag: "Pausing", until }
  }

  private pausing(state: Pausing): Step {
    if (this.core.timeline.now() < state.until) return this.untilNotified(state)
    return this.queue.mayGo(this.waiter) ? awaitingTurn : queued
  }

  private awaitingTurn(): Step {
    if (!this.awaitsTurn) return this.ask()
    if (this.isEarly()) {
      hintsOf(this.core.storage.wakeUps).expects?.(this.wanted.key)
      return this.untilNotified(awaitingTurn)
    }
    return this.queue.mayGo(this.waiter) ? this.ask() : queued
  }

  private ask(): Step {
    const { core, queue, waiter, wanted } = this
    // From here on a hint is remembered, so that none can fall between the answer and the waiting.
    waiter.hinted = false
    const attempt = new Attempt(core, this.claimant, waiter, queue, this.takesPlace())
    this.attempts++
    attempt.run(callLimit(wanted.options.lease))
    return attempt.answer === undefined ? this.untilAnswered({ _tag: "Asking", attempt }) : this.answered(attempt)
  }

  /** Of a lock that several may hold: whether the record is to keep a place for this claim. Not at once, or whoever follows on here would always have it before others hear that it is free. */
  private takesPlace(): boolean {
    return this.refusedSince !== undefined && this.core.timeline.now() - this.refusedSince >= beforePlace
  }

  private asking(state: Asking): Step {
    return state.attempt.answer === undefined ? this.untilAnswered(state) : this.answered(state.attempt)
  }

  private answered(attempt: Attempt): Step {
    const { start } = attempt
    const answer = attempt.answer!
    // Of an answer that came at once, nobody has taken the signal. Whatever else there may have been a signal for is looked at from here on.
    this.waiter.signal.clear()
    if (answer._tag === "Failure") return this.failed(answer.failure, start)
    return answer.success._tag === "Claimed" ? this.claimed(answer.success, start) : this.refused(answer.success)
  }

  private claimed({ record, validFor }: Extract<ClaimOutcome, { readonly _tag: "Claimed" }>, start: number): Step {
    const { claimant, core, queue, newId, wanted } = this
    const { options } = wanted
    const deadline = deadlineOf(start, validFor, options)
    if (deadline > core.timeline.now()) {
      return { _tag: "Won", hold: new Hold(core, claimant, record, start, deadline) }
    }
    // The answer came when nothing was left of it: give it back, and try again under another identity, which the release cannot hit.
    abandon(core, claimant)
    this.gaveBack = true
    const failure = tooSlow(core, options)
    queue.heard(core.timeline.now(), failure)
    return Effect.flatMap(newId === randomIds ? Effect.sync(() => holdIdOf(core.mark)) : newId, (holdId) => {
      this.claimant = newClaimant(wanted, claimant.ownerId, holdId)
      return this.failed(failure, start)
    })
  }

  private refused({ holder, retryAfter }: Extract<ClaimOutcome, { readonly _tag: "Held" }>): State {
    const { core, queue, waiter } = this
    this.failure = this.failingSince = undefined
    this.failures = 0
    this.holder = holder
    this.refusedSince ??= core.timeline.now()
    queue.held(holder, waiter)
    if (!this.wanted.wait) return { _tag: "Gone", exit: Exit.succeed(Result.fail(holder)) }
    this.waits()
    core.listen.notify()
    this.awaitsTurn = true
    if (waiter.hinted || !queue.mayGo(waiter)) return queued
    if (retryAfter !== undefined) this.notifyAt(core.timeline.now() + retryAfter / 1000)
    return waiting
  }

  /** When the next poll is, and then for that, or for a hint. */
  private waiting(): Step {
    const { core, restore, wanted } = this
    const { poll } = this
    if (poll === undefined) {
      return Effect.map(Schedule.toStep(wanted.options.retry), (poll) => {
        this.poll = poll
        return waiting
      })
    }
    const now = core.timeline.now()
    const next = Effect.suspend(() => poll(wallMillis(core.clock), undefined))
    return Effect.matchEffect(restore(withClock(next, core.clock)), {
      onFailure: () => Effect.succeed<State>(gone(this.timedOut(core.timeline.now(), this.holder))),
      onSuccess: ([, delay]) => {
        this.isPolling = this.isTold = false
        this.pollAt(now + Duration.toMillis(delay))
        return this.untilNotified(signalled)
      }
    })
  }

  /** A poll is for those whom no hints reach: while they come, it asks for nothing that the next would not tell. Whatever else gave the signal, it is for the turn of this process. */
  private signalled(): Step {
    const { core, queue, waiter } = this
    if (waiter.hinted || !this.isPolling) this.isTold = true
    if (this.isTold) {
      if (this.isEarly()) return this.untilNotified(signalled)
    } else {
      const now = core.timeline.now()
      const due = Math.min(this.latest, queue.quietFrom(waiter, now))
      if (due > now) {
        this.pollAt(due)
        return this.untilNotified(signalled)
      }
    }
    this.pollTimer?.cancel()
    this.awaitsTurn = false
    return queued
  }

  private pollAt(due: number): void {
    this.pollTimer?.cancel()
    this.pollTimer = this.core.timers.set(due, () => {
      this.isPolling = true
      this.waiter.signal.notify()
    })
  }

  private failed(failure: StorageError, start: number): Effect.Effect<State> {
    const { core, wanted } = this
    this.failure = failure
    this.failingSince ??= start
    const now = core.timeline.now()
    const limit = callLimit(wanted.options.lease)
    // Who waits already waits on for a lease, through a restart of the storage; who has had no answer at all is told soon.
    const patient = !wanted.wait
      ? Math.min(this.patience, patienceOfTry, limit)
      : this.holder === undefined
        ? limit
        : wanted.options.lease
    if (!failure.isRetryable || now - this.failingSince >= patient) return Effect.succeed(gone(failure))
    const pause = Math.min(1000, 20 * 2 ** this.failures++)
    return Effect.map(jitter, (part) => {
      const until = now + pause * part
      this.notifyAt(until)
      return { _tag: "BackingOff", until }
    })
  }

  private backingOff(state: BackingOff): Step {
    return this.core.timeline.now() < state.until ? this.untilNotified(state) : queued
  }

  private leave(exit: Exit.Exit<Acquired, Failure>): Effect.Effect<Acquired, Failure> {
    const { claimant, core, gaveBack, queue, waiter, wanted } = this
    this.deadlineTimer?.cancel()
    this.pauseTimer?.cancel()
    this.pollTimer?.cancel()
    this.nestedTimer?.cancel()
    const holds = Exit.isSuccess(exit) && Result.isSuccess(exit.value)
    if (!holds) abandon(core, claimant)
    queue.leave(waiter)
    core.queues.tidy(wanted.key, core.timeline.now())
    core.acquiring--
    core.quiet.notify()
    const end = holds
      ? exit
      : Exit.mapError(exit, (error) => withApplied(error, gaveBack || claimant.mayBeIn ? "unknown" : "no"))
    if (core.events.isHeard || this.span !== undefined) this.tell(end)
    return end
  }

  private tell(end: Exit.Exit<Acquired, Failure>): void {
    const { claimant, core, span, wanted } = this
    const waited = Duration.millis(core.timeline.now() - this.began)
    const outcome = outcomeOf(end, wanted, waited, this.attempts)
    core.events.publishOf(claimant, outcome)
    if (span === undefined) return
    traces.acquired(span, outcome)
    if (Exit.isSuccess(end) && Result.isSuccess(end.value)) {
      const hold = end.value.success
      hold.span = traces.hold(wanted.trace!, core, claimant, hold.token)
    }
  }

  /** Told once. */
  private waits(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    const { claimant, core, holder } = this
    if (core.events.isHeard)
      core.events.publishOf(claimant, { _tag: "Waiting", holder: holderOf(holder, claimant.lockId) })
  }

  /** What ends the waiting, whatever it waits for. */
  private verdict(): Failure | undefined {
    return this.core.closed ? closedError("acquire") : this.expired ? this.outOfTime() : undefined
  }

  /** `LockTimeout` says that somebody has the lock. Of a storage that does not answer, nobody can say that. */
  private outOfTime(): Failure {
    const { began, core, failure, queue } = this
    const { key, wait } = this.wanted
    const now = core.timeline.now()
    const here = wait && core.kind === exclusive ? holderHere(core, key) : undefined
    const outage =
      failure ?? (here === undefined ? queue.outage(began, now) : undefined) ?? (wait ? undefined : now - began)
    return outage === undefined
      ? this.timedOut(now, here ?? this.holder ?? queue.holder)
      : typeof outage === "number"
        ? noAnswer(core.storage.guarantees.name, "claim", outage)
        : outage
  }

  private timedOut(now: number, holder: LockRecord | undefined): LockTimeout {
    const { lockId, ownerId } = this.claimant
    return new LockTimeout({
      lockId,
      ownerId,
      waitedMillis: now - this.began,
      heldBy: holder === undefined ? undefined : LockInformation.fromRecord(holder, lockId)
    })
  }

  /** `more`: in case that this process stood still, and could not hear the answer. */
  private endWithin(millis: number, more: number): void {
    const { timers, timeline } = this.core
    const due = timeline.now() + millis
    this.deadlineTimer = timers.set(due, () => {
      if (more > 0 && timeline.now() - due > stoodStill) return this.endWithin(more, 0)
      this.expired = true
      this.waiter.signal.notify()
    })
  }

  private notifyAt(due: number): void {
    this.pauseTimer?.cancel()
    this.pauseTimer = this.core.timers.set(due, () => this.waiter.signal.notify())
  }

  /** Whether it is not yet this process's turn. Then there will be a signal. */
  private isEarly(): boolean {
    // Read once: what is due now must not seem to be later by the time of another reading.
    const now = this.core.timeline.now()
    const due = Math.min(this.latest, this.queue.due(this.waiter, now))
    if (due <= now) return false
    this.notifyAt(due)
    return true
  }

  private untilNotified(state: State): Effect.Effect<State> {
    return Effect.as(this.restore(this.waiter.signal.wait), state)
  }

  /** On Effect 4 the next step runs within what told the answer, as the last thing of it. */
  private untilAnswered(state: Asking): Effect.Effect<State> {
    return Effect.as(this.restore(this.waiter.signal.waitWithin), state)
  }
}

/** Must be run uninterruptibly; is interruptible where it waits, by `restore`. */
export const acquire = (
  core: Core,
  wanted: Wanted,
  restore: Restore,
  newId: Effect.Effect<string>
): Effect.Effect<Acquired, Failure> => {
  const start = (holdId: string, ownerId: string) =>
    new Acquiring(core, wanted, restore, newId, holdId, ownerId).start()
  if (newId === randomIds) return start(holdIdOf(core.mark), wanted.ownerId ?? randomId())
  return Effect.flatMap(newId, (holdId) =>
    wanted.ownerId === undefined
      ? Effect.flatMap(newId, (ownerId) => start(holdId, ownerId))
      : start(holdId, wanted.ownerId)
  )
}

const newClaimant = (wanted: Wanted, ownerId: string, holdId: string) =>
  new Claimant(wanted.key, wanted.lockId, ownerId, holdId, wanted.options, wanted.place, wanted.share)

/** Nobody wants this claimant's hold any more. */
const abandon = (core: Core, claimant: Claimant): void => {
  if (claimant.mayBeIn) addTask(core, settle(core, claimant))
}

/** The record of a hold of this process: then nobody need have asked the storage. */
const holderHere = (core: Core, key: string): LockRecord | undefined => {
  for (const hold of core.holds) if (hold.claimant.key === key) return hold.record
  return undefined
}
