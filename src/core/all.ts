/**
 * Several locks at once: all, or none.
 *
 * Who waits for a lock has none that comes after it in the order of all processes, so nobody can wait in a circle. Locks that seem to be free are asked for side by side: that is no waiting. What
 * comes after the first that is not had is given back before anybody waits for that one.
 */
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import type { StorageError } from "../LockError.js"
import { InvalidLockId, InvalidOptions, LockTimeout } from "../LockError.js"
import * as LockInformation from "../LockInformation.js"
import { invalid } from "../common/input.js"
import { acquire, type Restore, type Wanted } from "./acquire.js"
import { tooSlow } from "./acquireOutcome.js"
import type { Failure } from "./acquireStates.js"
import type { Refusal } from "./api.js"
import type { Core } from "./core.js"
import type { Hold } from "./hold.js"

/** Surrogates come after all other units, as what they stand for does in bytes. */
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

/** The order of all processes: that of the bytes in UTF-8. `<` compares UTF-16 units, as other languages do not. */
export const byBytes = (a: string, b: string): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [one, other] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (one !== other) return rank(one) - rank(other)
  }
  return a.length - b.length
}

/** What is wrong with a list of locks, before each of them is looked at. */
export const listFault = (field: string, list: unknown): InvalidOptions | undefined =>
  !Array.isArray(list)
    ? invalid(field, list, "an array")
    : list.length === 0
      ? new InvalidOptions({ field, kind: "empty", rule: "one lock or more" })
      : undefined

export const twiceFault = (field: string, index: number, lockId: string): InvalidOptions =>
  new InvalidOptions({
    field: `${field}[${index}]`,
    kind: `${JSON.stringify(lockId)} once more`,
    rule: "another lock than those before it"
  })

/** Of one id of a list. */
export const idFault = (field: string, index: number, { kind, rule }: InvalidLockId): InvalidLockId =>
  new InvalidLockId({ field: `${field}[${index}]`, kind, rule })

/** The holds that there are so far. */
class Taken {
  private readonly holds = new Map<string, Hold>()

  constructor(private readonly wanted: ReadonlyArray<Wanted>) {}

  add(hold: Hold): void {
    this.holds.set(hold.claimant.key, hold)
  }

  has({ key }: Wanted): boolean {
    return this.holds.has(key)
  }

  /** All, in the order in which they were asked for, unless one is missing or lost meanwhile. */
  get all(): ReadonlyArray<Hold> | undefined {
    const holds = this.wanted.flatMap(({ key }) => this.holds.get(key) ?? [])
    return holds.length === this.wanted.length && holds.every((hold) => hold.remaining() > 0) ? holds : undefined
  }

  /** Gives back those that are meant, all at once. Ends when the storage has answered, or after as long as a call may take. */
  giveBack(isMeant: (key: string) => boolean = () => true): Effect.Effect<void> {
    return Effect.suspend(() => {
      const holds = Array.from(this.holds.values()).filter(({ claimant }) => isMeant(claimant.key))
      for (const { claimant } of holds) this.holds.delete(claimant.key)
      return releaseAll(holds)
    })
  }
}

export const releaseAll = (holds: ReadonlyArray<Hold>): Effect.Effect<void> =>
  Effect.forEach(holds, (hold) => hold.release, { concurrency: "unbounded", discard: true })

type Answer = Exit.Exit<Effect.Success<ReturnType<typeof acquire>>, Failure>

/** One claim each, side by side. What is had is in `taken`, also if this is interrupted. */
const sideBySide = (
  core: Core,
  wanted: ReadonlyArray<Wanted>,
  newId: Effect.Effect<string>,
  taken: Taken
): Effect.Effect<ReadonlyArray<Answer>> =>
  Effect.forEach(
    wanted,
    (one) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.map(Effect.exit(acquire(core, { ...one, wait: false }, restore, newId)), (answer) => {
          if (Exit.isSuccess(answer) && Result.isSuccess(answer.value)) taken.add(answer.value.success)
          return answer
        })
      ),
    { concurrency: "unbounded" }
  )

/** One owner for all of them. */
const ownedByOne = (
  wanted: ReadonlyArray<Wanted>,
  newId: Effect.Effect<string>
): Effect.Effect<ReadonlyArray<Wanted>> =>
  wanted[0]!.ownerId === undefined
    ? Effect.map(newId, (ownerId) => wanted.map((one) => ({ ...one, ownerId })))
    : Effect.succeed(wanted)

/** However it ends but well, nothing is kept. Must be run uninterruptibly. */
const allOrNone = <A, E>(taken: Taken, self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.onExit(self, (exit) => (Exit.isFailure(exit) ? taken.giveBack() : Effect.void))

/** How long all of them may be held, counted from when there are all. */
const limited = (holds: ReadonlyArray<Hold>, { options }: Wanted): ReadonlyArray<Hold> => {
  if (options.holdAtMost !== Number.POSITIVE_INFINITY) for (const hold of holds) hold.limit(options.holdAtMost)
  return holds
}

/** Until there are all of them, each is held for as long as it takes. */
const unlimited = (one: Wanted): Wanted => ({
  ...one,
  options: { ...one.options, holdAtMost: Number.POSITIVE_INFINITY }
})

type Tried = Result.Result<ReadonlyArray<Hold>, ReadonlyArray<Refusal>>

/** Without a wait. The failure: those that somebody has. Must be run uninterruptibly; is interruptible where it waits, by `restore`. */
export const tryAll = (
  core: Core,
  all: ReadonlyArray<Wanted>,
  restore: Restore,
  newId: Effect.Effect<string>
): Effect.Effect<Tried, StorageError> =>
  Effect.flatMap(ownedByOne(all.map(unlimited), newId), (wanted) => {
    const taken = new Taken(wanted)
    return allOrNone(
      taken,
      Effect.flatMap(restore(sideBySide(core, wanted, newId, taken)), (answers): Effect.Effect<Tried, StorageError> => {
        const refusals: Array<Refusal> = []
        for (const [index, answer] of answers.entries()) {
          const { lockId } = wanted[index]!
          if (Exit.isSuccess(answer)) {
            if (Result.isFailure(answer.value))
              refusals.push({
                lockId,
                holder: Option.map(Option.fromNullishOr(answer.value.failure), (record) =>
                  LockInformation.fromRecord(record, lockId)
                )
              })
            continue
          }
          const error = Option.getOrUndefined(Cause.findErrorOption(answer.cause))
          if (!(error instanceof LockTimeout)) return Effect.failCause(answer.cause as Cause.Cause<StorageError>)
          refusals.push({ lockId, holder: Option.fromNullishOr(error.heldBy) })
        }
        if (refusals.length > 0) return Effect.as(taken.giveBack(), Result.fail(refusals))
        const holds = taken.all
        return holds === undefined
          ? Effect.fail(tooSlow(core, wanted[0]!.options))
          : Effect.succeed(Result.succeed(limited(holds, all[0]!)))
      })
    )
  })

/** In milliseconds: who has less time than a claim without a wait may take gives that claim no more. */
const quick = 500

/** Must be run uninterruptibly; is interruptible where it waits, by `restore`. */
export const acquireAll = (
  core: Core,
  all: ReadonlyArray<Wanted>,
  restore: Restore,
  newId: Effect.Effect<string>
): Effect.Effect<ReadonlyArray<Hold>, Failure> =>
  Effect.flatMap(ownedByOne(all.map(unlimited), newId), (wanted) => {
    const began = core.timeline.now()
    const timeout = all[0]!.options.acquireTimeout
    const waited = () => core.timeline.now() - began
    const within = (one: Wanted, acquireTimeout: number): Wanted => ({
      ...one,
      options: { ...one.options, acquireTimeout }
    })
    const left = () => Math.max(0, timeout - waited())
    const taken = new Taken(wanted)
    const ordered = [...wanted].sort((a, b) => byBytes(a.key, b.key))

    /** Those before the first that this process knows to be wanted or held. With a storage that has never answered, one is enough to find out. */
    const seemFree = (): ReadonlyArray<Wanted> => {
      const busy = ordered.findIndex(({ key, ownerId }) => !core.queues.seemsFree(key, ownerId!, core.timeline.now()))
      const free = busy < 0 ? ordered : ordered.slice(0, busy)
      return free.length > 1 && core.calls.hasAnswered() ? free : []
    }

    /** What comes after the first that is not had is given back: nobody has a lock while waiting for one that comes before it. */
    const atOnce = Effect.suspend(() => {
      const time = left() < quick ? left() : Number.POSITIVE_INFINITY
      const free = seemFree().map((one) => within(one, time))
      return Effect.flatMap(restore(sideBySide(core, free, newId, taken)), (answers): Effect.Effect<void> => {
        const defect = answers.find(
          (answer) => Exit.isFailure(answer) && Option.isNone(Cause.findErrorOption(answer.cause))
        )
        if (defect !== undefined) return Effect.asVoid(defect as Exit.Exit<never>)
        const missing = ordered.findIndex((one) => !taken.has(one))
        const before = new Set(missing < 0 ? [] : ordered.slice(0, missing).map(({ key }) => key))
        return missing < 0 ? Effect.void : taken.giveBack((key) => !before.has(key))
      })
    })

    const inOrder = Effect.forEach(
      ordered,
      (one) =>
        Effect.suspend(() =>
          taken.has(one)
            ? Effect.void
            : Effect.map(acquire(core, within(one, left()), restore, newId), (hold) => {
                // Who waits is given a hold.
                if (Result.isSuccess(hold)) taken.add(hold.success)
              })
        ),
      { discard: true }
    )

    const whole: Effect.Effect<ReadonlyArray<Hold>, Failure> = Effect.flatMap(Effect.andThen(atOnce, inOrder), () => {
      const holds = taken.all
      // One was lost while another was waited for. Nothing was done under it yet.
      return holds === undefined ? Effect.andThen(taken.giveBack(), whole) : Effect.succeed(limited(holds, all[0]!))
    })

    return Effect.mapError(allOrNone(taken, whole), (error) =>
      error._tag === "LockTimeout" ? new LockTimeout({ ...error, waitedMillis: waited() }) : error
    )
  })
