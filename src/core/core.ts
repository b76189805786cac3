import type * as Clock from "effect/Clock"
import type * as Deferred from "#effect/Deferred"
import type * as Effect from "#effect/Effect"
import { StorageError } from "../LockError.js"
import type * as Storage from "../Storage.js"
import type { Alarms } from "./alarms.js"
import type { Bell } from "./bell.js"
import type { Calls } from "./calls.js"
import type { Claimant, Held } from "./claimant.js"
import type { Lines } from "./lines.js"
import type { Signs } from "./signs.js"
import type { Timeline } from "./timeline.js"

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
  readonly holds: Set<Held>
  /** Work that synchronous code wants done; `worker` wakes the fiber that does it. */
  readonly due: Set<Held>
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
