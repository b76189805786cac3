/**
 * What a store must be able to do, for the engine beside this to make a storage of it: write a record if it is in the state that was seen, or else tell the present one, and read linearizably. It
 * needs no clock.
 */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../../LockError.js"
import type { Claim, LockRecord } from "../../../LockRecord.js"

/** A record, or that there is none, and what tells this state of it from all others. */
export interface Seen<State> {
  readonly record: LockRecord | undefined
  /** Leases are observed by it: each write gives another one. 0 where there is no record. A store without such a number takes the record's own version. */
  readonly revision: number
  /** What the store itself compares, if that is more than the revision and the record. */
  readonly state?: State
}

/**
 * To be sent for one lock.
 *
 * - `Read`: tells the present record, linearizably.
 * - `Write`: puts `next` (nothing: the record goes) if the record is as it was seen, or else tells the present one. The comparison has to fail for a record that was deleted by hand and recreated, too.
 * - `Take`: of a store that `takes`. Takes the lock, if it is free or still as in `over`, which this process has seen for its whole lease, or else tells the present record.
 */
export type Ask<State> =
  | { readonly _tag: "Read" }
  | { readonly _tag: "Write"; readonly base: Seen<State>; readonly next: LockRecord | undefined }
  | { readonly _tag: "Take"; readonly claim: Claim; readonly over: Seen<State> | undefined }

export interface Part<State> {
  readonly lockId: string
  readonly ask: Ask<State>
}

/**
 * What became of it. An error is one of this part alone.
 *
 * - `Written`: with the record as it stands there now.
 * - `Present`: nothing was written, and this is what is there, as of a linearizable read of this very request.
 * - `Unknown`: whether it was written is not known, *but a later read of another state than the one it expected settles it*. While that state is there, it may still be written: the comparison that
 *   the store makes then is all that is relied on. So another write settles it as well, whichever of the two comes first. A store that compares less fails with an error instead, which says
 *   `applied: "unknown"`.
 */
export type Reply<State> =
  | { readonly _tag: "Written"; readonly seen: Seen<State> }
  | { readonly _tag: "Present"; readonly seen: Seen<State> }
  | { readonly _tag: "Unknown"; readonly error: StorageError }
  | StorageError

export interface Replies<State> {
  /** One for each part, in the same order. */
  readonly replies: ReadonlyArray<Reply<State>>
  /** The store's own counts of its changes, if it has one: each of the time of an answer. */
  readonly indexes?: ReadonlyArray<number> | undefined
}

export interface Page<State, Cursor> {
  readonly all: ReadonlyArray<Seen<State> | StorageError>
  readonly next: Cursor | undefined
  readonly index?: number | undefined
}

export interface Store<State, Cursor> {
  /** Of the storage, for errors. */
  readonly name: string
  /**
   * Sends all, in as few requests as it can: no lock is named twice. `until` is a moment of `performance.now()`, by which it has ended. Whatever is tried again within is tried again only where it was
   * surely not applied.
   */
  readonly send: (
    operation: string,
    parts: ReadonlyArray<Part<State>>,
    until: number
  ) => Effect.Effect<Replies<State>, StorageError>
  /** Some records, held or free, and from where to go on. */
  readonly page: (
    operation: string,
    from: Cursor | undefined,
    until: number
  ) => Effect.Effect<Page<State, Cursor>, StorageError>
  /** Whether one request takes a free lock of which nothing is known. */
  readonly takes?: true
}

/** `send` of a store that has a request for one lock alone: so many at once. */
export const eachAlone =
  <State>(
    one: (
      operation: string,
      lockId: string,
      ask: Ask<State>,
      until: number
    ) => Effect.Effect<Reply<State>, StorageError>,
    concurrency: number
  ): Store<State, unknown>["send"] =>
  (operation, parts, until) =>
    Effect.map(
      Effect.forEach(parts, ({ ask, lockId }) => Effect.catch(one(operation, lockId, ask, until), Effect.succeed), {
        concurrency
      }),
      (replies) => ({ replies })
    )
