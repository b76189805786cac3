/** The spans of an acquire and of its hold, where somebody looks. */
import * as Duration from "#effect/Duration"
import * as Option from "#effect/Option"
import type { Span, Start } from "#effect/spans"
import type { Claimant } from "./claimant.js"
import type { Core } from "./core.js"
import type { Outcome } from "./events.js"

const attributesOf = ({ namespace, storage }: Core, { lockId, ownerId, ownerLabel }: Claimant) => ({
  "storage_lock.lock_id": lockId,
  "storage_lock.owner_id": ownerId,
  "storage_lock.owner_label": ownerLabel,
  "storage_lock.storage": storage.guarantees.name,
  ...(namespace === undefined ? {} : { "storage_lock.namespace": namespace })
})

export const acquire = (start: Start, core: Core, claimant: Claimant): Span | undefined =>
  start("StorageLock.acquire", attributesOf(core, claimant))

/** How it ended, by the names of the events. That somebody else has the lock is no failure of a try. */
export const acquired = (span: Span, outcome: Outcome): void => {
  span.set({ "storage_lock.outcome": outcome._tag })
  if ("waited" in outcome) span.set({ "storage_lock.waited_ms": Duration.toMillis(outcome.waited) })
  if (outcome._tag === "Acquired")
    span.set({ "storage_lock.token": outcome.token, "storage_lock.attempts": outcome.attempts })
  const holder =
    outcome._tag === "Refused"
      ? Option.getOrUndefined(outcome.holder)
      : outcome._tag === "TimedOut"
        ? outcome.error.heldBy
        : undefined
  if (holder !== undefined)
    span.set({ "storage_lock.holder.owner_id": holder.ownerId, "storage_lock.holder.owner_label": holder.ownerLabel })
  span.end("error" in outcome ? outcome.error : undefined)
}

/** From the claim to the release or the loss. */
export const hold = (start: Start, core: Core, claimant: Claimant, token: number): Span | undefined =>
  start("StorageLock.hold", { ...attributesOf(core, claimant), "storage_lock.token": token })
