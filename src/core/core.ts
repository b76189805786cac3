/** What the parts of a layer share: its storage, its clocks, its queues, and the holds that it has. */
import type * as Clock from "effect/Clock"
import type * as Deferred from "#effect/Deferred"
import type * as Effect from "#effect/Effect"
import type { Direct } from "../common/direct.js"
import { StorageError } from "../LockError.js"
import type { Claim, ClaimOutcome, Release, ReleaseOutcome } from "../LockRecord.js"
import type * as Storage from "../Storage.js"
import type { Timers } from "./timers.js"
import type { Signal } from "./signal.js"
import type { Calls, Handler } from "./calls.js"
import type { Claimant, RenewableHold } from "./claimant.js"
import type { Events } from "./events.js"
import type { LinkedList } from "./linkedList.js"
import type { LockQueues } from "./lockQueues.js"
import type { Logs } from "./logs.js"
import type { Timeline } from "./timeline.js"

/** What the parts of one layer share. */
export interface Core {
  readonly storage: Storage.Service
  /** The shorter way to it, if it has one. */
  readonly direct: Direct | undefined
  readonly namespace: string | undefined
  /** Of its locks. */
  readonly kind: string
  /** What all waiting goes by, whoever waits. */
  readonly clock: Clock.Clock
  readonly timeline: Timeline
  readonly timers: Timers
  readonly calls: Calls
  readonly queues: LockQueues
  readonly logs: Logs
  readonly events: Events
  /** What its hold ids begin with. */
  readonly mark: string
  /** The holds of this process that are renewed, the one first that was renewed the longest ago. */
  readonly holds: LinkedList<RenewableHold>
  /** Work that synchronous code wants done; `work` wakes the fiber that does it. */
  readonly due: Set<RenewableHold>
  readonly tasks: Array<Effect.Effect<void>>
  readonly work: Signal
  /** Given when a waiter first has to wait: only then is it worth to listen. */
  readonly listen: Signal
  /** It listens, and hears hints of its own releases, too. */
  hearsItself: boolean
  /** Acquires under way, and a signal for when one, or the last call, has ended: closing waits for them. */
  acquiring: number
  readonly quiet: Signal
  /** The layer is about to close, and what it keeps is given back. */
  ending: boolean
  closed: boolean
  /** Done when it closes. */
  readonly closing: Deferred.Deferred<void>
  /** What is done at the end, when all events have been told, and the storage is still there. In bounded time. */
  readonly lastWords: Set<Effect.Effect<void>>
}

/** Asks the storage for a hold. */
export const startClaim = (core: Core, request: Claim, limit: number, handler: Handler<ClaimOutcome>): void => {
  const { calls, clock, direct, storage } = core
  if (direct === undefined) return calls.start("claim", storage.claim(request), limit, handler)
  calls.startDirect("claim", (millis, done) => direct.claim(request, millis, done, clock), limit, handler)
}

/** Gives one back. */
export const startRelease = (core: Core, request: Release, limit: number, handler: Handler<ReleaseOutcome>): void => {
  const { calls, clock, direct, storage } = core
  if (direct === undefined) return calls.start("release", storage.release(request), limit, handler)
  calls.startDirect("release", (millis, done) => direct.release(request, millis, done, clock), limit, handler)
}

/** No call to the storage is waited for longer, in milliseconds. */
export const longestCall = 10_000

export const isUnsure = (core: Core, claimant: Claimant): boolean =>
  claimant.inflight > 0 || (claimant.unsure !== undefined && core.timeline.now() < claimant.unsure + claimant.lease)

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

export const addTask = (core: Core, self: Effect.Effect<void>): void => {
  core.tasks.push(self)
  core.work.notify()
}
