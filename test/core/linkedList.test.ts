/** The list of those who wait, and the two clocks of a process, at their edges. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as clocks from "#effect/clocks"
import { LinkedList } from "../../src/core/linkedList.js"
import * as Timeline from "../../src/core/timeline.js"

class Item {
  before: this | undefined
  after: this | undefined
  constructor(readonly name: string) {}
}

describe("a linked list", () => {
  const setup = () => {
    const list = new LinkedList<Item>()
    const [a, b, c] = ["a", "b", "c"].map((name) => new Item(name)) as [Item, Item, Item]
    for (const item of [a, b, c]) list.add(item)
    const names = () => {
      const all: Array<string> = []
      for (let item = list.first; item !== undefined; item = item.after) all.push(item.name)
      return [...all, list.size]
    }
    return { list, a, b, c, names }
  }

  it("keeps each once, in the order in which they came", () => {
    const { a, b, c, names, list } = setup()
    for (const item of [a, b, c]) list.add(item)
    assert.deepStrictEqual(names(), ["a", "b", "c", 3])
    assert.deepStrictEqual(
      [a, b, c, new Item("d")].map((item) => list.has(item)),
      [true, true, true, false]
    )
  })

  it("lets go of the first, the last and any other, once", () => {
    const { a, b, c, names, list } = setup()
    list.delete(b)
    list.delete(b)
    assert.deepStrictEqual(names(), ["a", "c", 2])
    list.delete(c)
    list.add(b)
    assert.deepStrictEqual(names(), ["a", "b", 2])
    list.delete(a)
    list.delete(new Item("never in it"))
    assert.deepStrictEqual(names(), ["b", 1])
    list.delete(b)
    assert.deepStrictEqual(names(), [0])
    list.add(c)
    assert.deepStrictEqual(names(), ["c", 1])
  })
})

describe("the two clocks of a process", () => {
  const setup = () => {
    const hands = { monotonic: 5_000, wall: 1_000_000, reads: 0 }
    const timeline = Timeline.make(
      clocks.make({
        monotonicNanos: () => BigInt(hands.monotonic) * 1_000_000n,
        wallMillis: () => {
          hands.reads++
          return hands.wall
        },
        sleep: () => Effect.never
      })
    )
    timeline.now()
    const reads = () => {
      hands.reads = 0
      timeline.now()
      return hands.reads
    }
    return { hands, timeline, reads }
  }

  it("are read once, unless one seems to have jumped: then twice more", () => {
    const { hands, reads, timeline } = setup()
    assert.strictEqual(reads(), 1)
    hands.wall += 1
    assert.strictEqual(reads(), 1)
    hands.wall += 1
    assert.strictEqual(reads(), 1)
    assert.strictEqual(timeline.jumps(), 0)
    hands.wall += 1
    assert.strictEqual(reads(), 3)
    assert.strictEqual(timeline.jumps(), 1)
  })

  it("may differ by two milliseconds in all, however slowly they come to", () => {
    const { hands, timeline } = setup()
    const before = timeline.now()
    for (let i = 0; i < 2; i++) {
      hands.wall += 1
      assert.strictEqual(timeline.now(), before)
    }
    hands.wall += 1
    assert.strictEqual(timeline.now(), before + 3)
  })
})
