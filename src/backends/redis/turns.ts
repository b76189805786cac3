/**
 * A change of a record while nobody else writes it. A script cannot run a transition, so it gives a turn: who has it may write, and the compare-and-set of all others misses, until it has written or its time is over.
 * Those who wait for a turn stand in a queue, so who is far away gets its own beside those that are near. Between turns everybody writes as always.
 */
import * as Effect from "#effect/Effect"
import * as Random from "#effect/Random"
import { inRealTime } from "../../common/clocks.js"
import { randomId } from "../../common/ids.js"
import { unapplied } from "../../common/storageErrors.js"
import type { StorageError } from "../../LockError.js"
import type { LockRecord, Step } from "../../LockRecord.js"
import * as VersionedStore from "../../VersionedStore.js"

/** For so many milliseconds at most others miss, and so soon must who waits ask again to keep its place: enough for two round trips around the world, and little beside a lease. */
export const longest = 250

/** The longest pause before it asks again. */
const longestPause = 50

/** What a store of turns answers: it is our turn, with the record, if there is one; or so many are before us. */
export type Turn =
  | { readonly _tag: "Ours"; readonly found: LockRecord | undefined; readonly now: number }
  | { readonly _tag: "Wait"; readonly before: number }

export interface Turns {
  readonly ask: (lockId: string, id: string) => Effect.Effect<Turn, StorageError>
  /** Not waited for: it ends by itself. */
  readonly leave: (lockId: string, id: string) => void
  readonly create: (record: LockRecord) => Effect.Effect<void, VersionedStore.VersionMiss | StorageError>
  readonly update: (
    record: LockRecord,
    expectedVersion: number,
    id: string
  ) => Effect.Effect<void, VersionedStore.VersionMiss | StorageError>
  /** Milliseconds from now on. */
  readonly patience: Effect.Effect<number, StorageError>
}

export const modify =
  (turns: Turns): NonNullable<VersionedStore.Service["modify"]> =>
  <O>(lockId: string, transition: (record: LockRecord | undefined, now: number) => Step<O>) => {
    type Changed = Effect.Effect<O, VersionedStore.VersionMiss | StorageError>

    const judged = (id: string, found: LockRecord | undefined, now: number): Changed => {
      let step: Step<O>
      try {
        step = transition(found, now)
      } catch (defect) {
        turns.leave(lockId, id)
        return Effect.die(defect)
      }
      const { outcome, record } = step
      if (record === undefined || record === found) {
        if (found !== undefined) turns.leave(lockId, id)
        return Effect.succeed(outcome)
      }
      const next = { ...record, lockId }
      return Effect.as(
        found === undefined
          ? turns.create(next)
          : // Somebody wrote who knows no turns, or it is not known what was done: nobody waits for the rest of this one.
            Effect.tapError(turns.update(next, found.version, id), () => Effect.sync(() => turns.leave(lockId, id))),
        outcome
      )
    }

    const attempt = (id: string, until: number): Changed =>
      Effect.flatMap(Effect.mapError(turns.ask(lockId, id), unapplied), (turn): Changed =>
        turn._tag === "Ours"
          ? judged(id, turn.found, turn.now)
          : performance.now() > until
            ? Effect.fail(new VersionedStore.VersionMiss({ lockId }))
            : Effect.flatMap(Random.nextBetween(1, 2 + 2 * turn.before), (pause) =>
                Effect.andThen(Effect.sleep(Math.min(pause, longestPause)), attempt(id, until))
              )
      )

    return inRealTime(
      Effect.flatMap(turns.patience, (millis) => Effect.suspend(() => attempt(randomId(), performance.now() + millis)))
    )
  }
