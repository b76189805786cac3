/** Schedules and elections: their judge, and a short form of what `evidence/fleet/main.ts --simulate` does for thousands of hours. */
import { afterEach, assert, describe, it } from "#harness/vitest"
import * as election from "../../evidence/fleet/election.js"
import * as schedules from "../../evidence/fleet/schedules.js"
import { judge, nothing, type Run, type Trouble } from "../../evidence/fleet/ticks.js"

const run = (began: number, more: Partial<Run> = {}): Run => ({
  schedule: "s",
  tick: 0,
  token: began,
  isAgain: false,
  p: "p1",
  began,
  ended: began + 10,
  how: "done",
  ...more
})
const killed: Trouble = { p: "p1", from: 1005, until: 1005 }

const violated = (
  runs: "atMostOnce" | "atLeastOnce",
  all: ReadonlyArray<Run>,
  troubles: ReadonlyArray<Trouble> = []
): ReadonlyArray<string> => {
  const into = nothing()
  judge({ schedule: "s", runs, reach: 100 }, 1000, all, troubles, into)
  return into.violations
}

describe("the judge of schedules", () => {
  it("finds nothing where each tick is run once", () => {
    assert.deepStrictEqual(violated("atMostOnce", [run(1001)]), [])
    assert.deepStrictEqual(violated("atLeastOnce", [run(1001)]), [])
  })

  it("a tick that nobody ran, unless its process died", () => {
    assert.match(violated("atMostOnce", [])[0]!, /nobody ran it/)
    assert.deepStrictEqual(violated("atMostOnce", [], [killed]), [])
  })

  it("a tick that was run twice", () => {
    const twice = [run(1001, { ended: undefined, how: undefined }), run(1050, { isAgain: true, p: "p2" })]
    assert.match(violated("atMostOnce", twice, [killed])[0]!, /was run 2 times/)
    assert.deepStrictEqual(violated("atLeastOnce", twice, [killed]), [])
    assert.match(violated("atLeastOnce", twice)[0]!, /nothing was done to its process/)
    assert.match(
      violated("atLeastOnce", [twice[0]!, { ...twice[1]!, isAgain: false }], [killed])[0]!,
      /begun again by who was not told/
    )
    assert.match(violated("atLeastOnce", [twice[0]!, { ...twice[1]!, token: 1 }], [killed])[0]!, /has the token 1/)
  })

  it("a run that did not end, and that nobody ran again", () => {
    const open = [run(1001, { ended: undefined, how: undefined })]
    assert.match(violated("atMostOnce", open)[0]!, /did not end/)
    assert.deepStrictEqual(violated("atMostOnce", open, [killed]), [])
    // Whether its process died, or was ended in order.
    for (const left of [open, [run(1001, { how: "interrupted" })]])
      assert.match(violated("atLeastOnce", left, [killed])[0]!, /nobody ran it to its end/)
  })
})

// A test runner that hears nothing for long gives up.
afterEach(() => new Promise<void>((resolve) => setTimeout(resolve)))

describe("schedules in virtual time", () => {
  for (const storage of ["versioned", "observed"] as const)
    it(`run each tick once, for hours, whatever becomes of their processes: ${storage}`, () => {
      const { ticks, troubles, violations } = schedules.simulate({ seed: 1, hours: 12, storage })
      assert.deepStrictEqual(violations, [])
      // It is no proof if nothing happens.
      assert.isAbove(ticks, 50)
      assert.isAbove(troubles, 10)
    })
})

describe("elections in virtual time", () => {
  it("one leads at a time, and another soon after a crash or an end", () => {
    const { terms, violations, writes } = election.simulate({ seed: 1, terms: 30, rough: false })
    assert.deepStrictEqual(violations, [])
    assert.isAbove(terms, 20)
    assert.isAbove(writes, 250)
  })

  it("one leads at a time, whatever goes wrong", () => {
    const { terms, violations } = election.simulate({ seed: 2, terms: 30, rough: true })
    assert.deepStrictEqual(violations, [])
    assert.isAbove(terms, 15)
  })
})
