/** The course of somebody else's time: nothing of it is believed that its readings do not say. */
import { assert, describe, it } from "#harness/vitest"
import * as fc from "fast-check"
import * as course from "../../src/common/course.js"

const second = 1_000_000
const base = 1_700_000_000 * second
const settings: course.Settings = { grain: 1_000, accuracy: 0, tolerance: 250_000, steadyFor: 60 * second }

/** At this moment of the monotonic clock, answered after so long, by a clock that is off by so much. */
const reading = (at: number, off = 0, trip = 2_000): course.Reading => ({
  value: base + at + off,
  sent: at - trip / 2,
  answered: at + trip / 2
})

const on = (...readings: ReadonlyArray<course.Reading>) => {
  const known = course.make(settings)
  const left = readings.map(known.take)
  return { known, left }
}

describe("a course", () => {
  it("is between what the first reading says, and widens by a thousandth of the time that passes", () => {
    const { known } = on(reading(10 * second))
    const { earliest, latest } = known.at(10 * second + 1_000)!
    // Of the two milliseconds that it took as well.
    assert.deepStrictEqual([earliest - base, latest - base], [10 * second - 2, 10 * second + 3_002])
    const later = known.at(20 * second + 1_000)!
    assert.deepStrictEqual([later.earliest - base, later.latest - base], [20 * second - 10_002, 20 * second + 13_002])
  })

  it("counts the grain and the accuracy", () => {
    const known = course.make({ ...settings, grain: second, accuracy: 5_000 })
    known.take(reading(10 * second, 0, 0))
    const { earliest, latest } = known.at(10 * second)!
    assert.deepStrictEqual([earliest - base, latest - base], [10 * second - 5_000, 11 * second + 5_000])
  })

  for (const way of [1, -1]) {
    const said = way > 0 ? "ahead" : "back"

    it(`is left by whoever goes ${said} by more than the tolerance, who is told by how much`, () => {
      const { known, left } = on(reading(second), reading(2 * second, way * 5 * second))
      assert.strictEqual(left[0], 0)
      assert.approximately(left[1]!, way * 5 * second, 10_000)
      assert.isUndefined(known.at(2 * second))
    })

    it(`is not left by a step ${said} within the tolerance, and nobody is let in by more than that`, () => {
      const { known, left } = on(reading(second), reading(2 * second, way * 200_000))
      assert.deepStrictEqual(left, [0, 0])
      const { earliest, latest } = known.at(2 * second + 1_000)!
      // What the provider says is within.
      assert.isAtMost(earliest - base, 2 * second + way * 200_000)
      assert.isAtLeast(latest - base, 2 * second + way * 200_000)
    })

    it(`is left by whoever runs too ${way > 0 ? "fast" : "slow"}, in whatever small steps`, () => {
      const known = course.make(settings)
      let refused = 0
      // A tenth wrong, asked ten times in a second.
      for (let at = second; at < 10 * second && refused === 0; at += second / 10)
        if (known.take(reading(at, (way * (at - second)) / 10)) !== 0) refused = at
      assert.isAbove(refused, 0)
      assert.isBelow(refused, 5 * second)
    })

    it(`that was left by going ${said} is followed again once it was kept for long enough`, () => {
      const { known, left } = on(
        reading(second),
        reading(2 * second, way * 5 * second),
        reading(30 * second, way * 5 * second),
        reading(61 * second, way * 5 * second),
        reading(63 * second, way * 5 * second)
      )
      assert.deepStrictEqual(
        left.map((by) => by === 0),
        [true, false, false, false, true]
      )
      assert.approximately(known.at(63 * second)!.earliest - base, 63 * second + way * 5 * second, 10_000)
    })
  }

  it("that comes back is believed at once", () => {
    const { left } = on(reading(second), reading(2 * second, 5 * second), reading(3 * second))
    assert.deepStrictEqual(
      left.map((by) => by === 0),
      [true, false, true]
    )
  })

  it("of a clock that is not exact is not left now and then for ever", () => {
    const known = course.make({ ...settings, grain: second })
    const cut = (at: number, off: number) => ({
      value: base + Math.floor((at + off) / second) * second,
      sent: at,
      answered: at
    })
    let at = second
    for (; at < 20 * second; at += 70_000) assert.strictEqual(known.take(cut(at, 0)), 0)
    // By less than a second, which some readings show, and some do not.
    let refused = 0
    let last = 0
    for (const began = at; at < began + 300 * second; at += 70_000)
      if (known.take(cut(at, 600_000)) !== 0) {
        refused++
        last = at - began
      }
    assert.isAbove(refused, 10)
    assert.isBelow(last, settings.steadyFor + second)
  })

  it("that leaves again and again is never believed", () => {
    const known = course.make(settings)
    known.take(reading(second))
    for (let n = 2; n < 200; n++) assert.notStrictEqual(known.take(reading(n * second, n * second)), 0, `${n}`)
  })

  it("is never left by readings that are slow to come, however slow", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            pause: fc.integer({ min: 0, max: 100 * second }),
            there: fc.integer({ min: 0, max: 30 * second }),
            back: fc.integer({ min: 0, max: 30 * second })
          }),
          { maxLength: 20 }
        ),
        fc.integer({ min: 1, max: second }),
        fc.double({ min: -9e-4, max: 9e-4, noNaN: true }),
        (all, grain, drift) => {
          const known = course.make({ ...settings, grain })
          let at = second
          for (const { back, pause, there } of all) {
            const sent = at + pause
            const sampled = sent + there
            at = sampled + back
            const truth = base + sampled * (1 + drift)
            assert.strictEqual(known.take({ value: Math.floor(truth / grain) * grain, sent, answered: at }), 0)
            // And the truth is between what is told.
            const { earliest, latest } = known.at(at)!
            const now = base + at * (1 + drift)
            assert.isAtMost(earliest, now + 1)
            assert.isAtLeast(latest, now - 1)
          }
        }
      ),
      { numRuns: 1_000 }
    )
  })

  it("never judges by more than the tolerance, and what its readings left open, ahead of where it was", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            pause: fc.integer({ min: 1_000, max: 5 * second }),
            step: fc.integer({ min: -2 * second, max: 2 * second }),
            trip: fc.integer({ min: 0, max: 20_000 })
          }),
          { maxLength: 30 }
        ),
        (all) => {
          const known = course.make(settings)
          let at = second
          let off = 0
          known.take(reading(at, 0, 0))
          for (const { pause, step, trip } of all) {
            at += pause
            off += step
            const answered = at + trip
            known.take({ value: base + at + off, sent: at, answered })
            at = answered
            // A minute of steadiness is not reached within one pause after each step.
            const told = known.at(at)
            if (told === undefined) continue
            assert.isAtMost(told.earliest - base - at, settings.tolerance + 1_000 + 20_000 + at * course.rate * 2)
            // Whatever it is, the provider's own word is within.
            assert.isAtMost(told.earliest, base + at + off)
            assert.isAtLeast(told.latest, base + at - trip + off)
          }
        }
      )
    )
  })
})
