/**
 * The life of a schedule in one process: wait for the next tick, take the lock, look whether anybody has begun this tick, begin it, run.
 *
 * Not the lock decides that a tick runs once, but the ledger, which is moved by compare-and-set: a lock that was held too short or lost changes nothing. The lock keeps two runs apart, and its end tells that a
 * runner has died.
 */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Random from "#effect/Random"
import { withClock } from "#effect/clocks"
import { wallMicros } from "../common/time.js"
import type { AcquireOptions, Lock } from "../core/api.js"
import * as kinds from "../core/kinds.js"
import type { Taking } from "../core/service.js"
import type { InvalidLockId, InvalidOptions, StorageError } from "../LockError.js"
import type * as VersionedStore from "../VersionedStore.js"
import type { Book, Ledger, Outcome, Run } from "./ledger.js"
import type { Ticks } from "./ticks.js"

export interface Settings {
  readonly name: string
  readonly overlap: "skip" | "queue"
  readonly missed: "skip" | "latest" | "all"
  readonly missedAfter: number
  readonly runs: "atMostOnce" | "atLeastOnce"
  readonly lock: AcquireOptions
  readonly label: string
}

/** What a task is told of its tick. */
export interface Told {
  readonly tick: number
  readonly lock: Lock
  readonly isAgain: boolean
}

type Failure = StorageError | InvalidLockId | InvalidOptions

/** Milliseconds. The clock of the storage may be set meanwhile, so it is looked at again now and then. */
const longestSleep = 60_000
const longestPause = 30_000

/** In milliseconds: so long at most a run waits until its end is written down. */
const longestEnd = 10_000

/** Whether this fiber is to end, and not only a task that has interrupted itself. For where nothing can be interrupted. */
const isInterrupted: Effect.Effect<boolean> = Effect.map(Effect.exit(Effect.interruptible(Effect.void)), Exit.isFailure)

/** The last tick that was run, unless it has come to its end. */
const unfinished = ({ runs }: Ledger): Run | undefined => {
  const last = runs.find(({ outcome }) => outcome !== "skipped")
  return last?.outcome === "running" || last?.outcome === "interrupted" ? last : undefined
}

/** So many ticks at most are planned at once. */
const mostDue = 1000

/** Which of the ticks that are due are run, in their order; the others are passed over. */
export const plan = (
  due: ReadonlyArray<number>,
  time: number,
  { missed, missedAfter }: Pick<Settings, "missed" | "missedAfter">
): ReadonlyArray<number> => {
  if (missed === "all") return due
  const fresh = due.filter((tick) => time - tick <= missedAfter)
  return fresh.length > 0 || missed === "skip" ? fresh : due.slice(-1)
}

export const run = <E, R>(
  store: VersionedStore.Service,
  taking: Taking,
  book: Book,
  ticks: Ticks,
  settings: Settings,
  task: (told: Told) => Effect.Effect<unknown, E, R>
): Effect.Effect<never, Failure, R> => {
  const { lock: lockOptions, missedAfter, name, overlap, runs } = settings
  const { core } = taking
  const sleep = (millis: number) => withClock(Effect.sleep(Math.max(1, Math.ceil(millis))), core.clock)
  const now = Effect.map(store.time ?? withClock(wallMicros, core.clock), (micros) => micros / 1000)

  /** Goes on for as long as the storage fails for a while, and says so once. */
  const stubborn = <A, R>(self: Effect.Effect<A, Failure, R>): Effect.Effect<A, Failure, R> => {
    const again = (pause: number): Effect.Effect<A, Failure, R> =>
      Effect.catch(self, (error) =>
        error._tag !== "StorageError" || !error.isRetryable
          ? Effect.fail(error)
          : Effect.flatMap(Random.nextBetween(0.5, 1.5), (part) =>
              Effect.andThen(
                pause === first
                  ? Effect.logWarning(
                      `effect-storage-lock: the schedule ${JSON.stringify(name)} waits for its storage: ${error.message}`
                    )
                  : Effect.void,
                Effect.andThen(sleep(pause * part), again(Math.min(longestPause, pause * 2)))
              )
            )
      )
    const first = 500
    return again(first)
  }

  const entry = (tick: number, outcome: Outcome, token: number, began: number): Run => ({
    tick,
    outcome,
    token,
    by: settings.label,
    began,
    ended: outcome === "running" ? undefined : began
  })

  /** Whoever was running has died: the lock is ours. */
  const withoutDead = ({ runs }: Ledger): ReadonlyArray<Run> =>
    runs.map((run) => (run.outcome === "running" ? { ...run, outcome: "died" } : run))

  /** Tried for as long as that may take: what is not written down would be run again. */
  const over = (tick: number, token: number, outcome: Outcome) =>
    stubborn(
      Effect.flatMap(now, (ended) =>
        book.change((ledger) => ({
          ...ledger,
          runs: ledger.runs.map((run) => (run.tick === tick && run.token === token ? { ...run, outcome, ended } : run))
        }))
      )
    ).pipe(
      Effect.timeoutOrElse({ duration: longestEnd, orElse: () => Effect.succeed(false) }),
      Effect.ignore,
      Effect.interruptible,
      // In a fiber of its own: here nothing can be interrupted, and a store that does not answer would keep the lock, and with it all processes, for ever.
      Effect.forkDetach,
      Effect.flatMap(Fiber.await)
    )

  /** Of a task that has failed. One that takes too long would do so again. */
  const outcomeOf = (lock: Lock, isEnding: boolean): Effect.Effect<Outcome> =>
    isEnding
      ? Effect.match(lock.check, {
          onSuccess: () => "interrupted",
          onFailure: ({ reason }) => (reason === "HeldTooLong" ? "failed" : "interrupted")
        })
      : Effect.succeed("failed")

  /** A task that fails ends its tick, and not the schedule. */
  const perform = (told: Told): Effect.Effect<void, never, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { lock, tick } = told
        const exit = yield* Effect.exit(restore(Effect.suspend(() => task(told))))
        if (Exit.isSuccess(exit)) return void (yield* over(tick, lock.token, "done"))
        const { cause } = exit
        const isEnding = Cause.hasInterrupts(cause) && (yield* isInterrupted)
        yield* over(tick, lock.token, yield* outcomeOf(lock, isEnding))
        if (isEnding && Cause.hasInterruptsOnly(cause)) return
        yield* Effect.logError(
          `effect-storage-lock: the schedule ${JSON.stringify(name)} failed at its tick ${new Date(tick).toISOString()}`,
          cause
        )
      })
    )

  /** Under the lock, for as long as that is held: a tick is not given up for an answer that was lost. */
  const written = (change: Parameters<Book["change"]>[0]) => stubborn(book.change(change))

  /** By this very hold, whose token nobody else has. */
  const isBegun = ({ runs: [newest] }: Ledger, tick: number, token: number): boolean =>
    newest?.tick === tick && newest.token === token

  /** What has to be run again, for its runner has died, was ended, or has lost the lock. */
  const toEnd = (ledger: Ledger | undefined): Run | undefined =>
    runs === "atLeastOnce" && ledger !== undefined ? unfinished(ledger) : undefined

  /** Under the lock. */
  const begin = (tick: number, lock: Lock): Effect.Effect<void, Failure, R> =>
    Effect.gen(function* () {
      const { token } = lock
      const began = yield* now
      const ledger = yield* book.look
      const last = ledger?.runs.find(({ outcome }) => outcome !== "skipped")
      // Of this very tick or an earlier one.
      const open = toEnd(ledger)
      if (open !== undefined && open.tick <= tick) {
        const isOurs = yield* written((ledger) =>
          isBegun(ledger, open.tick, token)
            ? ledger
            : unfinished(ledger)?.token === open.token
              ? { ...ledger, runs: [entry(open.tick, "running", token, began), ...withoutDead(ledger)] }
              : undefined
        )
        if (isOurs) yield* perform({ tick: open.tick, lock, isAgain: true })
      }
      if (ledger !== undefined && ledger.tick >= tick) return
      // It went on when this tick came. One that began later only makes up for what was missed.
      const overlaps =
        overlap === "skip" &&
        last !== undefined &&
        last.tick < tick &&
        last.began <= tick &&
        last.ended !== undefined &&
        last.ended > tick
      const outcome = overlaps ? "skipped" : "running"
      const isFirst = yield* written((ledger) =>
        isBegun(ledger, tick, token)
          ? ledger
          : ledger.tick >= tick
            ? undefined
            : { tick, runs: [entry(tick, outcome, token, began), ...withoutDead(ledger)] }
      )
      if (isFirst && !overlaps) yield* perform({ tick, lock, isAgain: false })
    })

  const attempt = (tick: number, time: number): Effect.Effect<void, Failure, R> =>
    Effect.gen(function* () {
      const ledger = yield* stubborn(book.look)
      if (ledger !== undefined && ledger.tick >= tick && toEnd(ledger) === undefined) return
      // However long somebody runs: they may not come to the end of it.
      const acquireTimeout =
        overlap === "queue" || runs === "atLeastOnce"
          ? Number.POSITIVE_INFINITY
          : Math.max(1000, tick + missedAfter - time)
      const body = (lock: Lock) => begin(tick, lock)
      yield* kinds.using(taking, {}, body, [name, { ...lockOptions, acquireTimeout }]).pipe(
        // Somebody runs for so long; or has the lock, and is told of by the log of the lock.
        Effect.catchTag("LockTimeout", () => Effect.void),
        Effect.catchTag("LockLost", () => Effect.void)
      )
    })

  /** What has been run, once nothing of it is left to be run again: waits for whoever runs, and runs what they have left. */
  const settled = Effect.gen(function* () {
    for (;;) {
      const ledger = yield* stubborn(book.look)
      const open = toEnd(ledger)
      if (open === undefined) return ledger
      yield* stubborn(attempt(open.tick, open.tick))
    }
  })

  return Effect.gen(function* () {
    const ledger = yield* settled
    const start = yield* stubborn(now)
    let cursor = ledger !== undefined && Number.isFinite(ledger.tick) ? ledger.tick : start
    for (;;) {
      const time = yield* stubborn(now)
      const due: Array<number> = []
      let next = ticks.after(cursor)
      for (; next <= time && due.length < mostDue; next = ticks.after(next)) due.push(next)
      if (due.length === 0) {
        yield* sleep(Math.min(longestSleep, next - time))
        continue
      }
      let reached = due[due.length - 1]!
      for (const tick of plan(due, time, settings)) {
        const isThrough = yield* attempt(tick, time).pipe(
          Effect.as(true),
          // Then it is planned again: by that time it may have been missed.
          Effect.catch((error) =>
            error._tag === "StorageError" && error.isRetryable ? Effect.as(sleep(1000), false) : Effect.fail(error)
          )
        )
        if (!isThrough) {
          reached = tick - 1
          break
        }
      }
      cursor = Math.max(cursor, reached)
      if (runs === "atLeastOnce") yield* settled
    }
  })
}
