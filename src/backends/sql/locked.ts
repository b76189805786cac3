/**
 * A change of a record while nobody else can write it: two requests on one connection, between which the server keeps the row locked. So whoever is far from the server gets its turn beside those that are near: they
 * wait for it, and not it for a moment without them.
 *
 * What goes wrong leaves no row locked. An error or a time-out closes the connection, or rolls it back; a process that dies is hung up on; and of one that is silent, with its machine or its network gone, the server ends
 * the transaction after `longestSilence`.
 */
import * as Effect from "#effect/Effect"
import { unapplied } from "../../common/storageErrors.js"
import type { StorageError } from "../../LockError.js"
import type { LockRecord, Step } from "../../LockRecord.js"
import * as VersionedStore from "../../VersionedStore.js"
import type { Query } from "./executor.js"
import { integer, recordOf, type Row } from "./record.js"

/** What a dialect says for that. */
export interface Locked<S> {
  /** Begins a transaction, and locks the row. Tells one row: `t`, and the record, or null for its `lock_id`. So long, in milliseconds, does it wait for others. */
  readonly begin: (lockId: string, millis: number) => Query<S>
  /** These end it, with a row if it was done. */
  readonly create: (record: LockRecord) => Query<S>
  readonly update: (record: LockRecord, expectedVersion: number) => Query<S>
  /** As this does, without a write. */
  readonly leave: Query<S>
}

/** After so many milliseconds without a word the server frees the row: long enough for a round trip around the world and a pause of the process, and short beside a lease. */
export const longestSilence = 2_000

/** A defect of the transition is the caller's own. */
type Judged<O> = Step<O> | { readonly defect: unknown }

export const make =
  <S>(
    locked: Locked<S>,
    run: (make: (millis: number) => Query<S>) => Effect.Effect<ReadonlyArray<Row>, StorageError>
  ): NonNullable<VersionedStore.Service["modify"]> =>
  <O>(lockId: string, transition: (record: LockRecord | undefined, now: number) => Step<O>) =>
    Effect.suspend(() => {
      let judged: Judged<O> | undefined
      let isWritten = false

      const judge = (found: LockRecord | undefined, now: number): Judged<O> => {
        try {
          return transition(found, now)
        } catch (defect) {
          return { defect }
        }
      }

      const end = ([row]: ReadonlyArray<Row>): Query<S> => {
        const found = row!.lock_id === null ? undefined : recordOf(row!)
        judged = judge(found, integer(row!.t))
        const next = "defect" in judged ? undefined : judged.record
        isWritten = next !== undefined && next !== found
        if (!isWritten) return locked.leave
        return found === undefined
          ? locked.create({ ...next!, lockId })
          : locked.update({ ...next!, lockId }, found.version)
      }

      const asked = run((millis) => {
        isWritten = false
        return { ...locked.begin(lockId, millis), next: end }
      })
      return Effect.flatMap(
        // Before its second request was sent, nothing can have been done.
        Effect.mapError(asked, (error) => (isWritten ? error : unapplied(error))),
        (rows): Effect.Effect<O, VersionedStore.VersionMiss> =>
          isWritten && rows.length === 0
            ? Effect.fail(new VersionedStore.VersionMiss({ lockId }))
            : "defect" in judged!
              ? Effect.die(judged.defect)
              : Effect.succeed(judged!.outcome)
      )
    })
