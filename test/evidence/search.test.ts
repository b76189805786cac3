/** Every state of a few small worlds is visited and keeps its promises; and the same search finds what is broken on purpose. */
import { describe, expect, it } from "#harness/vitest"
import { small } from "../../evidence/search/bounds.js"
import { subject } from "../../evidence/search/model.js"
import { moveNames } from "../../evidence/search/moves.js"
import { type Mutant, mutants } from "../../evidence/search/mutants.js"
import { type Fate, hunting, story, tableOfMutants, tableOfResults } from "../../evidence/search/report.js"
import { type Result, searching } from "../../evidence/search/search.js"

/** With a breath between the steps: a test runner that hears nothing of a worker for a minute gives it up. */
const calmly = async <A>(steps: Generator<void, A>): Promise<A> => {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe("every state that can be reached, of small worlds", () => {
  const results: Array<Result> = []
  for (const bound of small) {
    it(`keeps the promises of the lock: ${bound.name}`, async () => {
      const result = await calmly(searching(bound, { subject }))
      results.push(result)
      if (result.violation !== undefined) expect.fail(`a promise is broken, by these moves:\n${story(result)}`)
      expect(result.complete, `${bound.name}: the search ended before it had seen every state`).toBe(true)
    })
  }

  it("every kind of move was made", () => {
    const made = new Set(results.flatMap((result) => Array.from(result.moves.keys())))
    expect(moveNames.filter((move) => !made.has(move))).toEqual([])
    console.log(tableOfResults(results))
  })
})

describe("mutants of the record and of its clients", () => {
  const fates: Array<Fate> = []
  const run = async (mutant: Mutant) => {
    const fate = await calmly(hunting(mutant, small))
    fates.push(fate)
    return fate
  }

  for (const mutant of mutants.filter(({ harmless }) => harmless === undefined)) {
    it(`is found: ${mutant.name}`, async () => {
      const { found } = await run(mutant)
      expect(found?.violation?.path.length ?? 0, `no world shows it: ${mutant.name}`).toBeGreaterThan(0)
    })
  }

  for (const mutant of mutants.filter(({ harmless }) => harmless !== undefined)) {
    it(`does no harm: ${mutant.name}`, async () => {
      const { complete, found } = await run(mutant)
      if (found !== undefined) expect.fail(`it does harm after all, by these moves:\n${story(found)}`)
      expect(complete, "the search ended before it had seen every state").toBe(true)
    })
  }

  it("as a table", () => {
    expect(fates.length).toBe(mutants.length)
    console.log(tableOfMutants(fates))
  })
})
