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
import { LinkedList, type Links } from "./linkedList.js"
import { Signal } from "./signal.js"

export interface Job {
  readonly operation: string
  readonly self: Effect.Effect<unknown, StorageError>
  /** Milliseconds, told to the storage. */
  readonly limit: number
  /** Called once, synchronously. */
  readonly ended: (exit: Exit.Exit<any, StorageError>) => void
}

class Worker implements Links {
  before: this | undefined
  after: this | undefined
  readonly signal = new Signal()
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
export const callsInARow = 256

/** More than these end after their call. */
const mostIdle = 64

export class Workers {
  private readonly idle: Array<Worker> = []
  private readonly busy = new LinkedList<Worker>()
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

  get counts(): { readonly busyWorkers: number; readonly idleWorkers: number } {
    return { busyWorkers: this.busy.size, idleWorkers: this.idle.length }
  }

  /** Starts a job, which may have ended when this returns; the function interrupts it, if it is still running then. */
  start(job: Job): () => void {
    const worker = this.idle.pop() ?? new Worker()
    worker.job = job
    this.busy.add(worker)
    if (worker.isNew) this.begin(worker)
    else this.run.wake(worker.signal)
    return () => {
      if (worker.job === job) worker.interrupt()
    }
  }

  private begin(worker: Worker): void {
    worker.isNew = false
    worker.signal.notify()
    const fiber = this.run.forkResident(withClock(Effect.interruptible(this.loop(worker)), this.clock))
    worker.runsIn(fiber)
    // Only an interruption ends a worker before its time.
    fiber.addObserver((exit) => this.done(worker, exit, false))
  }

  /** Interrupts what runs, of one operation or of all. */
  interrupt(operation: string | undefined): void {
    for (const worker of this.busy) {
      if (operation === undefined || worker.job?.operation === operation) worker.interrupt()
    }
  }

  /** Lets the idle ones end, and the others after their call. */
  close(): void {
    this.closed = true
    for (const worker of this.idle.splice(0)) worker.interrupt()
  }

  private loop(worker: Worker): Effect.Effect<void> {
    let more = true
    return Effect.whileLoop({
      while: () => more,
      body: () =>
        Effect.flatMap(worker.signal.waitWithin, () => {
          const { limit, self } = worker.job!
          const call = limit === worker.limit ? self : Effect.andThen(this.setLimit(worker, limit), self)
          return Effect.exit(++this.calls % callsInARow === 0 ? Effect.andThen(fibers.eventLoop, call) : call)
        }),
      step: (exit) => {
        more = this.done(worker, exit, true)
      }
    })
  }

  /** `Effect.provideService` would cost more than the rest of a call, and would do it again for each. */
  private setLimit(worker: Worker, limit: number): Effect.Effect<void> {
    worker.limit = limit
    return fibers.setContext(Context.add(this.context, Storage.TimeLimit, Duration.millis(limit)), this.clock)
  }

  /** Whether the worker goes on. */
  private done(worker: Worker, exit: Exit.Exit<unknown, StorageError>, alive: boolean): boolean {
    const { job } = worker
    if (job === undefined) return false
    worker.job = undefined
    this.busy.delete(worker)
    const keep = alive && !worker.doomed && !this.closed && this.idle.length < mostIdle
    if (keep) this.idle.push(worker)
    job.ended(exit)
    if (this.busy.size === 0) this.onIdle()
    return keep
  }
}
