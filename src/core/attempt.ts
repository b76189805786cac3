/** One claim, in flight: what the storage answers, and what that tells of whoever claims. */
import * as Result from "#effect/Result"
import type { StorageError } from "../LockError.js"
import type { Claim, ClaimOutcome } from "../LockRecord.js"
import { odd } from "./checkedAnswers.js"
import type { Answer } from "./calls.js"
import type { Claimant } from "./claimant.js"
import { type Core, startClaim } from "./core.js"
import type { LockQueue, Waiter } from "./lockQueue.js"

/** An answer that is another's, or to another request, is none. */
const ours = (core: Core, claimant: Claimant, answer: Answer<ClaimOutcome>): Answer<ClaimOutcome> =>
  answer._tag === "Success" &&
  answer.success._tag === "Claimed" &&
  !answer.success.record.holds.includes(claimant.holdId)
    ? Result.fail(odd(core.storage.guarantees.name, "claim", answer.success))
    : answer

export class Attempt {
  /** Also that there was none in time. */
  answer: Answer<ClaimOutcome> | undefined
  readonly start: number

  constructor(
    private readonly core: Core,
    private readonly claimant: Claimant,
    private readonly waiter: Waiter,
    private readonly queue: LockQueue,
    private readonly waits = true
  ) {
    this.start = core.timeline.now()
  }

  /** Starts it. Notifies its waiter when there is an answer, which may be before this returns. */
  run(limit: number): void {
    const { claimant, core, queue, start } = this
    claimant.inflight++
    queue.asks(start)
    const { share } = claimant
    const request: Claim = {
      lockId: claimant.key,
      ownerId: claimant.ownerId,
      holdId: claimant.holdId,
      lease: Math.round(claimant.lease * 1000),
      ownerLabel: claimant.ownerLabel
    }
    startClaim(core, share === undefined ? request : { ...request, ...share, waits: this.waits }, limit, this)
  }

  /** Also if nobody waits for it any more. */
  answered(told: Answer<ClaimOutcome>): void {
    const { claimant, core } = this
    const answer = ours(core, claimant, told)
    if (answer._tag === "Success")
      claimant.mayHold ||= answer.success._tag === "Claimed" || answer.success.pending === true
    else if (answer.failure.applied !== "no") claimant.unsure = core.timeline.now()
    claimant.ended()
    this.hear(answer)
  }

  overdue(error: StorageError): void {
    this.hear(Result.fail(error))
  }

  private hear(answer: Answer<ClaimOutcome>): void {
    if (this.answer === undefined) {
      this.answer = answer
      this.queue.heard(this.core.timeline.now(), answer._tag === "Failure" ? answer.failure : undefined)
    }
    this.waiter.signal.notify()
  }
}
