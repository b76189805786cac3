/**
 * What is kept of a schedule beside its lock: the last tick that was begun, and how the last ones went. It is moved by compare-and-set, so a tick is begun once whatever became of the lock meanwhile.
 *
 * It is a record that nobody holds, of a kind of its own. Its lease "ends" in ten years, so that `purge` does not drop what tells that a tick is done.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import { StorageError } from "../LockError.js"
import * as LockRecord from "../LockRecord.js"
import type * as VersionedStore from "../VersionedStore.js"

export const kind = "schedule"

export type Outcome = "running" | "done" | "failed" | "interrupted" | "skipped" | "died"

/** Times in milliseconds since the Unix epoch. */
export interface Run {
  readonly tick: number
  readonly outcome: Outcome
  readonly token: number
  readonly by: string
  readonly began: number
  readonly ended: number | undefined
}

export interface Ledger {
  /** The last tick that was begun or passed over. */
  readonly tick: number
  /** The newest first. */
  readonly runs: ReadonlyArray<Run>
}

/** So many are remembered. */
const mostRuns = 20

const forever = 10 * 365 * 86_400_000_000

const lockIdOf = (name: string): string => `${name}#ticks`

const isRun = (run: any): run is Run =>
  typeof run === "object" && run !== null && [run.tick, run.token, run.began].every(Number.isFinite)

const read = (record: LockRecord.LockRecord): Ledger | undefined => {
  if (record.kind !== kind) return record.holds.length === 0 ? { tick: Number.NEGATIVE_INFINITY, runs: [] } : undefined
  try {
    const { runs, tick } = JSON.parse(record.data)
    return Number.isFinite(tick) && Array.isArray(runs) && runs.every(isRun) ? { tick, runs } : undefined
  } catch {
    return undefined
  }
}

export interface Book {
  /** Absent: no tick was ever begun. */
  readonly look: Effect.Effect<Ledger | undefined, StorageError>
  /**
   * Writes what `change` makes of it, if nobody else has meanwhile; then it is tried again. Nothing is written where it gives nothing, which is `false`; nor where it gives what is there: then this was written
   * before, and the answer was lost.
   */
  readonly change: (change: (ledger: Ledger) => Ledger | undefined) => Effect.Effect<boolean, StorageError>
}

export const open = (store: VersionedStore.Service, key: string): Book => {
  const lockId = lockIdOf(key)
  const found = Effect.flatMap(store.get(lockId), (option) => {
    const record = Option.getOrUndefined(option)
    const ledger = record === undefined ? { tick: Number.NEGATIVE_INFINITY, runs: [] } : read(record)
    return ledger === undefined
      ? new StorageError({
          reason: "Schema",
          operation: `${store.guarantees.name}.get`,
          isRetryable: false,
          applied: "no",
          message: `the record ${JSON.stringify(lockId)} is no schedule's: something else uses this id`
        })
      : Effect.succeed({ record, ledger })
  })
  const recordOf = (before: LockRecord.LockRecord | undefined, { runs, tick }: Ledger, now: number) =>
    ({
      lockId,
      kind,
      format: LockRecord.format,
      ownerId: "",
      holds: [],
      token: before?.token ?? 0,
      version: before === undefined ? 1 : before.version + 1,
      lockBeginTime: 0,
      leaseExpireTime: now === 0 ? 0 : now + forever,
      data: JSON.stringify({ tick, runs: runs.slice(0, mostRuns) })
    }) satisfies LockRecord.LockRecord
  const moved: Book["change"] = (change) =>
    Effect.zipWith(found, store.time ?? Effect.succeed(0), (there, now) => ({ ...there, now })).pipe(
      Effect.flatMap(({ ledger, now, record }) => {
        const next = change(ledger)
        if (next === undefined) return Effect.succeed(false)
        if (next === ledger) return Effect.succeed(true)
        const written = recordOf(record, next, now)
        const write =
          record === undefined
            ? store.create(lockId, written.version, written)
            : store.update(lockId, record.version, written)
        return Effect.as(write, true)
      }),
      // Somebody was faster: there are few of them, and each has something to say once.
      Effect.catchTag("VersionMiss", () => moved(change))
    )
  return { look: Effect.map(found, ({ ledger, record }) => (record === undefined ? undefined : ledger)), change: moved }
}
