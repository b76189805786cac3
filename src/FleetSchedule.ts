/**
 * Schedules that run once in a fleet: every process has the same schedule, and each of its ticks is run by one of them.
 *
 * A tick is known by its scheduled time, and the last one that was begun is kept in the storage, moved by compare-and-set. So a tick runs once however far the starts and clocks of the processes are apart, and
 * not because a lock happened to be held for long enough. If the storage has a clock, that clock says when a tick is due.
 *
 * @since 0.5.0
 */
import "#effect/major"
import * as Context from "#effect/Context"
import type * as Cron from "#effect/Cron"
import * as DateTime from "#effect/DateTime"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Scope from "#effect/Scope"
import { storedId } from "./common/ids.js"
import { duration, invalid } from "./common/input.js"
import { notAnObject } from "./common/optionNames.js"
import type { AcquireOptions, Lock, Options as LockOptions } from "./core/api.js"
import * as kinds from "./core/kinds.js"
import { thisProcess } from "./core/thisProcess.js"
import * as ledger from "./fleet/ledger.js"
import * as runner from "./fleet/runner.js"
import * as ticks from "./fleet/ticks.js"
import { InvalidLockId, InvalidOptions, type StorageError } from "./LockError.js"
import { VersionedStore } from "./VersionedStore.js"

/**
 * When it is due: a `Cron`, a cron expression, or a period. A period counts from the Unix epoch, not from a start, so that all processes mean the same times: `{ every: "1 hour" }` is every full hour.
 *
 * A `Cron` with a time zone follows its rules: a time that a change of the clocks leaves out or repeats is what Effect's `Cron` says it is.
 *
 * @since 0.5.0
 * @category models
 */
export type When = string | Cron.Cron | { readonly every: Duration.Input }

/**
 * A tick, as its task sees it.
 *
 * @since 0.5.0
 * @category models
 */
export interface Tick {
  /** The scheduled time, whenever it runs. */
  readonly time: DateTime.Utc
  /** Fencing token of this run: greater than that of every run before. */
  readonly token: number
  /** The hold under which it runs. */
  readonly lock: Lock
  /** Whether it was begun before, by a process that died: see `runs`. */
  readonly isAgain: boolean
}

/**
 * @since 0.5.0
 * @category models
 */
export type Task<E, R> = Effect.Effect<unknown, E, R> | ((tick: Tick) => Effect.Effect<unknown, E, R>)

/**
 * All are optional. Those of the lock are as in `StorageLock`; `holdAtMost` is the longest run.
 *
 * @since 0.5.0
 * @category models
 */
export interface Options extends Omit<AcquireOptions, "ownerId" | "acquireTimeout" | "lostAtEnd"> {
  /** What becomes of a tick that comes while the one before it still runs. `"skip"`, the default: it is passed over. `"queue"`: it runs when that has ended. */
  readonly overlap?: "skip" | "queue" | undefined
  /**
   * What becomes of ticks that nobody began in time, because no process was there or the storage was away. `"skip"`, the default: they are passed over. `"latest"`: the last of them is run. `"all"`: all are, in
   * their order, a thousand at most at a time.
   */
  readonly missed?: "skip" | "latest" | "all" | undefined
  /** How late a tick may begin before it counts as missed. Default: a minute. */
  readonly missedAfter?: Duration.Input | undefined
  /**
   * `"atMostOnce"`, the default: a tick is not run again. `"atLeastOnce"`: a tick whose run did not come to its end, because its process died or ended or lost the lock, is run again as soon as nobody has the
   * lock; so its task must be safe to run twice. A task that has failed, or took longer than `holdAtMost`, has come to its end.
   */
  readonly runs?: "atMostOnce" | "atLeastOnce" | undefined
}

/**
 * One run of the past.
 *
 * @since 0.5.0
 * @category models
 */
export interface Run {
  readonly time: DateTime.Utc
  /**
   * `skipped`: the run before it was still going on. `failed`: its task did, or took longer than `holdAtMost`. `interrupted`: its program ended it, or its lock was lost. `died`: its process did, or it could not
   * tell its end.
   */
  readonly outcome: "running" | "done" | "failed" | "interrupted" | "skipped" | "died"
  readonly token: number
  /** The `ownerLabel` of who ran it. */
  readonly by: string
  readonly began: DateTime.Utc
  readonly ended: DateTime.Utc | undefined
}

/**
 * A storage that fails for a while ends no schedule; this is what would fail again.
 *
 * @since 0.5.0
 * @category errors
 */
export type ScheduleError = InvalidLockId | InvalidOptions | StorageError

/**
 * @since 0.5.0
 * @category models
 */
export interface Service {
  readonly run: <E, R>(
    name: string,
    when: When,
    task: Task<E, R>,
    options?: Options
  ) => Effect.Effect<never, ScheduleError, R>
  readonly history: (name: string) => Effect.Effect<ReadonlyArray<Run>, ScheduleError>
}

/**
 * The service of a program. Its layer needs a `VersionedStore`, which the `layer` of each backend module gives beside its `Storage`.
 *
 * @since 0.5.0
 * @category tags
 */
export class FleetSchedule extends Context.Service<FleetSchedule, Service>()("effect-storage-lock/FleetSchedule") {}

const minute = 60_000

const oneOf = <A extends string>(
  field: string,
  value: unknown,
  values: readonly [A, ...ReadonlyArray<A>]
): A | InvalidOptions =>
  value === undefined
    ? values[0]
    : values.includes(value as A)
      ? (value as A)
      : invalid(field, value, values.map((each) => JSON.stringify(each)).join(" or "))

const settingsOf = (
  name: string,
  options: Options,
  ownerLabel: string | undefined
): runner.Settings | InvalidOptions => {
  const fault = notAnObject(options)
  if (fault !== undefined) return fault
  const { missed, missedAfter, overlap, runs, ...lock } = options
  for (const field of ["ownerId", "acquireTimeout", "lostAtEnd"])
    if ((lock as Record<string, unknown>)[field] !== undefined)
      return invalid(field, (lock as Record<string, unknown>)[field], "left out: it is no option of a schedule")
  const after = duration(
    "missedAfter",
    missedAfter ?? minute,
    "a duration above zero",
    (millis) => Number.isFinite(millis) && millis > 0
  )
  if (after instanceof InvalidOptions) return after
  const chosen = {
    overlap: oneOf("overlap", overlap, ["skip", "queue"]),
    missed: oneOf("missed", missed, ["skip", "latest", "all"]),
    runs: oneOf("runs", runs, ["atMostOnce", "atLeastOnce"])
  }
  for (const each of Object.values(chosen)) if (each instanceof InvalidOptions) return each
  return {
    name,
    lock,
    label: options.ownerLabel ?? ownerLabel ?? thisProcess,
    missedAfter: after,
    ...(chosen as Pick<runner.Settings, keyof typeof chosen>)
  }
}

const utc = (millis: number): DateTime.Utc => DateTime.makeUnsafe(Math.floor(millis))

const runOf = ({ began, ended, tick, ...rest }: ledger.Run): Run => ({
  ...rest,
  time: utc(tick),
  began: utc(began),
  ended: ended === undefined ? undefined : utc(ended)
})

/**
 * The service as a scoped effect, for programs that build it without a layer.
 *
 * @since 0.5.0
 * @category constructors
 */
export const make = (options: LockOptions = {}): Effect.Effect<Service, InvalidOptions, VersionedStore | Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* VersionedStore
    const taking = yield* kinds.open(options)
    const run: Service["run"] = (name, when, task, own = {}) =>
      Effect.suspend((): Effect.Effect<never, ScheduleError, any> => {
        const key = storedId(name, options.namespace)
        if (key instanceof InvalidLockId) return Effect.fail(key)
        const due = ticks.make(when)
        if (due instanceof InvalidOptions) return Effect.fail(due)
        const settings = settingsOf(name, own, options.ownerLabel)
        if (settings instanceof InvalidOptions) return Effect.fail(settings)
        if (!Effect.isEffect(task) && typeof task !== "function")
          return Effect.fail(invalid("task", task, "an effect, or a function of the tick that gives one"))
        return runner.run(store, taking, ledger.open(store, key), due, settings, ({ isAgain, lock, tick }) =>
          Effect.isEffect(task) ? task : task({ time: utc(tick), token: lock.token, lock, isAgain })
        )
      })
    return {
      run,
      history: (name) =>
        Effect.suspend((): Effect.Effect<ReadonlyArray<Run>, ScheduleError> => {
          const key = storedId(name, options.namespace)
          return key instanceof InvalidLockId
            ? Effect.fail(key)
            : Effect.map(ledger.open(store, key).look, (found) => (found?.runs ?? []).map(runOf))
        })
    }
  })

/**
 * Schedules over the `VersionedStore` in the context. Its options are those of `StorageLock.layer`.
 *
 * @since 0.5.0
 * @category layers
 */
export const layer = (options: LockOptions = {}): Layer.Layer<FleetSchedule, InvalidOptions, VersionedStore> =>
  Layer.effect(FleetSchedule, make(options))

/**
 * Runs a task at each tick of a schedule, once in all processes that do the same. It never ends by itself: fork it, or use `layerTask`.
 *
 * - A task that fails is logged, and kept in `history`. The schedule goes on.
 * - A task is interrupted if its lock is lost, before anybody else can run the next tick. With `runs: "atLeastOnce"` it is run again.
 * - The name is a lock id: the schedule takes the exclusive lock of that name for each run, and keeps its last tick under the same name with `#ticks`.
 * - A new schedule begins with its next tick.
 *
 * @example
 * ```ts
 * import { FleetSchedule } from "effect-storage-lock"
 * import * as PostgresStorage from "effect-storage-lock/PostgresStorage"
 * import { DateTime, Effect, Redacted } from "effect"
 *
 * const report = FleetSchedule.run("nightly-report", "0 3 * * *", (tick) =>
 *   Effect.log(`the report of ${DateTime.formatIso(tick.time)}, fencing token ${tick.token}`)
 * )
 *
 * const program = report.pipe(
 *   Effect.provide(FleetSchedule.layer()),
 *   Effect.provide(PostgresStorage.layer({ url: Redacted.make("postgres://localhost/shop") }))
 * )
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const run = <E, R>(
  name: string,
  when: When,
  task: Task<E, R>,
  options?: Options
): Effect.Effect<never, ScheduleError, R | FleetSchedule> =>
  Effect.flatMap(FleetSchedule, (service) => service.run(name, when, task, options))

/**
 * The same in the background of a program, until its layer closes. If it ends, because the storage refuses it for good, that is logged.
 *
 * @example
 * ```ts
 * import { FleetSchedule } from "effect-storage-lock"
 * import { Effect, Layer } from "effect"
 *
 * const Tasks = Layer.mergeAll(
 *   FleetSchedule.layerTask("nightly-report", "0 3 * * *", Effect.log("the report")),
 *   FleetSchedule.layerTask("clean-up", { every: "10 minutes" }, Effect.log("cleans up"), { missed: "latest" })
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const layerTask = <E, R>(
  name: string,
  when: When,
  task: Task<E, R>,
  options?: Options
): Layer.Layer<never, never, R | FleetSchedule> =>
  Layer.effectDiscard(
    Effect.forkScoped(
      Effect.catchCause(run(name, when, task, options), (cause) =>
        Effect.logError(`effect-storage-lock: the schedule ${JSON.stringify(name)} has ended`, cause)
      )
    )
  )

/**
 * How the last twenty ticks went, the newest first.
 *
 * @since 0.5.0
 * @category accessors
 */
export const history = (name: string): Effect.Effect<ReadonlyArray<Run>, ScheduleError, FleetSchedule> =>
  Effect.flatMap(FleetSchedule, (service) => service.history(name))
