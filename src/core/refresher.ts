/** Renews all holds of a layer, as many in one statement as there are. */
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type { StorageError } from "../LockError.js"
import type { RenewAnswer } from "../Storage.js"
import { isRenewAnswer, odd } from "./checkedAnswers.js"
import type { RenewableHold } from "./claimant.js"
import { type Core, longestCall } from "./core.js"

const chunkSize = 100

/** Who has more than this many times the time of the most urgent in a statement goes in another: it would fail with that one, again and again, for want of time that it has. */
const mostUnlike = 4

/** Shorter than this, a call has no chance. */
const shortestCall = 20

/** How long a call that renews it may take: there is to be time for another. */
const limitOf = (hold: RenewableHold, now: number): number =>
  Math.max(shortestCall, Math.min(hold.options.refresh, longestCall, (hold.deadline - now) / 2))

/** A storage that answers too few, or oddly, fails those alone. */
const answered = (core: Core, answer: unknown): RenewAnswer =>
  isRenewAnswer(answer) ? answer : odd(core.storage.guarantees.name, "renew", answer)

/** One statement for all of these. `after` is told for each what came of it. `millis`: a lease in place of each one's own. */
export const renew = (
  core: Core,
  holds: ReadonlyArray<RenewableHold>,
  after?: (answer: RenewAnswer) => void,
  millis?: number
): void => {
  // Before the call: from here on the storage may have begun the new lease.
  const start = core.timeline.now()
  let limit = Number.POSITIVE_INFINITY
  const requests = holds.map((hold) => {
    hold.renewing = true
    core.due.delete(hold)
    limit = Math.min(limit, limitOf(hold, start))
    const { holdId, key, lease } = hold.claimant
    return { lockId: key, holdId, lease: Math.round((millis ?? lease) * 1000) }
  })
  const tell = (failing: ReadonlyArray<RenewableHold>, error: StorageError) => {
    core.logs.renewalFailed(failing, error)
    if (core.events.isHeard)
      for (const { claimant, token } of failing)
        core.events.publishOf(claimant, { _tag: "RenewalFailed", token, error })
  }
  const failed = (error: StorageError) => {
    tell(
      holds.filter(({ state }) => state === "held"),
      error
    )
    for (const hold of holds) {
      hold.renewing = false
      hold.renewFailed(error)
      after?.(error)
    }
  }
  let late = false
  core.calls.start("renew", core.storage.renew(requests), limit, {
    answered: (answer) => {
      if (late) return
      if (answer._tag === "Failure") return failed(answer.failure)
      const failures = new Map<string, { readonly error: StorageError; readonly holds: Array<RenewableHold> }>()
      holds.forEach((hold, index) => {
        const outcome = answered(core, answer.success[index])
        hold.renewing = false
        if (outcome._tag === "StorageError") {
          const alike = failures.get(outcome.reason)
          if (alike === undefined) failures.set(outcome.reason, { error: outcome, holds: [hold] })
          else alike.holds.push(hold)
          hold.renewFailed(outcome)
        } else hold.renewed(start, outcome)
        after?.(outcome)
      })
      for (const { error, holds } of failures.values()) tell(holds, error)
    },
    overdue: (error) => {
      late = true
      failed(error)
    }
  })
}

/** One hold, and what came of it. */
export const renewOne = (core: Core, hold: RenewableHold, millis?: number): Effect.Effect<RenewAnswer> =>
  Effect.suspend(() => {
    const answer = Deferred.makeUnsafe<RenewAnswer>()
    renew(core, [hold], (told) => Deferred.doneUnsafe(answer, Exit.succeed(told)), millis)
    return Deferred.await(answer)
  })

/** Up to so many go at once: that costs less than half of what as many statements cost one by one, and claims do not wait for long behind them. */
const mostAtOnce = 5 * chunkSize

/** So many holds at most are looked at for others that could come along. */
const mostLooks = 10 * chunkSize

/** In so many statements as there must be. Whoever will be due soon comes along: holds of about one age end up in one statement. */
const chunksOf = (core: Core): ReadonlyArray<ReadonlyArray<RenewableHold>> => {
  const now = core.timeline.now()
  const due = new Set(core.due)
  core.due.clear()
  const isOpen = (hold: RenewableHold) => hold.state === "held" && !hold.renewing
  const holds = Array.from(due).filter(isOpen)
  let room = mostAtOnce - holds.length
  // Those that were renewed the longest ago are the first.
  let one = core.holds.first
  for (let looks = mostLooks; one !== undefined && room > 0 && looks > 0; looks--) {
    if (one.renewAt <= now + one.options.refresh / 4 && isOpen(one) && !due.has(one)) {
      holds.push(one)
      room--
    }
    one = one.after
  }
  const sorted = holds
    .map((hold) => ({ hold, limit: limitOf(hold, now) }))
    // The urgent ones together, so that none shortens the time of a whole chunk that has plenty.
    .sort((a, b) => a.limit - b.limit)
  const chunks: Array<Array<RenewableHold>> = []
  let chunk: Array<RenewableHold> | undefined
  let most = 0
  for (const { hold, limit } of sorted) {
    if (chunk === undefined || chunk.length === chunkSize || limit > most) {
      chunks.push((chunk = []))
      most = mostUnlike * limit
    }
    chunk.push(hold)
  }
  // Who only would have come along has time, unless it is many.
  return chunks.filter((chunk) => chunk.length === chunkSize || chunk.some((hold) => due.has(hold)))
}

export const renewDue = (core: Core): void => {
  if (core.due.size > 0) for (const chunk of chunksOf(core)) renew(core, chunk)
}
