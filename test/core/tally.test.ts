import { assert, describe, it } from "#harness/vitest"
import { Tally } from "../../src/core/tally.js"

describe("Tally", () => {
  it("counts as a map of counts does, whoever comes and goes", () => {
    const names = ["a", "b", "c"]
    let seed = 1
    const next = (below: number) => (seed = (seed * 48271) % 2147483647) % below
    for (let run = 0; run < 50; run++) {
      const tally = new Tally()
      const expected = new Map<string, number>()
      for (let step = 0; step < 30; step++) {
        const name = names[next(3)]!
        const times = expected.get(name) ?? 0
        if (next(2) === 0) {
          tally.add(name)
          expected.set(name, times + 1)
        } else {
          tally.remove(name)
          if (times > 1) expected.set(name, times - 1)
          else expected.delete(name)
        }
        assert.strictEqual(tally.size, expected.size)
        for (const each of names) assert.strictEqual(tally.of(each), expected.get(each) ?? 0)
      }
    }
  })
})
