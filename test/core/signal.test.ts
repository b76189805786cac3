/** How synchronous code wakes a fiber: no signal is lost, and none is heard twice. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import { turns } from "#harness/settling"
import { Signal } from "../../src/core/signal.js"

const settled = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: turns }
)

for (const way of ["wait", "waitWithin"] as const) {
  describe(`a signal that is awaited by ${way}`, () => {
    /** Says how often the fiber that waits was woken. */
    const setup = Effect.gen(function* () {
      const signal = new Signal()
      const woken = { times: 0 }
      const waits = Effect.forever(
        Effect.andThen(
          signal[way],
          Effect.sync(() => void woken.times++)
        )
      )
      return { signal, woken, fork: Effect.tap(Effect.forkChild(waits), () => settled) }
    })

    it.live("wakes the fiber that waits, once for each time that it is given", () =>
      Effect.gen(function* () {
        const { fork, signal, woken } = yield* setup
        yield* fork
        assert.strictEqual(woken.times, 0, "nobody has given it")
        for (const times of [1, 2, 3]) {
          signal.notify()
          yield* settled
          assert.strictEqual(woken.times, times)
        }
      })
    )

    it.live("lets the next wait pass if nobody waited, however often it was given", () =>
      Effect.gen(function* () {
        const { fork, signal, woken } = yield* setup
        signal.notify()
        signal.notify()
        yield* fork
        assert.strictEqual(woken.times, 1)
      })
    )

    it.live("is forgotten if it is cleared", () =>
      Effect.gen(function* () {
        const { fork, signal, woken } = yield* setup
        signal.notify()
        signal.clear()
        yield* fork
        assert.strictEqual(woken.times, 0)
        signal.notify()
        yield* settled
        assert.strictEqual(woken.times, 1)
      })
    )

    it.live("that was given to a fiber which is gone is the next one's, who also takes its place", () =>
      Effect.gen(function* () {
        const { fork, signal, woken } = yield* setup
        yield* Fiber.interrupt(yield* fork)
        signal.notify()
        yield* Fiber.interrupt(yield* fork)
        assert.strictEqual(woken.times, 1)
        yield* fork
        assert.strictEqual(woken.times, 1)
        signal.notify()
        yield* settled
        assert.strictEqual(woken.times, 2)
      })
    )
  })
}
