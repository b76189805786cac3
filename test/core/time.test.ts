/** What time it is, and by whose clock. */
import { assert, describe, it } from "#harness/vitest"
import type * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import { live, withClock } from "#effect/clocks"
import { forStorage, inRealTime, isMovedByHand, isReal } from "../../src/common/clocks.js"
import { monotonicMicros, wallMicros } from "../../src/common/time.js"
import type { Guarantees } from "../../src/Storage.js"
import * as HandClock from "../support/handClock.js"
import * as Logged from "../support/logged.js"

const own = Effect.clockWith((clock) => Effect.succeed(clock))

it.effect("the clocks of the context are read in whole microseconds", () =>
  Effect.gen(function* () {
    const clock = yield* HandClock.make({ wall: 1_700_000_000_000.2507, monotonic: 12 })
    assert.strictEqual(yield* withClock(wallMicros, clock), 1_700_000_000_000_250)
    assert.strictEqual(yield* withClock(monotonicMicros, clock), 12_000)
  })
)

describe("a clock", () => {
  it.effect("is real if it is Effect's own, and is moved by hand if it is a test's", () =>
    Effect.gen(function* () {
      const test = yield* own
      assert.isTrue(isReal(live))
      assert.isFalse(isReal(test))
      assert.isTrue(isMovedByHand(test))
      assert.isFalse(isMovedByHand(live))
      assert.isFalse(isMovedByHand({ ...live, adjust: 1 } as never))
    })
  )

  it.effect("of what waits for a server is the real one", () =>
    Effect.gen(function* () {
      const test = yield* own
      assert.isTrue(isReal(yield* inRealTime(own)))
      assert.strictEqual(yield* own, test)
      // One of the same kind stays.
      const other = Object.create(Object.getPrototypeOf(live) as object) as Clock.Clock
      assert.strictEqual(yield* withClock(inRealTime(own), other), other)
    })
  )
})

const guarantees: Guarantees = {
  name: "Test",
  clock: "storage",
  leaseGranularity: 1,
  shortestLease: 1,
  longestId: 255
}

describe("a layer lives", () => {
  const chosen = (time: Guarantees["time"]) =>
    Logged.heard((lines) =>
      Effect.map(forStorage({ ...guarantees, time }), (clock) => ({
        clock,
        lines: Logged.at(lines, "Warning").map(({ message }) => message)
      }))
    )

  it.effect("by the program's clock over a storage that does, in silence", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* chosen("program"), { clock: yield* own, lines: [] })
    })
  )

  it.effect("by the real clock over one whose leases end in real time, and warns where the program's is another", () =>
    Effect.gen(function* () {
      const { clock, lines } = yield* chosen("real")
      assert.isTrue(isReal(clock))
      assert.lengthOf(lines, 1)
      assert.match(
        lines[0]!,
        /^effect-storage-lock: the `Clock` in the context is not the real one .*leases in Test end in real time: locks go by the real clock.*`it\.live`$/
      )
      assert.deepStrictEqual((yield* withClock(chosen("real"), live)).lines, [])
    })
  )

  it.effect("by the program's clock over one that does not say, with a warning", () =>
    Effect.gen(function* () {
      const { clock, lines } = yield* chosen(undefined)
      assert.strictEqual(clock, yield* own)
      assert.lengthOf(lines, 1)
      assert.match(
        lines[0]!,
        /is not the real one .*Test does not say whether its leases go by it .*may believe in a lock that is over$/
      )
      assert.deepStrictEqual((yield* withClock(chosen(undefined), live)).lines, [])
    })
  )
})
