/**
 * Virtual time that moves on by itself whenever nothing else can happen. The test clock of Effect takes milliseconds of real time for each
 * wake-up; this takes microseconds, which tens of thousands of them need.
 */
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as clocks from "#effect/clocks"
import { turns } from "#harness/settling"

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

class VirtualClock {
  private readonly sleepers: Array<Sleeper> = []
  private now = 1_000_000

  readonly clock = clocks.make({
    wallMillis: () => this.now,
    // It runs while it is read: of two readings the second is later.
    monotonicNanos: () => BigInt(Math.round((this.now += 1e-6) * 1e6)),
    sleep: (duration) => this.sleep(duration)
  })

  private sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const sleeper: Sleeper = { due: this.now + Duration.toMillis(duration), wake: () => resume(Effect.void) }
      let low = 0
      let high = this.sleepers.length
      while (low < high) {
        const middle = (low + high) >> 1
        if (this.sleepers[middle]!.due <= sleeper.due) low = middle + 1
        else high = middle
      }
      this.sleepers.splice(low, 0, sleeper)
      return Effect.sync(() => {
        const index = this.sleepers.indexOf(sleeper)
        if (index >= 0) this.sleepers.splice(index, 1)
      })
    })
  }

  /** Wakes whoever is due next. */
  step(): void {
    const next = this.sleepers.shift()
    if (next === undefined) return
    this.now = Math.max(this.now, next.due)
    next.wake()
  }
}

/** After all microtasks, and after what Effect's scheduler put behind a timer. */
const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** A fiber that leaves the event loop a turn has not ended its work with it. */
const settled = Array.from({ length: turns }, () => turn).reduce((all, one) => Effect.andThen(all, one))

/** Runs an effect to its end in virtual time. */
export const run = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const virtual = new VirtualClock()
    const fiber = yield* Effect.forkChild(clocks.withClock(self, virtual.clock))
    let done = false
    fiber.addObserver(() => {
      done = true
    })
    while (!done) {
      yield* settled
      if (!done) virtual.step()
    }
    return yield* Fiber.join(fiber)
  })
