/** This process's time: the monotonic clock, or the wall clock where that moved further. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as clocks from "#effect/clocks"
import * as Timeline from "../../src/core/timeline.js"

/** Two clocks, and what happens between a reading of the first and one of the second. */
const setup = () => {
  const hands = { monotonic: 5_000, wall: 1_000_000, between: () => {} }
  const clock = clocks.make({
    monotonicNanos: () => {
      const nanos = BigInt(Math.round(hands.monotonic * 1e6))
      hands.between()
      return nanos
    },
    wallMillis: () => Math.floor(hands.wall),
    sleep: () => Effect.never
  })
  const timeline = Timeline.make(clock)
  const pass = (millis: number) => {
    hands.monotonic += millis
    hands.wall += millis
  }
  const elapsed = (does: () => void) => {
    const before = timeline.now()
    does()
    return timeline.now() - before
  }
  return { hands, timeline, pass, elapsed }
}

describe("the time of a process", () => {
  it("goes by the monotonic clock", () => {
    const { elapsed, pass, timeline } = setup()
    timeline.now()
    assert.strictEqual(
      elapsed(() => pass(1234)),
      1234
    )
  })

  it("jumps ahead with the wall clock: the machine may have been suspended", () => {
    const { elapsed, hands, pass, timeline } = setup()
    timeline.now()
    pass(100)
    assert.strictEqual(
      elapsed(() => (hands.wall += 5000)),
      5000
    )
    assert.strictEqual(timeline.jumps(), 1)
    assert.strictEqual(
      elapsed(() => pass(10)),
      10
    )
  })

  it("does not go back with the wall clock", () => {
    const { elapsed, hands, pass, timeline } = setup()
    timeline.now()
    assert.strictEqual(
      elapsed(() => {
        hands.wall -= 3_600_000
        pass(50)
      }),
      50
    )
  })

  it("was set back, and then suspended for less: the suspend is seen in full", () => {
    const { elapsed, hands, pass, timeline } = setup()
    timeline.now()
    for (const [back, asleep] of [
      [3_600_000, 5_000],
      [60_000, 59_000],
      [5_000, 5_000],
      [10, 3_000]
    ] as const) {
      hands.wall -= back
      assert.strictEqual(
        elapsed(() => pass(1000)),
        1000
      )
      assert.strictEqual(
        elapsed(() => (hands.wall += asleep)),
        asleep
      )
      assert.strictEqual(
        elapsed(() => pass(10)),
        10
      )
    }
    assert.strictEqual(timeline.jumps(), 4)
  })

  it("does not fall behind by what it was set back again and again, nor run ahead", () => {
    const { elapsed, hands, pass, timeline } = setup()
    timeline.now()
    const took = elapsed(() => {
      for (let i = 0; i < 100; i++) {
        hands.wall -= 500
        pass(10)
        timeline.now()
      }
    })
    assert.strictEqual(took, 1000)
    assert.strictEqual(timeline.jumps(), 0)
  })

  it("does not take a thread that was put aside between two readings for a jump", () => {
    const { elapsed, hands, pass, timeline } = setup()
    timeline.now()
    for (let i = 0; i < 100; i++) {
      // Nine milliseconds pass after the monotonic clock was read, and before the wall clock is.
      const took = elapsed(() => {
        hands.between = () => {
          hands.between = () => {}
          pass(9)
        }
      })
      assert.strictEqual(took, 9)
    }
    assert.strictEqual(timeline.jumps(), 0)
  })
})
