/** The spans of an acquire and of its hold, where somebody looks. */
import * as Duration from "#effect/Duration"
import * as Option from "#effect/Option"
import type { Describe, Span, Start } from "#effect/spans"
import type { Claimant } from "./claimant.js"
import type { Core } from "./core.js"
import type { Outcome } from "./events.js"

const subject =
  ({ namespace, storage }: Core, { lockId, ownerId, ownerLabel }: Claimant): Describe =>
  (attribute) => {
    attribute("storage_lock.lock_id", lockId)
    attribute("storage_lock.owner_id", ownerId)
    attribute("storage_lock.owner_label", ownerLabel)
    attribute("storage_lock.storage", storage.guarantees.name)
    if (namespace !== undefined) attribute("storage_lock.namespace", namespace)
  }

export const acquire = (start: Start, core: Core, claimant: Claimant): Span | undefined =>
  start("StorageLock.acquire", subject(core, claimant))

/** How it ended, by the names of the events. That somebody else has the lock is no failure of a try. */
export const acquired = (span: Span, outcome: Outcome): void => {
  span.set((attribute) => {
    attribute("storage_lock.outcome", outcome._tag)
    if ("waited" in outcome) attribute("storage_lock.waited_ms", Duration.toMillis(outcome.waited))
    if (outcome._tag === "Acquired") {
      attribute("storage_lock.token", outcome.token)
      attribute("storage_lock.attempts", outcome.attempts)
    }
    const holder =
      outcome._tag === "Refused"
        ? Option.getOrUndefined(outcome.holder)
        : outcome._tag === "TimedOut"
          ? outcome.error.heldBy
          : undefined
    if (holder === undefined) return
    attribute("storage_lock.holder.owner_id", holder.ownerId)
    attribute("storage_lock.holder.owner_label", holder.ownerLabel)
  })
  span.end("error" in outcome ? outcome.error : undefined)
}

/** From the claim to the release or the loss. */
export const hold = (start: Start, core: Core, claimant: Claimant, token: number): Span | undefined =>
  start("StorageLock.hold", (attribute) => {
    subject(core, claimant)(attribute)
    attribute("storage_lock.token", token)
  })
