/** Delays of which each is a part, drawn by itself. */
import { assert, it } from "#harness/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import * as Schedule from "#effect/Schedule"
import { always } from "#harness/chance"
import { jitter } from "../../src/common/jitter.js"
import { run } from "../support/virtualTime.js"

for (const [least, most, at, part] of [
  [0.5, 1.5, 0.25, 0.75],
  [0.5, 1.5, 0.75, 1.25],
  [0.2, 1.8, 0.5, 1]
] as const)
  it.live(`a delay between ${least} and ${most} of what it was is ${part} of it, if the dice say so`, () =>
    run(
      Effect.gen(function* () {
        const began = yield* Clock.currentTimeMillis
        const times: Array<number> = []
        const note = Effect.map(Clock.currentTimeMillis, (now) => void times.push(Math.round(now - began)))
        yield* Effect.repeat(
          note,
          Schedule.max([Schedule.spaced("400 millis"), Schedule.recurs(3)]).pipe(jitter(least, most))
        )
        assert.deepStrictEqual(
          times,
          [0, 1, 2, 3].map((turn) => 400 * part * turn)
        )
      })
    ).pipe(always(at))
  )
