/** One claim by itself: what it asks for, and which of its answers count, for its waiter and for those who queue behind it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import type { Answer, Handler } from "../../src/core/calls.js"
import { Attempt } from "../../src/core/attempt.js"
import type { Resolved } from "../../src/core/options.js"
import { Claimant } from "../../src/core/claimant.js"
import type { Core } from "../../src/core/core.js"
import { LockQueue, Waiter } from "../../src/core/lockQueue.js"
import type { Claim, ClaimOutcome, LockRecord } from "../../src/LockRecord.js"
import * as Faulty from "../support/faulty.js"

const holdId = "h".repeat(22)
const recordOf = (holds: ReadonlyArray<string>) => ({ ownerId: "me", lockId: "l", holds }) as unknown as LockRecord
const claimed = (holds = [holdId]): Answer<ClaimOutcome> =>
  Result.succeed({ _tag: "Claimed", record: recordOf(holds), validFor: 1 })
const held: Answer<ClaimOutcome> = Result.succeed({ _tag: "Held", holder: recordOf(["other"]) })

const setup = () => {
  const state = { now: 1_000, rung: 0, asked: [] as Array<readonly [string, number]>, claims: [] as Array<Claim> }
  const core = {
    timeline: { now: () => state.now },
    storage: {
      guarantees: { name: "test" },
      claim: (request: Claim) => {
        state.claims.push(request)
        return Effect.never
      }
    },
    calls: { start: (operation: string, _: unknown, limit: number) => void state.asked.push([operation, limit]) }
  } as unknown as Core
  const claimant = new Claimant("key", "id", "me", holdId, { lease: 3_000.0004, ownerLabel: "label" } as Resolved)
  const waiter = new Waiter("me")
  waiter.signal.notify = () => void state.rung++
  const queue = new LockQueue()
  const attempt = new Attempt(core, claimant, waiter, queue)
  attempt.run(700)
  return { attempt, claimant, queue, state, handler: attempt as Handler<ClaimOutcome> }
}

const late = Faulty.failure("Timeout", "unknown")

describe("one claim", () => {
  it("asks for its key, with its lease in whole microseconds, and is in flight until it is answered", () => {
    const { attempt, claimant, handler, queue, state } = setup()
    assert.deepStrictEqual(state.asked, [["claim", 700]])
    assert.deepStrictEqual(state.claims, [
      { lockId: "key", ownerId: "me", holdId, lease: 3_000_000, ownerLabel: "label" }
    ])
    assert.deepStrictEqual([attempt.start, claimant.inflight, claimant.mayBeIn], [1_000, 1, true])
    assert.strictEqual(queue.outage(1_000, 1_060), 60, "the storage has been silent since")
    handler.answered(held)
    assert.deepStrictEqual([attempt.answer, claimant.inflight, claimant.mayBeIn, state.rung], [held, 0, false, 1])
    assert.isUndefined(queue.outage(1_000, 1_060))
  })

  it("that was applied, or may have been, leaves its claimant to be released", () => {
    const applied = setup()
    applied.handler.answered(claimed())
    assert.deepStrictEqual([applied.claimant.mayHold, applied.claimant.mayBeIn], [true, true])
    const unknown = setup()
    unknown.state.now = 1_500
    unknown.handler.answered(Result.fail(late))
    assert.deepStrictEqual([unknown.claimant.mayHold, unknown.claimant.unsure], [false, 1_500])
    const refused = setup()
    refused.handler.answered(Result.fail(Faulty.failure("Connection", "no")))
    assert.isFalse(refused.claimant.mayBeIn)
  })

  it("that is told of another's hold has not been answered", () => {
    const { attempt, claimant, handler, queue } = setup()
    handler.answered(claimed(["another's"]))
    const { answer } = attempt
    assert(answer !== undefined && Result.isFailure(answer))
    assert.match(answer.failure.message, /^test answered claim with a Claimed of another shape/)
    assert.isTrue(claimant.mayBeIn)
    assert.strictEqual(queue.outage(1_000, 1_000), answer.failure)
  })

  it("that was overdue stays so, whatever it is answered in the end: only its claimant learns of that", () => {
    const { attempt, claimant, handler, queue, state } = setup()
    handler.overdue!(late)
    assert.deepStrictEqual([attempt.answer, claimant.inflight], [Result.fail(late), 1])
    handler.answered(claimed())
    assert.deepStrictEqual(attempt.answer, Result.fail(late))
    assert.strictEqual(queue.outage(1_000, 1_000), late)
    assert.deepStrictEqual([claimant.inflight, claimant.mayHold], [0, true])
    assert.strictEqual(state.rung, 2)
  })
})
