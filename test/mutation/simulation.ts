/** A few schedules of the simulation, for mutants: those that a single schedule in a hundred shows are found here, the rest by `npm run simulate`. */
import { assert, describe, it } from "#harness/vitest"
import { generate } from "../../evidence/simulate/plan.js"
import { run } from "../../evidence/simulate/run.js"

describe("for mutants", () => {
  for (let from = 1; from <= 121; from += 30) {
    it(`the schedules from ${from} on keep every promise`, () => {
      for (let seed = from; seed < from + 30; seed++) {
        const [first] = run(generate(seed)).violations
        assert.isUndefined(first, first === undefined ? "" : `seed ${seed}: ${first.property}: ${first.message}`)
      }
    })
  }
})
