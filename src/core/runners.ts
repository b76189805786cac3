/**
 * Fibers of the layer that run calls to the storage, one at a time each. They are kept for the next call: a fiber that is woken costs less than one that is made, and it has the
 * layer's context and clock, not those of whoever needs the lock (whose transaction, say, must not reach the storage).
 */
import type * as Clock from "effect/Clock"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Exit from "#effect/Exit"
import type * as Fiber from "#effect/Fiber"
import { withClock } from "#effect/clocks"
import * as fibers from "#effect/fibers"
import { type StorageError } from "../LockError.js"
import * as Storage from "../Storage.js"
import { Bell } from "./bell.js"

export interface Job {
  readonly operation: string
  readonly self: Effect.Effect<unknown, StorageError>
  /** Milliseconds, told to the storage. */
  readonly limit: number
  /** Called once, synchronously. */
  readonly ended: (exit: Exit.Exit<any, StorageError>) => void
}

class Runner {
  readonly bell = new Bell()
  private fiber: Fiber.Fiber<unknown, unknown> | undefined
  isNew = true
  job: Job | undefined
  limit = Number.NaN
  /** Was told to end: the message may reach it when its call has ended, so it gets no other. */
  doomed = false

  interrupt(): void {
    this.doomed = true
    if (this.fiber !== undefined) fibers.interrupt(this.fiber)
  }

  /** Its call may have ended by now, and others after it. */
  runsIn(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.fiber = fiber
    if (this.doomed) fibers.interrupt(fiber)
  }
}

/**
 * After so many calls the event loop gets a turn: fibers that hand a lock from one to the other over a storage that answers at once (memory, a file) would else leave none to timers and sockets,
 * and renewals need them.
 */
const callsInARow = 256

/** More than these end after their call. */
const mostIdle = 64

export class Runners {
  private readonly idle: Array<Runner> = []
  private readonly busy = new Set<Runner>()
  private closed = false
  private calls = 0

  constructor(
    private readonly context: Context.Context<never>,
    private readonly run: fibers.Run,
    private readonly clock: Clock.Clock,
    private readonly onIdle: () => void
  ) {}

  get isIdle(): boolean {
    return this.busy.size === 0
  }

  get counts(): { readonly busyRunners: number; readonly idleRunners: number } {
    return { busyRunners: this.busy.size, idleRunners: this.idle.length }
  }

  /** Starts a job, which may have ended when this returns; the function interrupts it, if it is still running then. */
  start(job: Job): () => void {
    const runner = this.idle.pop() ?? new Runner()
    runner.job = job
    this.busy.add(runner)
    if (runner.isNew) this.begin(runner)
    else this.run.wake(runner.bell)
    return () => {
      if (runner.job === job) runner.interrupt()
    }
  }

  private begin(runner: Runner): void {
    runner.isNew = false
    runner.bell.ring()
    const fiber = this.run.forkResident(withClock(Effect.interruptible(this.loop(runner)), this.clock))
    runner.runsIn(fiber)
    // Only an interruption ends a runner before its time.
    fiber.addObserver((exit) => this.done(runner, exit, false))
  }

  /** Interrupts what runs, of one operation or of all. */
  interrupt(operation: string | undefined): void {
    for (const runner of this.busy) {
      if (operation === undefined || runner.job?.operation === operation) runner.interrupt()
    }
  }

  /** Lets the idle ones end, and the others after their call. */
  close(): void {
    this.closed = true
    for (const runner of this.idle.splice(0)) runner.interrupt()
  }

  private loop(runner: Runner): Effect.Effect<void> {
    let more = true
    return Effect.whileLoop({
      while: () => more,
      body: () =>
        Effect.flatMap(runner.bell.waitWithin, () => {
          const { limit, self } = runner.job!
          const call = limit === runner.limit ? self : Effect.andThen(this.setLimit(runner, limit), self)
          return Effect.exit(++this.calls % callsInARow === 0 ? Effect.andThen(fibers.eventLoop, call) : call)
        }),
      step: (exit) => {
        more = this.done(runner, exit, true)
      }
    })
  }

  /** `Effect.provideService` would cost more than the rest of a call, and would do it anew for each. */
  private setLimit(runner: Runner, limit: number): Effect.Effect<void> {
    runner.limit = limit
    return fibers.setContext(Context.add(this.context, Storage.TimeLimit, Duration.millis(limit)), this.clock)
  }

  /** Whether the runner goes on. */
  private done(runner: Runner, exit: Exit.Exit<unknown, StorageError>, alive: boolean): boolean {
    const { job } = runner
    if (job === undefined) return false
    runner.job = undefined
    this.busy.delete(runner)
    const keep = alive && !runner.doomed && !this.closed && this.idle.length < mostIdle
    if (keep) this.idle.push(runner)
    job.ended(exit)
    if (this.busy.size === 0) this.onIdle()
    return keep
  }
}
