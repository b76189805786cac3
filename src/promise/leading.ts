/** What runs in one process of all, as promises: while it leads, or at certain times. */
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import type { Run } from "#effect/fibers"
import type * as core from "../core/api.js"
import type * as FleetSchedule from "../FleetSchedule.js"
import * as LeaderElection from "../LeaderElection.js"
import type { InvalidOptions as Invalid } from "../LockError.js"
import { StorageLock } from "../StorageLock.js"
import { InvalidOptions } from "./errors.js"
import { HeldLock } from "./lock.js"
import { ofAcquire } from "./options.js"
import { promise } from "./run.js"
import type { LeadBody, LeadOptions, Lock, Locks, ScheduleOptions } from "./types.js"

/** What a body has thrown, whatever that is. */
class Thrown {
  readonly _tag = "Thrown"
  constructor(readonly error: unknown) {}
}

const checked = (field: string, body: unknown): void => {
  if (typeof body !== "function")
    throw new InvalidOptions({ field, kind: `of type ${typeof body}`, rule: "a function" })
}

/** Why it was told to end. */
const reasonOf = (lock: Lock, outer: AbortSignal | undefined): unknown => {
  if (outer?.aborted === true) return outer.reason
  try {
    lock.check()
  } catch (lost) {
    return lost
  }
  return new DOMException("this process has stood down, or its schedule has ended", "AbortError")
}

/** Whoever ends it waits until it has ended: what it comes to then does not count. */
const running = <A>(
  run: Run,
  inner: core.Lock,
  outer: AbortSignal | undefined,
  body: (lock: Lock, signal: AbortSignal) => A | PromiseLike<A>
): Effect.Effect<A, Thrown> =>
  Effect.callback<A, Thrown>((resume) => {
    const lock = new HeldLock(run, inner, inner.release)
    const controller = new AbortController()
    const ended = new Promise<A>((resolve) => resolve(body(lock, controller.signal))).then(
      (value) => {
        lock.forget()
        resume(Effect.succeed(value))
      },
      (error: unknown) => {
        lock.forget()
        resume(Effect.fail(new Thrown(error)))
      }
    )
    return Effect.promise(() => {
      controller.abort(reasonOf(lock, outer))
      return ended
    })
  })

const unwrapped = (error: unknown): never => {
  throw error instanceof Thrown ? error.error : error
}

export const lead = async <A>(
  run: Run,
  service: core.Service,
  lockId: string,
  body: LeadBody<A>,
  options: LeadOptions
): Promise<A> => {
  const { own, signal } = ofAcquire(options)
  checked("body", body)
  const campaign = LeaderElection.run(
    lockId,
    (term) =>
      running(run, term.lock, signal, (lock, ends) =>
        body({ token: term.token, lock, resign: () => run.sync(term.resign) }, ends)
      ),
    own
  )
  return promise(run, Effect.provideService(campaign, StorageLock, service), { signal }).catch(unwrapped)
}

export const schedule = async (
  run: Run,
  opened: Effect.Effect<FleetSchedule.Service, Invalid>,
  name: string,
  when: Parameters<Locks["schedule"]>[1],
  task: Parameters<Locks["schedule"]>[2],
  options: ScheduleOptions,
  isClosing: () => boolean
): Promise<void> => {
  const { own, signal } = ofAcquire(options)
  checked("task", task)
  const told = Effect.flatMap(opened, (service) =>
    service.run(
      name,
      when,
      ({ isAgain, lock: inner, time, token }) =>
        Effect.catch(
          running(run, inner, signal, (lock, ends) =>
            task({ time: DateTime.toDate(time), token, lock, isAgain }, ends)
          ),
          // As it is logged.
          ({ error }) => Effect.fail(error)
        ),
      own
    )
  )
  return promise(run, told, { signal }).catch((error: unknown) => {
    if (signal?.aborted !== true && !isClosing()) throw error
  })
}
