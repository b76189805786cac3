/** The states on the way to a hold, as `acquire.ts` draws them, and what a step from one comes to. */
import type * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import type * as Result from "#effect/Result"
import type { LockTimeout, StorageError } from "../LockError.js"
import type { LockRecord } from "../LockRecord.js"
import type { Attempt } from "./attempt.js"
import type { Hold } from "./hold.js"

/** A failure: somebody else has it, this one if the storage says so, and nobody wants to wait. */
export type Acquired = Result.Result<Hold, LockRecord | undefined>

export type Failure = LockTimeout | StorageError

/** Behind others of this process. */
export const queued = { _tag: "Queued" } as const

/** First in the queue, and lets other processes in. */
export interface Pausing {
  readonly _tag: "Pausing"
  readonly until: number
}

/** First in the queue; other processes may have waited for longer. */
export const awaitingTurn = { _tag: "AwaitingTurn" } as const

/** The storage has been asked. */
export interface Asking {
  readonly _tag: "Asking"
  readonly attempt: Attempt
}

/** Somebody else has it, and the next poll is not known yet. */
export const waiting = { _tag: "Waiting" } as const

/** Somebody else has it, and whoever waits has been signalled. */
export const signalled = { _tag: "Signalled" } as const

/** The storage has failed, and will be asked again. */
export interface BackingOff {
  readonly _tag: "BackingOff"
  readonly until: number
}

export interface Won {
  readonly _tag: "Won"
  readonly hold: Hold
}

export interface Gone {
  readonly _tag: "Gone"
  readonly exit: Exit.Exit<Acquired, Failure>
}

export type State =
  typeof queued | Pausing | typeof awaitingTurn | Asking | typeof waiting | typeof signalled | BackingOff | Won | Gone

/** What a step comes to: the next state, or something that must be waited for, which tells the next state. */
export type Step = State | Effect.Effect<State>

export const gone = (failure: Failure): Gone => ({ _tag: "Gone", exit: Exit.fail(failure) })
