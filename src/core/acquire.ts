/**
 * The way to a hold: wait for one's turn in this process, claim, and, if somebody else has it, wait for a hint, the end of their lease, or the next poll.
 */
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Random from "#effect/Random"
import * as Schedule from "#effect/Schedule"
import { withClock } from "#effect/clocks"
import { LockTimeout, StorageError } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import type { ClaimOutcome, LockRecord } from "../LockRecord.js"
import type { Alarm } from "./alarms.js"
import { odd } from "./answers.js"
import { type Answer, noAnswer } from "./calls.js"
import { Claimant, type Place } from "./claimant.js"
import { callLimit, chore, closedError, type Core } from "./core.js"
import { deadlineOf, Hold } from "./hold.js"
import { Ids } from "../common/ids.js"
import { type Line, Ticket } from "./line.js"
import { isOwn, moment as nestedMoment, warn } from "./nesting.js"
import type { Resolved } from "./options.js"
import { settle } from "./settling.js"

export interface Wanted {
  readonly key: string
  readonly lockId: string
  readonly ownerId: string | undefined
  readonly options: Resolved
  /** Whether to wait for the lock, or to be content with the first answer. */
  readonly wait: boolean
  readonly place: Place
}

type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** After a lock has gone from hand to hand in this process so often and for so long, other processes get a moment to come in. In milliseconds. */
const turnsInARow = 8
const longestStreak = 100
const moment = 20

/**
 * How long `tryAcquire` puts up with a storage that fails or is silent; how long with one that this layer has not heard of yet, and that may have to be connected to first; and
 * how much longer if this very process stood still, so that it could not hear the answer. In milliseconds.
 */
const patienceOfTry = 500
const patienceOfFirstTry = 5000
const stoodStill = 100
const moreAfterStandstill = 250

const newClaimant = (wanted: Wanted, ownerId: string, holdId: string) =>
  new Claimant(
    wanted.key,
    wanted.lockId,
    ownerId,
    holdId,
    wanted.options.lease,
    wanted.options.ownerLabel,
    wanted.place
  )

/** Nobody wants this claimant's hold any more. */
const abandon = (core: Core, claimant: Claimant): void => {
  if (claimant.mayBeIn) chore(core, settle(core, claimant))
}

/** An answer that is another's, or to another request, is none. */
const ours = (core: Core, claimant: Claimant, answer: Answer<ClaimOutcome>): Answer<ClaimOutcome> =>
  answer._tag === "Success" &&
  answer.success._tag === "Claimed" &&
  !answer.success.record.holds.includes(claimant.holdId)
    ? Result.fail(odd(core.storage.guarantees.name, "claim", answer.success))
    : answer

/** One claim, in flight. */
class Attempt {
  answer: Answer<ClaimOutcome> | undefined
  readonly start: number

  constructor(
    readonly core: Core,
    readonly claimant: Claimant,
    readonly ticket: Ticket,
    readonly line: Line
  ) {
    this.start = core.timeline.now()
  }

  private hear(answer: Answer<ClaimOutcome>): void {
    if (this.answer === undefined) {
      this.answer = answer
      this.line.heard(this.core.timeline.now(), answer._tag === "Failure" ? answer.failure : undefined)
    }
    this.ticket.bell.ring()
  }

  run(limit: number): Effect.Effect<void> {
    const { claimant, core, line } = this
    claimant.inflight++
    line.asks(this.start)
    return core.calls.start(
      "claim",
      core.storage.claim({
        lockId: claimant.key,
        ownerId: claimant.ownerId,
        holdId: claimant.holdId,
        lease: Math.round(claimant.lease * 1000),
        ownerLabel: claimant.ownerLabel
      }),
      limit,
      {
        answered: (told) => {
          const answer = ours(core, claimant, told)
          if (answer._tag === "Success") claimant.mayHold ||= answer.success._tag === "Claimed"
          else if (answer.failure.applied !== "no") claimant.unsure = core.timeline.now()
          claimant.ended()
          this.hear(answer)
        },
        overdue: (error) => this.hear(Result.fail(error))
      }
    )
  }
}

const timedOut = (claimant: Claimant, waited: number, holder: LockRecord | undefined): LockTimeout =>
  new LockTimeout({
    lockId: claimant.lockId,
    ownerId: claimant.ownerId,
    waitedMillis: waited,
    heldBy: holder === undefined ? undefined : LockInformation.fromRecord(holder, claimant.lockId)
  })

/** The record of a hold of this process: then nobody need have asked the storage. */
const holderHere = (core: Core, key: string): LockRecord | undefined => {
  for (const hold of core.holds) if (hold.claimant.key === key) return hold.record
  return undefined
}

/** Must be run uninterruptibly; is interruptible where it waits, by `restore`. `Left`: somebody else has it, this one if the storage says so, and `wait` is false. */
export const acquire = (
  core: Core,
  wanted: Wanted,
  restore: Restore
): Effect.Effect<Result.Result<Hold, LockRecord | undefined>, LockTimeout | StorageError> =>
  Effect.gen(function* () {
    const { key, options, wait } = wanted
    const { alarms, lines, timeline } = core
    const newId = yield* Ids
    let holdId = yield* newId
    const ownerId = wanted.ownerId ?? (yield* newId)
    let claimant = newClaimant(wanted, ownerId, holdId)

    const limit = callLimit(options.lease)
    const began = timeline.now()
    const line = lines.of(key)
    const ticket = new Ticket(ownerId, wanted.ownerId !== undefined)
    let expired = false
    let deadlineAlarm: Alarm | undefined
    let pauseAlarm: Alarm | undefined
    let failingSince: number | undefined
    let failures = 0
    /** Whether an earlier claim was applied. */
    let gaveBack = false
    let failure: StorageError | undefined
    let holder: LockRecord | undefined
    let poll: ((input: undefined) => Effect.Effect<unknown, unknown>) | undefined

    /** `LockTimeout` says that somebody has the lock. Of a storage that does not answer, nobody can say that. */
    const outOfTime = (): LockTimeout | StorageError => {
      const now = timeline.now()
      const here = wait ? holderHere(core, key) : undefined
      const outage =
        failure ?? (here === undefined ? line.outage(began, now) : undefined) ?? (wait ? undefined : now - began)
      return outage === undefined
        ? timedOut(claimant, now - began, here ?? holder ?? line.holder)
        : typeof outage === "number"
          ? noAnswer(core.storage.guarantees.name, "claim", outage)
          : outage
    }

    /** What ends the waiting, whatever it waits for. */
    const verdict = (): LockTimeout | StorageError | undefined =>
      core.closed ? closedError("acquire") : expired ? outOfTime() : undefined
    let end: LockTimeout | StorageError | undefined
    const pause = (due: number) => {
      pauseAlarm?.cancel()
      pauseAlarm = alarms.set(due, () => ticket.bell.ring())
    }

    /** Of those who do not wait. */
    const patience =
      options.acquireTimeout !== Number.POSITIVE_INFINITY
        ? options.acquireTimeout
        : core.calls.hasAnswered()
          ? patienceOfTry
          : patienceOfFirstTry
    const within = (millis: number, more: number) => {
      const due = timeline.now() + millis
      deadlineAlarm = alarms.set(due, () => {
        if (more > 0 && timeline.now() - due > stoodStill) return within(more, 0)
        expired = true
        ticket.bell.ring()
      })
    }
    if (options.acquireTimeout !== Number.POSITIVE_INFINITY) within(options.acquireTimeout, 0)
    else if (!wait) within(patience, moreAfterStandstill)
    const held = line.holderHere
    const nestedAlarm =
      wait && held !== undefined && isOwn(wanted.place, held) && !line.mayGo(ticket)
        ? alarms.set(began + nestedMoment, () => warn(core, key, wanted.place))
        : undefined
    core.acquiring++

    // Who has little time must not spend it on letting others go first.
    const latest = began + options.acquireTimeout / 2
    const turn = Effect.gen(function* () {
      while (verdict() === undefined) {
        // Read once: what is due now must not seem to be later by the time of another reading.
        const now = timeline.now()
        const due = Math.min(latest, line.due(ticket, now))
        if (due <= now) return
        pause(due)
        yield* ticket.bell.wait
      }
    })
    /** After a hint; a poll needs no turn. */
    let awaitsTurn = wait && line.join(ticket, began)

    const attempts = Effect.gen(function* () {
      for (;;) {
        if ((end = verdict()) !== undefined) return yield* end
        while (wait && !line.mayGo(ticket)) {
          yield* restore(ticket.bell.wait)
          if ((end = verdict()) !== undefined) return yield* end
        }
        if (wait && line.takePause(timeline.now(), turnsInARow, longestStreak)) {
          line.pausesUntil = timeline.now() + moment * (yield* Random.nextBetween(0.5, 1.5))
        }
        const othersUntil = Math.min(latest, line.pausesUntil)
        if (wait && timeline.now() < othersUntil) {
          pause(othersUntil)
          while (timeline.now() < othersUntil) {
            yield* restore(ticket.bell.wait)
            if ((end = verdict()) !== undefined) return yield* end
          }
          if (!line.mayGo(ticket)) continue
        }

        if (awaitsTurn) {
          yield* restore(turn)
          if ((end = verdict()) !== undefined) return yield* end
          if (!line.mayGo(ticket)) continue
        }

        // From here on a hint is remembered, so that none can fall between the answer and the waiting.
        ticket.hinted = false
        const attempt = new Attempt(core, claimant, ticket, line)
        yield* attempt.run(limit)
        while (attempt.answer === undefined) {
          yield* restore(ticket.bell.waitWithin)
          if ((end = verdict()) !== undefined) return yield* end
        }
        const answer = attempt.answer
        // Of an answer that came at once, nobody has heard the ring. Whatever else may have rung is looked at from here on.
        ticket.bell.silence()

        if (answer._tag === "Success" && answer.success._tag === "Claimed") {
          const { record, validFor } = answer.success
          const deadline = deadlineOf(attempt.start, validFor, options)
          if (deadline > timeline.now()) {
            return Result.succeed(new Hold(core, claimant, options, record, attempt.start, deadline))
          }
          // The answer came when nothing was left of it: give it back, and try anew under another identity, which the release cannot hit.
          abandon(core, claimant)
          gaveBack = true
          holdId = yield* newId
          claimant = newClaimant(wanted, ownerId, holdId)
        }
        if (answer._tag === "Success" && answer.success._tag === "Held") {
          failure = failingSince = undefined
          failures = 0
          holder = answer.success.holder
          line.held(holder)
          if (!wait) return Result.fail(holder)
          core.listen.ring()
          awaitsTurn = true
          if (ticket.hinted || !line.mayGo(ticket) || verdict() !== undefined) continue
          if (answer.success.retryAfter !== undefined) pause(timeline.now() + answer.success.retryAfter / 1000)
          poll ??= yield* Schedule.toStepWithSleep(options.retry)
          const more = yield* restore(
            Effect.raceFirst(
              Effect.match(withClock(poll(undefined), core.clock), { onFailure: () => false, onSuccess: () => true }),
              Effect.as(Effect.andThen(ticket.bell.wait, turn), true)
            )
          )
          awaitsTurn = false
          if (!more) return yield* timedOut(claimant, timeline.now() - began, holder)
          continue
        }

        if (answer._tag === "Failure") failure = answer.failure
        else line.heard(timeline.now(), (failure = tooSlow(core, options)))
        failingSince ??= attempt.start
        const now = timeline.now()
        // Who waits already waits on for a lease, through a restart of the storage; who has had no answer at all is told soon.
        const patient = !wait ? Math.min(patience, patienceOfTry, limit) : holder === undefined ? limit : options.lease
        if (!failure.isRetryable || now - failingSince >= patient) return yield* failure
        const until = now + Math.min(1000, 20 * 2 ** failures++) * (yield* Random.nextBetween(0.5, 1.5))
        pause(until)
        while (timeline.now() < until && verdict() === undefined) yield* restore(ticket.bell.wait)
      }
    })

    const exit = yield* Effect.exit(attempts)
    deadlineAlarm?.cancel()
    pauseAlarm?.cancel()
    nestedAlarm?.cancel()
    if (exit._tag === "Failure" || Result.isFailure(exit.value)) abandon(core, claimant)
    line.leave(ticket)
    lines.tidy(key, timeline.now())
    core.acquiring--
    core.quiet.ring()
    return yield* Effect.mapError(exit, (error) => withApplied(error, gaveBack || claimant.mayBeIn ? "unknown" : "no"))
  })

/**
 * Of this acquire, not of the call that failed: the last one may not have been applied though one before it may, or be another's, for whose answer this one waited. What may have been applied
 * is being undone; the lock may look held until then.
 */
const withApplied = <E extends LockTimeout | StorageError>(
  error: E,
  applied: StorageError["applied"]
): E | StorageError => {
  if (error._tag !== "StorageError" || error.applied === applied) return error
  const { cause, isRetryable, message, operation, reason } = error
  return new StorageError({ reason, operation, isRetryable, applied, message, cause })
}

const tooSlow = (core: Core, options: Resolved): StorageError =>
  new StorageError({
    reason: "Timeout",
    operation: `${core.storage.guarantees.name}.claim`,
    isRetryable: true,
    applied: "unknown",
    message: `${core.storage.guarantees.name} answered when nothing was left of a lease of ${options.lease} ms: it is too slow for so short a lease`
  })
