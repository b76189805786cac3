/**
 * Compare-and-set that begins with what is remembered. A transaction compares the revision of the key with the one last seen, and answers with the present
 * record if it is another: so a right guess is one round trip, and a wrong one is no more than the read that it saved.
 *
 * What is remembered is only ever a ground to try. An answer that writes nothing (`Held`, `NotHeld`) rests on a linearizable read of this very operation.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { monotonicNanos, wallMillis } from "#effect/clocks"
import { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import * as LockRecords from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as observation from "../../common/observation.js"
import type { Client } from "./client.js"
import * as errors from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import * as protocol from "./protocol.js"
import * as records from "./records.js"
import * as requests from "./requests.js"

type Seen = requests.Seen

/** One lock's part in an operation. */
export interface Work<O> {
  readonly lockId: string
  /** Whether its record may be of a newer format: of the smaller port, whose user judges that. */
  readonly anyFormat?: true
  /** What to try for a lock of which nothing is remembered. */
  readonly unseen: "absent" | "read"
  readonly decide: (record: LockRecord | undefined) => LockRecords.Step<O>
}

/** The outcome, and the record that it is about. An error is one of this record alone. */
export type Done<O> = { readonly outcome: O; readonly seen: Seen } | StorageError

export interface Engine {
  readonly run: <O>(
    operation: string,
    works: ReadonlyArray<Work<O>>
  ) => Effect.Effect<ReadonlyArray<Done<O>>, StorageError>
  readonly one: <O>(operation: string, work: Work<O>) => Effect.Effect<Exclude<Done<O>, StorageError>, StorageError>
  /** Whether there is a leader and we may read, and at which revision the store is. */
  readonly probe: (until: number) => Effect.Effect<void, StorageError>
  /** A page of all records, and from where to go on. */
  readonly page: (
    operation: string,
    from: Buffer,
    anyFormat: boolean
  ) => Effect.Effect<{ readonly all: ReadonlyArray<Seen>; readonly next: Buffer | undefined }, StorageError>
  /** Notes what a watch has told, and says whether the lock may be free for somebody now. */
  readonly note: (lockId: string, kv: protocol.KeyValue, deleted: boolean) => Effect.Effect<boolean>
  /** The newest revision of the store that this process knows of. */
  readonly revision: () => number
  /** A record with times for people, and what is left of its lease. */
  readonly estimate: (seen: Seen & { readonly record: LockRecord }) => Effect.Effect<Storage.Snapshot>
}

interface Task<O> {
  readonly work: Work<O>
  readonly key: Buffer
  /** Read in this operation. */
  base: Seen | StorageError | undefined
  misses: number
  done: Done<O> | undefined
}

interface Write extends requests.Write {
  readonly outcome: unknown
}

const capacity = 10_000
const pageSize = 500

const micros = (clock: Clock.Clock): number => Number(monotonicNanos(clock) / 1000n)

/** Observed by the revision: it is never given twice, whatever becomes of the key. */
const byRevision = (record: LockRecord, revision: number): LockRecord => ({ ...record, version: revision })

export const make = (client: Client, keys: records.Keys, settings: ResolvedCommon): Engine => {
  let observed = observation.make()
  const memory = new Map<string, Seen>()
  let known = 0
  let highest = 0

  /** A record that cannot be judged is looked at anew each time. */
  const remember = (lockId: string, seen: Seen) => {
    memory.delete(lockId)
    if (seen.record !== undefined && seen.record.format > LockRecords.format) return
    if (memory.size >= capacity) memory.delete(memory.keys().next().value!)
    memory.set(lockId, seen)
  }

  const left = ({ record, revision }: Seen & { readonly record: LockRecord }, at: number) =>
    observed.left(byRevision(record, revision), at)

  /** As `step` is to see it: observed records hold spans, so it runs at time 0, and one seen for its whole lease is shown to it as over. */
  const judged = ({ record, revision }: Seen, at: number): LockRecord | undefined =>
    record !== undefined && left({ record, revision }, at) <= 0 ? { ...record, leaseExpireTime: 0 } : record

  /**
   * Notes at which revision the store is. A linearizable answer is never older than what was known when it was asked for: if it is, the cluster was restored
   * from a backup, gives revisions anew, and what is remembered is of another history. Tokens go on from the higher revision.
   */
  const learn = (
    { header: { revision } }: { readonly header: { readonly revision: number } },
    before: number
  ): number => {
    if (revision < before) {
      memory.clear()
      observed = observation.make()
      highest = Math.max(highest, known)
      known = revision
    }
    known = Math.max(known, revision)
    return revision
  }

  const run = <O>(
    operation: string,
    works: ReadonlyArray<Work<O>>
  ): Effect.Effect<ReadonlyArray<Done<O>>, StorageError> =>
    Effect.gen(function* () {
      const clock = yield* Effect.clockWith(Effect.succeed)
      const until = performance.now() + Math.min(settings.operationTimeout, Duration.toMillis(yield* Storage.TimeLimit))
      const tasks = works.map((work): Task<O> => ({
        work,
        key: keys.key(work.lockId),
        base: undefined,
        misses: 0,
        done: undefined
      }))
      let pause: ((input: undefined) => Effect.Effect<unknown, unknown>) | undefined

      /** What is to be sent for a task; `"done"` if nothing is. */
      const plan = (task: Task<O>): Write | "read" | "done" => {
        const { base, work } = task
        if (base instanceof StorageError) {
          task.done = base
          return "done"
        }
        const seen =
          base ?? memory.get(work.lockId) ?? (work.unseen === "absent" ? { record: undefined, revision: 0 } : undefined)
        if (seen === undefined) return "read"
        const record = judged(seen, micros(clock))
        const step = work.decide(record)
        if (step.record !== record) {
          return {
            base: seen,
            next: step.record,
            bytes: step.record === undefined ? undefined : records.encode(step.record),
            outcome: step.outcome
          }
        }
        if (base === undefined) return "read"
        task.done = { outcome: step.outcome, seen }
        return "done"
      }

      const answered = (task: Task<O>, write: Write | undefined, { kv, written }: requests.Reply, revision: number) => {
        const { lockId } = task.work
        if (written) {
          const seen = { record: write!.next, revision: write!.next === undefined ? 0 : revision, bytes: write!.bytes }
          remember(lockId, seen)
          task.done = { outcome: write!.outcome as O, seen }
          return
        }
        if (write !== undefined && task.base !== undefined) task.misses++
        const record = kv === undefined ? undefined : records.decode(operation, lockId, kv)
        if (record instanceof StorageError) {
          task.base = record
          return
        }
        const seen = { record, revision: kv?.modRevision ?? 0, bytes: kv?.value }
        const judge = record === undefined || task.work.anyFormat ? record : records.readable(operation, record)
        task.base = judge instanceof StorageError ? judge : seen
        remember(lockId, seen)
      }

      for (;;) {
        const open: Array<requests.Part & { readonly task: Task<O>; readonly write: Write | undefined }> = []
        for (const task of tasks) {
          if (task.done !== undefined) continue
          const next = plan(task)
          if (next !== "done") open.push({ task, key: task.key, write: next === "read" ? undefined : next })
        }
        if (open.length === 0) return tasks.map(({ done }) => done!)
        const beaten = open.find(({ task }) => task.misses > 0)
        if (beaten !== undefined) {
          pause ??= yield* Schedule.toStepWithSleep(settings.versionMissRetry)
          const more = yield* Effect.match(pause(undefined), { onFailure: () => false, onSuccess: () => true })
          if (!more || performance.now() >= until)
            return yield* errors.conflict(operation, beaten.task.work.lockId, tasks.length === 1 ? "no" : "unknown")
          // It has changed meanwhile, as far as is known.
          for (const { task } of open) task.misses = 0
        }
        const before = known
        const { header, replies } = yield* requests.send(client, operation, open, until)
        const revision = learn({ header }, before)
        open.forEach(({ task, write }, i) => answered(task, write, replies[i]!, revision))
      }
    })

  /** How many parts a transaction may have: fewer, once a server has found one too large. Nothing of that one was applied. */
  let most = Number.POSITIVE_INFINITY

  const runMany = <O>(
    operation: string,
    works: ReadonlyArray<Work<O>>
  ): Effect.Effect<ReadonlyArray<Done<O>>, StorageError> =>
    Effect.suspend(() => {
      if (works.length === 0) return Effect.succeed([])
      const halves = Effect.suspend(() => {
        const half = (works.length + 1) >> 1
        return Effect.zipWith(
          runMany(operation, works.slice(0, half)),
          runMany(operation, works.slice(half)),
          (a, b) => [...a, ...b]
        )
      })
      return works.length > most
        ? halves
        : Effect.catchIf(
            run(operation, works),
            (error) => works.length > 1 && errors.codeOf(error.cause) === errors.code.invalidArgument,
            () => {
              most = Math.min(most, works.length - 1)
              return halves
            }
          )
    })

  return {
    run: runMany,
    one: (operation, work) =>
      Effect.flatMap(run(operation, [work]), ([done]) => (done instanceof StorageError ? done : Effect.succeed(done!))),
    probe: (until) =>
      Effect.map(
        client.call(
          "setup",
          protocol.range,
          { key: keys.first, rangeEnd: keys.end, limit: 1, keysOnly: true },
          until,
          "reads"
        ),
        (found) => void learn(found, 0)
      ),
    page: (operation, from, anyFormat) =>
      Effect.flatMap(Storage.TimeLimit, (limit) => {
        const until = performance.now() + Math.min(settings.operationTimeout, Duration.toMillis(limit))
        const request = { key: from, rangeEnd: keys.end, limit: pageSize }
        const before = known
        return Effect.flatMap(client.call(operation, protocol.range, request, until, "reads"), (found) => {
          learn(found, before)
          const all: Array<Seen> = []
          for (const kv of found.kvs) {
            const found = records.decode(operation, keys.lockId(kv.key), kv)
            const record = found instanceof StorageError || anyFormat ? found : records.readable(operation, found)
            if (record instanceof StorageError) return Effect.fail(record)
            all.push({ record, revision: kv.modRevision })
          }
          const last = found.kvs[found.kvs.length - 1]
          return Effect.succeed({
            all,
            next: found.more && last !== undefined ? Buffer.concat([last.key, Buffer.of(0)]) : undefined
          })
        })
      }),
    note: (lockId, kv, deleted) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          const record = deleted ? undefined : records.decode("wakeUps", lockId, kv)
          if (record instanceof StorageError) return false
          known = Math.max(known, kv.modRevision)
          const before = memory.get(lockId)
          const fewer =
            before === undefined || record === undefined || record.holds.length < (before.record?.holds.length ?? 0)
          const free =
            record === undefined || record.holds.length === 0 || (record.kind !== LockRecords.exclusive && fewer)
          // Of locks that this process has to do with, and nothing older than what it has seen.
          if (before !== undefined && before.revision < kv.modRevision) {
            const seen = { record, revision: deleted ? 0 : kv.modRevision, bytes: deleted ? undefined : kv.value }
            remember(lockId, seen)
            // From now on it is observed.
            judged(seen, micros(clock))
          }
          return free
        })
      ),
    revision: () => Math.max(known, highest),
    estimate: (seen) =>
      Effect.clockWith((clock) =>
        Effect.sync(() => {
          const found = observed.estimate(
            byRevision(seen.record, seen.revision),
            micros(clock),
            Math.floor(wallMillis(clock) * 1000)
          )
          return { record: { ...found.record, version: seen.record.version }, validFor: found.left }
        })
      )
  }
}
