/**
 * Compare-and-set that begins with what is remembered. A request writes if the record is as it was last seen, and is answered with the present one if it is not: so a right guess is one round trip, and
 * a wrong one is no more than the read that it saved.
 *
 * What is remembered is only ever a ground to try. An answer that writes nothing (`Held`, `NotHeld`) rests on a linearizable read of this very operation.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { monotonicNanos, wallMillis } from "#effect/clocks"
import { StorageError } from "../../../LockError.js"
import type { Claim, LockRecord, Step } from "../../../LockRecord.js"
import * as LockRecords from "../../../LockRecord.js"
import * as Storage from "../../../Storage.js"
import * as observation from "../../../common/observation.js"
import * as storageErrors from "../../../common/storageErrors.js"
import type { ResolvedOperation } from "../options.js"
import * as json from "./json.js"
import type { Ask, Reply, Seen, Store } from "./store.js"

/** One lock's part in an operation. */
export interface Work<O> {
  readonly lockId: string
  /** Whether its record may be of a newer format: of the smaller port, whose user judges that. */
  readonly anyFormat?: true
  /** What to try for a lock of which nothing is remembered. */
  readonly unseen: "absent" | "read"
  /**
   * What to make of a write of which only a later read can tell whether it was applied.
   *
   * - `again`: decides again, on what was read. For what promises a lease: the same record may stand there since an earlier attempt, and waiters may have watched it since.
   * - `alike`: if the record is as it was to be written, it was; or else, decides again.
   * - `fail`: fails with the error. For those who judge that themselves.
   */
  readonly unsure: "again" | "alike" | "fail"
  readonly decide: (record: LockRecord | undefined) => Step<O>
  /** What a store is asked that `takes`, and the outcome if it did. */
  readonly take?: { readonly claim: Claim; readonly taken: (record: LockRecord) => O }
}

/** The outcome, and the record that it is about. An error is one of this record alone. */
export type Done<O, State> = { readonly outcome: O; readonly seen: Seen<State> } | StorageError

export interface Engine<State = unknown, Cursor = unknown> {
  /** No lock may be named twice. */
  readonly run: <O>(
    operation: string,
    works: ReadonlyArray<Work<O>>
  ) => Effect.Effect<ReadonlyArray<Done<O, State>>, StorageError>
  readonly one: <O>(
    operation: string,
    work: Work<O>
  ) => Effect.Effect<Exclude<Done<O, State>, StorageError>, StorageError>
  /** A page of all records, and from where to go on. */
  readonly page: (
    operation: string,
    from: Cursor | undefined,
    anyFormat: boolean
  ) => Effect.Effect<
    { readonly all: ReadonlyArray<Seen<State> & { readonly record: LockRecord }>; readonly next: Cursor | undefined },
    StorageError
  >
  /** Notes what the store has told of a lock by itself, and says whether the lock may be free for somebody now. `revision`: of this change. */
  readonly note: (lockId: string, seen: Seen<State>, revision: number) => Effect.Effect<boolean>
  /** Notes the store's count of its changes, as an answer told it. `before`: what `index` was when that was asked for. */
  readonly learn: (index: number, before?: number) => void
  /** The store's count of its changes, as far as it is known; 0 where it has none. */
  readonly index: () => number
  /** What is remembered is of another history: nothing of it is a ground to try, and all leases are observed from scratch. */
  readonly forget: () => void
  /** A record with times for people, and what is left of its lease. */
  readonly estimate: (seen: Seen<State> & { readonly record: LockRecord }) => Effect.Effect<Storage.Snapshot>
}

interface Task<O, State> {
  readonly work: Work<O>
  /** Read in this operation. */
  base: Seen<State> | StorageError | undefined
  misses: number
  /** A write of it that may have been applied, or not, or may be yet. */
  unsure: (Planned<State> & { readonly error: StorageError }) | undefined
  done: Done<O, State> | undefined
}

interface Planned<State> {
  readonly ask: Ask<State>
  readonly outcome: unknown
}

const capacity = 10_000

const micros = (clock: Clock.Clock): number => Number(monotonicNanos(clock) / 1000n)

/** Observed by the revision: it is never given twice, whatever becomes of the record. */
const byRevision = (record: LockRecord, revision: number): LockRecord => ({ ...record, version: revision })

/** A write that expects what is still there may be applied yet; a state that has passed does not come back. */
const isSettled = <State>(ask: Ask<State>, { revision }: Seen<State>): boolean =>
  ask._tag !== "Write" || ask.base.revision !== revision

const mayHaveBeenApplied = (error: StorageError): StorageError =>
  new StorageError({
    reason: error.reason,
    operation: error.operation,
    isRetryable: error.isRetryable,
    applied: "unknown",
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: error.cause })
  })

export const make = <State, Cursor>(
  store: Store<State, Cursor>,
  settings: ResolvedOperation
): Engine<State, Cursor> => {
  let observed = observation.make()
  const memory = new Map<string, Seen<State>>()
  let known = 0
  let highest = 0

  /** A record that cannot be judged is looked at again each time. */
  const remember = (lockId: string, seen: Seen<State>) => {
    memory.delete(lockId)
    if (seen.record !== undefined && seen.record.format > LockRecords.format) return
    if (memory.size >= capacity) memory.delete(memory.keys().next().value!)
    memory.set(lockId, seen)
  }

  const forget = () => {
    memory.clear()
    observed = observation.make()
  }

  const isOver = ({ record, revision }: Seen<State>, at: number): boolean =>
    record !== undefined && observed.left(byRevision(record, revision), at) <= 0

  /** As `step` is to see it: observed records hold spans, so it runs at time 0, and one seen for its whole lease is shown to it as over. */
  const judged = (seen: Seen<State>, at: number): LockRecord | undefined =>
    isOver(seen, at) ? { ...seen.record!, leaseExpireTime: 0 } : seen.record

  /**
   * A linearizable answer is never older than what was known when it was asked for: if it is, the store was restored from a backup, gives revisions again, and what is remembered is of another history.
   * Tokens go on from the higher index.
   */
  const learn = (index: number, before = 0) => {
    if (index < before) {
      forget()
      highest = Math.max(highest, known)
      known = index
    }
    known = Math.max(known, index)
  }

  const readable = (operation: string, { record }: Seen<State>, anyFormat: boolean): StorageError | undefined =>
    record !== undefined && !anyFormat && record.format > LockRecords.format
      ? storageErrors.schema(`${store.name}.${operation}`, json.newer(record.lockId, record.format))
      : undefined

  const untilOf = (limit: Duration.Duration) =>
    performance.now() + Math.min(settings.operationTimeout, Duration.toMillis(limit))

  const run = <O>(
    operation: string,
    works: ReadonlyArray<Work<O>>
  ): Effect.Effect<ReadonlyArray<Done<O, State>>, StorageError> =>
    Effect.gen(function* () {
      const clock = yield* Effect.clockWith(Effect.succeed)
      const until = untilOf(yield* Storage.TimeLimit)
      const tasks = works.map((work): Task<O, State> => ({
        work,
        base: undefined,
        misses: 0,
        unsure: undefined,
        done: undefined
      }))
      let pause: ((input: undefined) => Effect.Effect<unknown, unknown>) | undefined

      const read: Planned<State> = { ask: { _tag: "Read" }, outcome: undefined }

      /** What is to be sent for a task; `"done"` if nothing is. */
      const plan = (task: Task<O, State>): Planned<State> | "done" => {
        const { base, work } = task
        if (base instanceof StorageError) {
          task.done = base
          return "done"
        }
        if (base === undefined && task.unsure !== undefined) return read
        const first = base === undefined ? memory.get(work.lockId) : undefined
        const seen = base ?? first ?? (work.unseen === "absent" ? { record: undefined, revision: 0 } : undefined)
        if (seen === undefined) return read
        const at = micros(clock)
        const record = judged(seen, at)
        // What is remembered as another's may be free by now, and what is remembered as free may be older than that: the store tells both by itself.
        const takes = base === undefined && work.take !== undefined && store.takes === true
        if (takes && (record === undefined || !LockRecords.isLive(record, 0)))
          return take(work.take, first !== undefined && isOver(first, at) ? first : undefined)
        const step = work.decide(record)
        if (step.record !== record)
          return { ask: { _tag: "Write", base: seen, next: step.record }, outcome: step.outcome }
        if (takes) return take(work.take, undefined)
        if (base === undefined) return read
        // Nothing is certain while a write of it may be on its way.
        task.done = task.unsure === undefined ? { outcome: step.outcome, seen } : mayHaveBeenApplied(task.unsure.error)
        return "done"
      }

      const take = (of: NonNullable<Work<O>["take"]>, over: Seen<State> | undefined): Planned<State> => ({
        ask: { _tag: "Take", claim: of.claim, over },
        outcome: undefined
      })

      const answered = (task: Task<O, State>, { ask, outcome }: Planned<State>, reply: Reply<State>): void => {
        const { work } = task
        if (reply instanceof StorageError) {
          task.done = task.unsure === undefined ? reply : mayHaveBeenApplied(reply)
          return
        }
        switch (reply._tag) {
          case "Written": {
            const { seen } = reply
            remember(work.lockId, seen)
            task.done = {
              outcome: ask._tag === "Take" ? work.take!.taken(seen.record!) : (outcome as O),
              seen
            }
            return
          }
          case "Unknown": {
            if (work.unsure === "fail") task.done = reply.error
            task.unsure = { ask, outcome, error: reply.error }
            task.base = undefined
            task.misses++
            return
          }
          case "Present": {
            const { seen } = reply
            const { unsure } = task
            if (ask._tag === "Write" && task.base !== undefined) task.misses++
            task.base = readable(operation, seen, work.anyFormat === true) ?? seen
            if (unsure !== undefined && isSettled(unsure.ask, seen)) task.unsure = undefined
            remember(work.lockId, seen)
            if (work.unsure === "alike" && unsure?.ask._tag === "Write" && json.isSame(unsure.ask.next, seen.record))
              task.done = { outcome: unsure.outcome as O, seen }
          }
        }
      }

      /** It has lost too often, or the time is over. */
      const beatenBy = ({ unsure, work }: Task<O, State>): StorageError =>
        unsure !== undefined
          ? mayHaveBeenApplied(unsure.error)
          : storageErrors.conflict(`${store.name}.${operation}`, work.lockId, tasks.length === 1 ? "no" : "unknown")

      for (;;) {
        const open: Array<{ readonly task: Task<O, State>; readonly planned: Planned<State> }> = []
        for (const task of tasks) {
          if (task.done !== undefined) continue
          const planned = plan(task)
          if (planned !== "done") open.push({ task, planned })
        }
        if (open.length === 0) return tasks.map(({ done }) => done!)
        const beaten = open.find(({ task }) => task.misses > 0)
        if (beaten !== undefined) {
          pause ??= yield* Schedule.toStepWithSleep(settings.versionMissRetry)
          const more = yield* Effect.match(pause(undefined), { onFailure: () => false, onSuccess: () => true })
          if (!more || performance.now() >= until) return yield* beatenBy(beaten.task)
          // It has changed meanwhile, as far as is known.
          for (const { task } of open) task.misses = 0
        }
        const before = known
        const sent = store.send(
          operation,
          open.map(({ planned, task }) => ({ lockId: task.work.lockId, ask: planned.ask })),
          until
        )
        const unsure = open.some(({ task }) => task.unsure !== undefined)
        const { indexes, replies } = yield* unsure ? Effect.mapError(sent, mayHaveBeenApplied) : sent
        indexes?.forEach((index) => learn(index, before))
        open.forEach(({ planned, task }, i) => answered(task, planned, replies[i]!))
      }
    })

  return {
    run: (operation, works) => (works.length === 0 ? Effect.succeed([]) : run(operation, works)),
    one: (operation, work) =>
      Effect.flatMap(run(operation, [work]), ([done]) => (done instanceof StorageError ? done : Effect.succeed(done!))),
    page: (operation, from, anyFormat) =>
      Effect.flatMap(Storage.TimeLimit, (limit) => {
        const before = known
        return Effect.flatMap(store.page(operation, from, untilOf(limit)), ({ all, index, next }) => {
          if (index !== undefined) learn(index, before)
          const found: Array<Seen<State> & { readonly record: LockRecord }> = []
          for (const each of all) {
            const error = each instanceof StorageError ? each : readable(operation, each, anyFormat)
            if (error !== undefined) return Effect.fail(error)
            found.push(each as Seen<State> & { readonly record: LockRecord })
          }
          return Effect.succeed({ all: found, next })
        })
      }),
    note: (lockId, seen, revision) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          const { record } = seen
          known = Math.max(known, revision)
          const before = memory.get(lockId)
          const fewer =
            before === undefined || record === undefined || record.holds.length < (before.record?.holds.length ?? 0)
          const free =
            record === undefined || record.holds.length === 0 || (record.kind !== LockRecords.exclusive && fewer)
          // Of locks that this process has to do with, and nothing older than what it has seen.
          if (before !== undefined && before.revision < revision) {
            remember(lockId, seen)
            // From now on it is observed.
            judged(seen, micros(clock))
          }
          return free
        })
      ),
    learn,
    index: () => Math.max(known, highest),
    forget,
    estimate: ({ record, revision }) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          const found = observed.estimate(
            byRevision(record, revision),
            micros(clock),
            Math.floor(wallMillis(clock) * 1000)
          )
          return { record: { ...found.record, version: record.version }, validFor: found.left }
        })
      )
  }
}
