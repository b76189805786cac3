import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { StorageError } from "../LockError.js"
import type * as Storage from "../Storage.js"
import type { Alarms } from "./alarms.js"
import { Bell } from "./bell.js"
import type { Calls } from "./calls.js"
import type { Hold } from "./hold.js"
import type { Lines } from "./line.js"
import type { Place } from "./nesting.js"
import type { Signs } from "./signs.js"
import type { Timeline } from "./timeline.js"
import { Unreleased } from "./unreleased.js"

/** What the parts of one layer share. */
export interface Core {
  readonly storage: Storage.Service
  readonly namespace: string | undefined
  /** What all waiting goes by, whoever waits. */
  readonly clock: Clock.Clock
  readonly timeline: Timeline
  readonly alarms: Alarms
  readonly calls: Calls
  readonly lines: Lines
  readonly signs: Signs
  /** The holds of this process that are renewed. */
  readonly holds: Set<Hold>
  /** Work that synchronous code wants done; `worker` wakes the fiber that does it. */
  readonly due: Set<Hold>
  readonly chores: Array<Effect.Effect<void>>
  readonly worker: Bell
  /** Rung when a waiter first has to wait: only then is it worth to listen. */
  readonly listen: Bell
  /** Acquires under way, and a bell for when one, or the last call, has ended: closing waits for them. */
  acquiring: number
  readonly quiet: Bell
  closed: boolean
  /** Done when it closes. */
  readonly closing: Deferred.Deferred<void>
}

/** No call to the storage is waited for longer, in milliseconds. */
export const longestCall = 10_000

/**
 * One acquire's identity at the storage. It lives on after the acquire, until it is certain that the storage keeps nothing for it.
 */
export class Claimant {
  /** Claims that have not ended. */
  inflight = 0
  private bell: Bell | undefined
  /** When a claim last ended without telling whether it was applied: for a lease from then on, it may still be. */
  unsure = Number.NEGATIVE_INFINITY
  /** On the timeline: when the lease of what it has or had ends, as far as is known. */
  until = Number.NEGATIVE_INFINITY
  /** A claim was answered `Claimed`, whatever was answered to others of it since: they may have been applied in another order. */
  mayHold = false
  constructor(
    readonly key: string,
    readonly lockId: string,
    readonly ownerId: string,
    readonly holdId: string,
    readonly lease: number,
    readonly ownerLabel: string,
    readonly place?: Place
  ) {}

  /** Whether the storage may have something of it. Also if it was long ago that a claim's fate became unknown: it may have deepened a hold that has been renewed since. */
  get mayBeIn(): boolean {
    return this.mayHold || this.inflight > 0 || this.unsure !== Number.NEGATIVE_INFINITY
  }

  /** A claim has ended. */
  ended(): void {
    this.inflight--
    this.bell?.ring()
  }

  /** Waits for the end of the next claim that ends. Nearly nobody does. */
  get nextEnd(): Effect.Effect<void> {
    return (this.bell ??= new Bell()).wait
  }
}

export const isUnsure = (core: Core, claimant: Claimant): boolean =>
  claimant.inflight > 0 || core.timeline.now() < claimant.unsure + claimant.lease

/** In proportion to the lease, so that a short one is not eaten up by one slow call. */
export const callLimit = (lease: number): number => Math.min(lease / 3, longestCall)

export const closedError = (operation: string): StorageError =>
  new StorageError({
    reason: "Closed",
    operation: `StorageLock.${operation}`,
    isRetryable: false,
    applied: "no",
    message: "the StorageLock layer is closed"
  })

export const chore = (core: Core, self: Effect.Effect<void>): void => {
  core.chores.push(self)
  core.worker.ring()
}

export const release = (core: Core, { holdId, key }: Claimant) => core.storage.release({ lockId: key, holdId })

/** Between releases that fail, and between those that only look whether a lost claim has arrived meanwhile; the second as a part of the lease. In milliseconds. */
const longestPause = 2000
const looks = 10

/**
 * Makes certain that the storage keeps nothing of a claimant that is no longer wanted: waits until its claims have ended, then releases its hold,
 * again and again until the answer is definite or the lease is over anyway.
 */
export const settle = (core: Core, claimant: Claimant): Effect.Effect<void> =>
  Effect.suspend(() => {
    const trouble = new Unreleased(core, claimant)
    return Effect.ensuring(settling(core, claimant, trouble), Effect.sync(() => trouble.ended()))
  })

const settling = (core: Core, claimant: Claimant, trouble: Unreleased): Effect.Effect<void> =>
  Effect.gen(function*() {
    let hurries = core.closed
    while (claimant.inflight > 0) yield* claimant.nextEnd
    const over = core.timeline.now() + claimant.lease
    for (let pause = 20;; pause *= 2) {
      const answer = yield* Effect.either(core.calls.ask("release", release(core, claimant), callLimit(claimant.lease)))
      const answered = answer._tag === "Right"
      if (answered) trouble.answered()
      else trouble.failed(answer.left)
      // While a claim, or a copy of one, may yet arrive, no answer is the last word.
      if (answered && !isUnsure(core, claimant)) return
      // Closing waits for no claim that may yet arrive, but one lost message more must not block others for a lease: its own bound ends the repeating.
      if (core.closed && (answered || !answer.left.isRetryable)) return
      // What has deepened a hold of this process lives as long as that is renewed.
      if (core.timeline.now() >= over && (answered || !core.lines.isHolder(claimant.key, claimant.ownerId))) return
      pause = Math.min(pause, answered ? Math.max(longestPause, claimant.lease / looks) : longestPause)
      const rest = Effect.sleep(yield* Random.nextIntBetween(pause / 2, pause * 1.5))
      if (hurries) yield* rest
      else {
        yield* Effect.raceFirst(rest, Deferred.await(core.closing))
        // There is little time left: it begins anew with short pauses, but with pauses.
        if ((hurries = core.closed)) pause = 10
      }
    }
  })
