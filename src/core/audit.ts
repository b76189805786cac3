/**
 * Writes what happens to the locks of a layer into its storage: in the background, in batches, and never in the way of a lock. Whoever tells of an event only puts it into a backlog, whose oldest goes
 * where there are too many.
 */
import * as DateTime from "#effect/DateTime"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Random from "#effect/Random"
import type * as Scope from "#effect/Scope"
import { wallMillis, withClock } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import type { AuditStore, Row } from "../AuditStore.js"
import { auditKey, Ids } from "../common/ids.js"
import { StorageError } from "../LockError.js"
import type { LockEvent } from "../LockEvent.js"
import { rowOf } from "./auditRows.js"
import { Backlog } from "./backlog.js"
import { type Core, longestCall } from "./core.js"
import { bounded } from "./lifecycle.js"
import { loop } from "./purging.js"
import { Signal } from "./signal.js"
import { placeOf } from "./thisProcess.js"

export interface Resolved {
  readonly events: ReadonlySet<LockEvent["_tag"]>
  /** So many wait at most. */
  readonly capacity: number
  /** So many are written at once, at most. */
  readonly batch: number
  /** From an event until it is written, in milliseconds. */
  readonly every: number
  /** Milliseconds. */
  readonly keep: number
  readonly ownerLabel: string
}

/** What an audit has come to in this process. */
export interface Counts {
  /** Entries in memory, on their way to the storage. */
  readonly waiting: number
  readonly written: number
  /** Events that were never written, since too many waited, or the storage did not take them. */
  readonly dropped: number
}

/** Between attempts, in milliseconds: doubled until the longest, and jittered. */
const firstPause = 250
const longestPause = 15_000

/** At the end of the layer, what waits has so long to be written. */
const farewell = Duration.seconds(2)

/** For one batch. */
const patience = Duration.millis(longestCall)

/** Old entries are dropped page by page. */
const longestDrop = Duration.millis(6 * longestCall)

const digits = 9

/** A storage of others may hang, or throw. */
const within = <A>(
  operation: string,
  self: Effect.Effect<A, StorageError>,
  limit: Duration.Duration
): Effect.Effect<A, StorageError> => {
  const failed = (message: string, reason: StorageError["reason"], cause?: unknown) =>
    new StorageError({
      reason,
      operation: `LockAudit.${operation}`,
      isRetryable: true,
      applied: "unknown",
      message,
      cause
    })
  return self.pipe(
    Effect.catchDefect((cause) => failed(`the storage failed: ${String(cause)}`, "Unknown", cause)),
    fibers.disconnect,
    Effect.timeoutOrElse({
      duration: limit,
      orElse: () => failed(`the storage did not answer within ${Duration.format(limit)}`, "Timeout")
    })
  )
}

export interface Recorder {
  readonly counts: () => Counts
}

/** From when it has ended until the scope closes; and once more when the locks themselves close after that, for what happens then. */
export const start = (
  core: Core,
  store: AuditStore,
  { batch, capacity, events, every, keep, ownerLabel }: Resolved
): Effect.Effect<Recorder, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { name } = core.storage.guarantees
    const backlog = new Backlog<LockEvent>(capacity)
    const some = new Signal()
    const full = new Signal()
    const end = new Signal()
    const writer = yield* yield* Ids
    const here = { namespace: core.namespace ?? "", ...placeOf(globalThis) }
    /** Made of events, and on their way: the same in each attempt. */
    let rows: ReadonlyArray<Row> = []
    /** So many are written at once: one alone, while it is sought which of them cannot be. */
    let size = Number.POSITIVE_INFINITY
    let made = 0
    let written = 0
    let dropped = 0
    /** Of which no entry tells yet. */
    let untold = 0
    let isFailing = false
    let isEnding = false

    const drop = (count: number): void => {
      untold += count
      dropped += count
    }
    const counts = (): Counts => {
      drop(backlog.takeGone())
      return { waiting: backlog.size + rows.length, written, dropped }
    }

    /** Within whatever happens: so it only remembers. */
    const heard = (event: LockEvent): void => {
      // After the end of this layer, only what comes of the end of the locks.
      if (!events.has(event._tag) || (isEnding && !core.ending)) return
      backlog.add(event)
      some.notify()
      if (backlog.size >= batch) full.notify()
    }

    const row = (event: LockEvent): Row =>
      rowOf(event, { id: `${writer}-${(made++).toString(36).padStart(digits, "0")}`, ...here })

    /** Whether there is something to write. */
    const next = (): boolean => {
      if (rows.length > 0) return true
      drop(backlog.takeGone())
      const taken = backlog.take(batch).map(row)
      if (untold > 0) {
        const at = DateTime.makeUnsafe(Math.floor(wallMillis(core.clock)))
        taken.push(row({ _tag: "Dropped", at, count: untold }))
        untold = 0
      }
      rows = taken
      size = Number.POSITIVE_INFINITY
      return rows.length > 0
    }

    const works = Effect.suspend(() => {
      if (!isFailing) return Effect.void
      isFailing = false
      return Effect.logWarning(
        `effect-storage-lock: the audit of ${name} is written again; ${counts().dropped} events were dropped since this layer began`
      )
    })
    const fails = (error: StorageError) => {
      if (isFailing) return Effect.void
      isFailing = true
      return Effect.logWarning(
        `effect-storage-lock: what happens to locks cannot be written into the audit of ${name}: ${error.message}. It is tried again; ${capacity} events wait at most, and the oldest are dropped. No lock is harmed`
      )
    }

    /** One batch, and others while they are full; at the end all, until the storage fails. */
    const drain = Effect.gen(function* () {
      let pause = firstPause
      for (
        let isDue = true;
        (rows.length > 0 || isDue) && next();
        isDue = backlog.size >= batch || untold > 0 || isEnding
      ) {
        const part = rows.slice(0, size)
        const result = yield* Effect.result(within("append", store.append(part), patience))
        if (result._tag === "Success") {
          written += part.length
          rows = rows.slice(part.length)
          pause = firstPause
          yield* works
          continue
        }
        yield* fails(result.failure)
        if (result.failure.reason === "Unknown" && !result.failure.isRetryable) {
          // One that the storage cannot take must not keep the others out for ever.
          if (part.length === 1) {
            rows = rows.slice(1)
            drop(1)
          }
          size = 1
        }
        if (isEnding) return
        yield* Effect.raceFirst(Effect.sleep(pause * (yield* Random.nextBetween(0.5, 1))), end.wait)
        pause = Math.min(2 * pause, longestPause)
      }
    })

    const run = Effect.gen(function* () {
      do {
        if (backlog.size === 0) yield* some.wait
        // What comes soon goes in the same batch.
        full.clear()
        if (backlog.size < batch && !isEnding) yield* Effect.raceAll([Effect.sleep(every), full.wait, end.wait])
        yield* drain
      } while (!isEnding)
    })

    const detached = (self: Effect.Effect<void>) =>
      fibers.forkDetach(
        withClock(Effect.interruptible(self), core.clock).pipe(
          Effect.catchDefect((defect) =>
            Effect.logError("effect-storage-lock: the audit is not written any more; no lock is harmed", defect)
          )
        )
      )
    /** Of which was said that they are left. */
    let saidLeft = 0
    const left = Effect.suspend(() => {
      const { waiting } = counts()
      if (waiting === saidLeft) return Effect.void
      saidLeft = waiting
      return waiting === 0
        ? Effect.void
        : Effect.logWarning(
            `effect-storage-lock: at the end, ${waiting} events could not be written into the audit of ${name}`
          )
    })

    yield* Effect.acquireRelease(
      Effect.gen(function* () {
        const forget = core.events.listen(heard)
        const writing = yield* detached(run)
        const retaining = Number.isFinite(keep)
          ? yield* detached(
              loop(
                core,
                {
                  lockId: auditKey,
                  ownerLabel,
                  work: within("drop", store.drop(keep), longestDrop),
                  warning: ({ message }) =>
                    `effect-storage-lock: old entries of the audit of ${name} could not be dropped, and pile up until they can: ${message}. It is tried again`
                },
                keep
              )
            )
          : undefined
        return { forget, writing, retaining }
      }),
      ({ forget, retaining, writing }) =>
        Effect.gen(function* () {
          isEnding = true
          if (retaining !== undefined) fibers.interrupt(retaining)
          for (const signal of [some, full, end]) signal.notify()
          yield* bounded(Effect.asVoid(Fiber.await(writing)), farewell)
          fibers.interrupt(writing)
          yield* left
          core.lastWords.add(
            Effect.suspend(() => {
              forget()
              // A storage that did not take what was there before is not asked again.
              return Effect.andThen(saidLeft === 0 ? bounded(drain, farewell) : Effect.void, left)
            })
          )
        })
    )
    return { counts }
  })
