/**
 * One leader among all processes that share a storage: a lock whose body runs for as long as its process leads.
 *
 * @since 0.5.0
 */
import "#effect/major"
import type * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import type * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import * as Schema from "#effect/Schema"
import * as Stream from "#effect/Stream"
import { duration, invalid, scheduleFault } from "./common/input.js"
import { jitter } from "./common/jitter.js"
import { notAnObject, unknownName } from "./common/optionNames.js"
import * as campaign from "./core/campaign.js"
import * as elections from "./core/elections.js"
import * as onlooker from "./core/onlooker.js"
import { InvalidOptions, type InvalidLockId, type StorageError } from "./LockError.js"
import type { LockInformation } from "./LockInformation.js"
import { type AcquireOptions, type Lock, StorageLock, type TryError } from "./StorageLock.js"

/**
 * A time of leadership, as its body sees it.
 *
 * @since 0.5.0
 * @category models
 */
export interface Term {
  /** Fencing token: greater in every term than in all before it, in whatever process. Send it with every write, so that the resource can reject a former leader. */
  readonly token: number
  /** The hold: `check` tells for how long this process surely leads. */
  readonly lock: Lock
  /**
   * Stands down: the body is interrupted, and when it has ended the lock is given back, so that others can lead at once. This returns before that. What
   * follows is said by the option `afterResign`.
   */
  readonly resign: Effect.Effect<void>
}

/**
 * What runs while this process leads.
 *
 * @since 0.5.0
 * @category models
 */
export type Body<A, E, R> = Effect.Effect<A, E, R> | ((term: Term) => Effect.Effect<A, E, R>)

/**
 * All are optional. Those of the lock are as in `StorageLock`, where `holdAtMost` is the longest term.
 *
 * @since 0.5.0
 * @category models
 */
export interface Options extends Omit<AcquireOptions, "ownerId" | "acquireTimeout" | "lostAtEnd"> {
  /**
   * What follows when the body ends by itself, and well. `"untilDone"`, the default: `run` ends with the value of the body, and others may lead. `"always"`: it
   * campaigns again after half a second or so.
   */
  readonly again?: "untilDone" | "always" | undefined
  /**
   * When to campaign again after a body that failed. Each failure is logged; when the schedule ends, the last one is the error of `run`. It goes on
   * through all terms of one `run`. Default: none, so that the first failure is the error of `run`.
   */
  readonly restart?: Schedule.Schedule<unknown> | undefined
  /**
   * How long to wait, about, before it campaigns again after `resign`. `"never"`: `run` fails with `Resigned`. Default: 10 seconds.
   */
  readonly afterResign?: Duration.Input | "never" | undefined
}

/**
 * It has stood down, and does not campaign again: `afterResign` is `"never"`.
 *
 * @since 0.5.0
 * @category errors
 */
export class Resigned extends Schema.TaggedError<Resigned>("effect-storage-lock/Resigned")("Resigned", {
  lockId: Schema.String
}) {
  override get message(): string {
    return `this process has resigned as the leader of ${JSON.stringify(this.lockId)}, and does not campaign again`
  }
}

/**
 * Why a candidate gives up. A storage that fails for a while is no reason: `StorageError` is one that would fail again, such as missing rights, and one of a
 * layer that is closed.
 *
 * @since 0.5.0
 * @category errors
 */
export type CampaignError = InvalidLockId | InvalidOptions | StorageError | Resigned

/** By default, and of what nobody waits for. */
const defaultRest = "10 seconds"
const defaultRestart = Schedule.min([Schedule.exponential("1 second", 2), Schedule.spaced("1 minute")]).pipe(
  jitter(0.5, 1.5)
)

const settingsOf = (lockId: string, options: Options): campaign.Settings | InvalidOptions => {
  const fault = notAnObject(options)
  if (fault !== undefined) return fault
  const { afterResign = defaultRest, again = "untilDone", restart, ...lock } = options
  for (const name of ["ownerId", "acquireTimeout", "lostAtEnd"])
    if ((lock as Record<string, unknown>)[name] !== undefined)
      return invalid(name, (lock as Record<string, unknown>)[name], "left out: it is no option of an election")
  if (again !== "untilDone" && again !== "always") return invalid("again", again, '"untilDone" or "always"')
  const schedule = scheduleFault("restart", restart)
  if (schedule !== undefined) return schedule
  const millis =
    afterResign === "never"
      ? undefined
      : duration("afterResign", afterResign, 'a duration, or "never"', (millis) => Number.isFinite(millis))
  if (millis instanceof InvalidOptions) return millis
  return { lockId, lock, again, restart, afterResign: millis }
}

/**
 * Campaigns until this process leads, and runs the body while it does. One process leads at a time: the body is interrupted before anybody else can lead, as that of
 * `StorageLock.withLock`.
 *
 * - If the leadership is lost, it campaigns again, after half a second or so.
 * - If the body ends, `run` ends with its value: see `again`. If the body fails, `run` fails with its error: see `restart`.
 * - If the storage fails while it campaigns, it goes on trying for ever, with pauses that grow to half a minute. It logs that, and `StorageLock.events` tells of each failed
 *   campaign as `AcquireFailed`. Only what would fail again is an error of `run`: missing rights, a table of a newer version.
 * - If `run` is interrupted, the body is, and when that has ended others can lead at once.
 *
 * After a leader that died, the next one leads when its lease is over and a poll or a wake-up has told. After one that ends in order, at once.
 *
 * @example
 * ```ts
 * import { LeaderElection } from "effect-storage-lock"
 * import { Effect, Schedule } from "effect"
 *
 * const scheduler = LeaderElection.run("scheduler", (term) =>
 *   Effect.log(`leads, with fencing token ${term.token}`).pipe(Effect.repeat(Schedule.spaced("10 seconds")))
 * )
 * ```
 *
 * @since 0.5.0
 * @category constructors
 */
export const run = <A, E, R>(
  lockId: string,
  body: Body<A, E, R>,
  options: Options = {}
): Effect.Effect<A, E | CampaignError, R | StorageLock> => {
  const settings = settingsOf(lockId, options)
  if (settings instanceof InvalidOptions) return Effect.fail(settings)
  if (!Effect.isEffect(body) && typeof body !== "function")
    return Effect.fail(invalid("body", body, "an effect, or a function of the term that gives one"))
  return Effect.flatMap(StorageLock, (service) =>
    campaign.run(
      service,
      elections.of(service),
      settings,
      (term) => (Effect.isEffect(body) ? body : body(term)),
      () => new Resigned({ lockId })
    )
  )
}

/**
 * One of it in all processes together: an effect that runs wherever its process leads, in the background, while the layer lives.
 *
 * It is `run`, with another default for `restart`: nobody waits for its error, so a failure is logged, and it campaigns again after a second, then ever more rarely, at last
 * about once a minute. What ends the campaign, such as missing rights, is logged as an error.
 *
 * @example
 * ```ts
 * import { LeaderElection, MemoryStorage, StorageLock } from "effect-storage-lock"
 * import { Effect, Layer, Schedule } from "effect"
 *
 * const tick = Effect.log("only one process says so").pipe(Effect.repeat(Schedule.spaced("10 seconds")))
 *
 * const Ticker = LeaderElection.singleton("ticker", tick).pipe(
 *   Layer.provide(StorageLock.layer()),
 *   Layer.provide(MemoryStorage.layer)
 * )
 * ```
 *
 * @since 0.5.0
 * @category layers
 */
export const singleton = <A, E, R>(
  lockId: string,
  effect: Body<A, E, R>,
  options: Options = {}
): Layer.Layer<never, InvalidOptions, R | StorageLock> => {
  const settings = settingsOf(lockId, options)
  return Layer.effectDiscard(
    settings instanceof InvalidOptions
      ? Effect.fail(settings)
      : Effect.forkScoped(
          Effect.catch(run(lockId, effect, { ...options, restart: options.restart ?? defaultRestart }), (error) =>
            Effect.logError(
              `effect-storage-lock: this process does not campaign for ${JSON.stringify(lockId)} any more`,
              error
            )
          )
        )
  )
}

/**
 * Stands down wherever this lock service leads: as `Term.resign`, for those who have no term, such as the handler of a request to restart. Gives `false` if
 * it does not lead.
 *
 * @since 0.5.0
 * @category accessors
 */
export const resign = (lockId: string): Effect.Effect<boolean, never, StorageLock> =>
  Effect.map(StorageLock, (service) => elections.of(service).resign(lockId))

/**
 * Whether this lock service leads, from now on: the first value at once, then each change. Without I/O. It is `false` from the loss of the leadership on, while the body may still be
 * ending. A process that stood still learns of it late: what must not be done by a former leader checks `term.lock`, or sends `term.token`.
 *
 * @since 0.5.0
 * @category accessors
 */
export const isLeader = (lockId: string): Stream.Stream<boolean, never, StorageLock> =>
  Stream.unwrap(Effect.map(StorageLock, (service) => onlooker.isLeader(elections.of(service), lockId)))

/**
 * Options of `leader`.
 *
 * @since 0.5.0
 * @category models
 */
export interface LeaderOptions {
  /** About how often the storage is asked, each time a fourth more or less. Default: a second. */
  readonly pollEvery?: Duration.Input | undefined
}

/**
 * Who leads, for those who only look: the first value at once, then each change of leader. Diagnostic only: the answer may be stale when you read it.
 *
 * The storage is asked again after `pollEvery`, and at once when a wake-up says that a lock is free, or when this lock service itself wins or loses. So a term
 * that is shorter than that may be missed.
 *
 * While the storage fails, it tells nothing, logs that once, and goes on asking: what it told last may be over. It fails if the storage would fail again, as for missing rights.
 *
 * @example
 * ```ts
 * import { LeaderElection } from "effect-storage-lock"
 * import { Effect, Option, Stream } from "effect"
 *
 * const watch = LeaderElection.leader("scheduler").pipe(
 *   Stream.runForEach((leader) => Effect.log(Option.match(leader, { onNone: () => "nobody leads", onSome: (_) => `${_.ownerLabel} leads` })))
 * )
 * ```
 *
 * @since 0.5.0
 * @category accessors
 */
export const leader = (
  lockId: string,
  options: LeaderOptions = {}
): Stream.Stream<Option.Option<LockInformation>, TryError, StorageLock> => {
  const fault = unknownName<LeaderOptions>(options, { pollEvery: true })
  if (fault !== undefined) return Stream.fail(fault)
  const millis = duration(
    "pollEvery",
    options.pollEvery === undefined ? "1 second" : options.pollEvery,
    "a duration above zero",
    (millis) => millis > 0
  )
  return millis instanceof InvalidOptions
    ? Stream.fail(millis)
    : Stream.unwrap(Effect.map(StorageLock, (service) => onlooker.leader(service, lockId, millis)))
}
