/**
 * A process of its own: its own scheduler, its own clocks, its own chance. It can be paused, suspended and killed, and none of its code knows that it is simulated.
 */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Fiber from "#effect/Fiber"
import * as clocks from "#effect/clocks"
import * as logs from "#harness/logs"
import * as machines from "#harness/machine"
import type { Cancel, Runnable, Task, World } from "./world.js"

/** Wall clocks start here, in milliseconds; small, so that times and tokens can be read. */
export const epoch = 1_000_000

export class Machine implements Runnable {
  private tasks: Array<Task> = []
  private pausedUntil = 0
  /** For how long the monotonic clock has stood still, and since when it does now. */
  private stoodStill = 0
  private suspendedSince: number | undefined
  private wallStep = 0
  /** By how much its readings have moved the monotonic clock on. */
  private ticked = 0
  dead = false
  readonly timers = new Set<object>()
  private readonly machine: machines.Machine

  constructor(
    readonly name: string,
    private readonly world: World,
    seed: string,
    /** Seconds of this machine's clocks in a true second. */
    readonly rate: number,
    private readonly startOfClock: number,
    log: (text: string) => void
  ) {
    let ids = 0
    this.machine = machines.make({
      seed,
      clock: clocks.make({
        // Cut to whole milliseconds, as `Date.now` is.
        wallMillis: () => Math.floor(this.wall()),
        // It runs while it is read: of two readings the second is later.
        monotonicNanos: () => BigInt(Math.round(this.tick() * 1e6)),
        sleep: (duration) =>
          Effect.callback<void>((resume) => {
            const timer = this.timer(Duration.toMillis(duration), () => resume(Effect.void))
            return Effect.sync(timer.cancel)
          })
      }),
      ids: Effect.sync(() => `${name}-${++ids}`.padEnd(22, "_")),
      logger: logs.to(({ annotations, cause, message }) => {
        // What is said of a hold in trouble is as it should be: there are faults.
        if ("leaseEnd" in annotations) return
        // And a clock that leaps.
        if (message.startsWith("Simulated: Simulated clock has gone ")) return
        log(cause === "" ? message : `${message} ${cause}`)
      }),
      schedule: (task) => {
        if (!this.dead) this.tasks.push(task)
      }
    })
    world.add(this)
  }

  get stopped(): boolean {
    return this.pausedUntil > this.world.now || this.suspendedSince !== undefined
  }

  get isReady(): boolean {
    return this.tasks.length > 0 && !this.stopped
  }

  turn(): void {
    const tasks = this.tasks
    this.tasks = []
    for (const task of tasks) task()
  }

  monotonic(): number {
    const still = this.stoodStill + (this.suspendedSince === undefined ? 0 : this.world.now - this.suspendedSince)
    return this.startOfClock + (this.world.now - still) * this.rate + this.ticked
  }

  /** A nanosecond later than the reading before. */
  tick(): number {
    this.ticked += 1e-6
    return this.monotonic()
  }

  wall(): number {
    return epoch + this.startOfClock + this.wallStep + this.world.now * this.rate
  }

  /** When this machine's clocks will have run so much further, if it is not suspended. */
  trueTimeIn(millis: number): number {
    return this.world.now + millis / this.rate
  }

  timer(millis: number, run: Task): Cancel {
    const due = this.monotonic() + Math.max(0, millis)
    const handle = {}
    let current: Cancel | undefined
    const wait = () => {
      current = this.world.at(this.world.now + Math.max(0, due - this.monotonic()) / this.rate, () => {
        if (this.dead || !this.timers.has(handle)) return
        // A machine that stands still has no timers; it looks again when it goes on.
        if (this.stopped) return this.whenRunning(wait)
        if (due - this.monotonic() > 1e-6) return wait()
        this.timers.delete(handle)
        run()
      })
    }
    this.timers.add(handle)
    wait()
    return {
      cancel: () => {
        this.timers.delete(handle)
        current?.cancel()
      }
    }
  }

  private readonly onGo: Array<Task> = []

  /** Does something from the outside (an answer comes) as soon as the machine can see it. */
  whenRunning(task: Task): void {
    if (this.dead) return
    if (this.stopped) this.onGo.push(task)
    else task()
  }

  private go(): void {
    if (this.dead || this.stopped) return
    for (const task of this.onGo.splice(0)) task()
  }

  /** Nothing of it runs; its clocks do. */
  pause(millis: number): void {
    this.pausedUntil = Math.max(this.pausedUntil, this.world.now + millis)
    this.world.at(this.pausedUntil, () => this.go())
  }

  /** Nothing of it runs, and its monotonic clock stands still. */
  suspend(millis: number): void {
    if (this.suspendedSince !== undefined) return
    this.suspendedSince = this.world.now
    this.world.after(millis, () => {
      this.stoodStill += this.world.now - this.suspendedSince!
      this.suspendedSince = undefined
      this.go()
    })
  }

  stepWall(millis: number): void {
    this.wallStep += millis
  }

  /** Nothing of it ever runs again: no finalizer, nothing. */
  kill(): void {
    this.dead = true
    this.tasks = []
    this.onGo.length = 0
    this.timers.clear()
    this.world.remove(this)
  }

  fork<A, E>(self: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return this.machine.fork(self)
  }

  /** How many fibers have not ended. */
  get fibers(): number {
    return this.machine.alive()
  }
}
