/** Renews all holds of a layer, as many in one statement as there are. */
import * as Effect from "effect/Effect"
import type { StorageError } from "../LockError.js"
import type { RenewAnswer } from "../Storage.js"
import { isRenewAnswer, odd } from "./answers.js"
import { type Core, longestCall } from "./core.js"
import type { Hold } from "./hold.js"

const chunkSize = 100

/** Shorter than this, a call has no chance. */
const shortestCall = 20

/** A storage that answers too few, or oddly, fails those alone. */
const answered = (core: Core, answer: unknown): RenewAnswer => isRenewAnswer(answer) ? answer : odd(core.storage.guarantees.name, "renew", answer)

/** One statement for all of these. `after` is told for each what came of it. */
export const renew = (
  core: Core,
  holds: ReadonlyArray<Hold>,
  after?: (answer: RenewAnswer) => void
): Effect.Effect<void> =>
  Effect.suspend(() => {
    // Before the call: from here on the storage may have begun the new lease.
    const start = core.timeline.now()
    let limit = Number.POSITIVE_INFINITY
    const requests = holds.map((hold) => {
      hold.renewing = true
      core.due.delete(hold)
      limit = Math.min(limit, hold.options.refresh, longestCall, (hold.deadline - start) / 2)
      const { holdId, key, lease } = hold.claimant
      return { lockId: key, holdId, lease: Math.round(lease * 1000) }
    })
    const failed = (error: StorageError) => {
      core.signs.renewalFailed(holds.filter(({ state }) => state === "held"), error)
      for (const hold of holds) {
        hold.renewing = false
        hold.renewFailed(error)
        after?.(error)
      }
    }
    let late = false
    return core.calls.start("renew", core.storage.renew(requests), Math.max(shortestCall, limit), {
      answered: (answer) => {
        if (late) return
        if (answer._tag === "Left") return failed(answer.left)
        const failures = new Map<string, { readonly error: StorageError; readonly holds: Array<Hold> }>()
        holds.forEach((hold, index) => {
          const outcome = answered(core, answer.right[index])
          hold.renewing = false
          if (outcome._tag === "StorageError") {
            const alike = failures.get(outcome.reason)
            if (alike === undefined) failures.set(outcome.reason, { error: outcome, holds: [hold] })
            else alike.holds.push(hold)
            hold.renewFailed(outcome)
          } else hold.renewed(start, outcome)
          after?.(outcome)
        })
        for (const { error, holds } of failures.values()) core.signs.renewalFailed(holds, error)
      },
      overdue: (error) => {
        late = true
        failed(error)
      }
    })
  })

/** Whoever will be due soon comes along: holds of about one age end up in one statement. */
const dueBy = (core: Core): Array<Hold> => {
  const now = core.timeline.now()
  const holds = new Set(core.due)
  core.due.clear()
  for (const hold of core.holds) if (hold.renewAt <= now + hold.options.refresh / 4) holds.add(hold)
  return Array.from(holds).filter((hold) => hold.state === "held" && !hold.renewing)
}

export const renewDue = (core: Core): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (core.due.size === 0) return Effect.void
    // The urgent ones together, so that none shortens the time of a whole chunk that has plenty.
    const holds = dueBy(core).sort((a, b) => a.deadline - b.deadline)
    const chunks: Array<Array<Hold>> = []
    for (let i = 0; i < holds.length; i += chunkSize) chunks.push(holds.slice(i, i + chunkSize))
    return Effect.forEach(chunks, (chunk) => renew(core, chunk), { discard: true })
  })
