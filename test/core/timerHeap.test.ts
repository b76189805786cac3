/** The order of timers, beside the simplest that there is: a list that is sorted. */
import { assert, describe, it } from "#harness/vitest"
import * as FastCheck from "fast-check"
import { Entry, TimerHeap } from "../../src/core/timerHeap.js"

const action = FastCheck.oneof(
  FastCheck.record({ do: FastCheck.constant("set" as const), due: FastCheck.nat(50) }),
  FastCheck.record({ do: FastCheck.constant("move" as const), which: FastCheck.nat(200), due: FastCheck.nat(50) }),
  FastCheck.record({ do: FastCheck.constant("cancel" as const), which: FastCheck.nat(200) }),
  FastCheck.record({ do: FastCheck.constant("ring" as const) })
)

describe("the timers' heap", () => {
  it("has the soonest first, whatever is set, moved, cancelled, or called", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(action, { maxLength: 300 }), (actions) => {
        const told: Array<number> = []
        const heap = new TimerHeap((due) => told.push(due))
        const made: Array<Entry> = []
        const live = new Map<Entry, number>()
        const dues: Array<number> = []
        for (const one of actions) {
          const entry = "which" in one ? made[one.which % Math.max(1, made.length)] : undefined
          if (one.do === "set") {
            const fresh = new Entry(one.due, () => {}, undefined, heap)
            made.push(fresh)
            heap.put(fresh)
            live.set(fresh, one.due)
            dues.push(one.due)
          } else if (one.do === "move" && entry !== undefined) {
            entry.move(one.due)
            live.set(entry, one.due)
            dues.push(one.due)
          } else if (one.do === "cancel" && entry !== undefined) {
            entry.cancel()
            live.delete(entry)
          } else if (one.do === "ring" && heap.first !== undefined) {
            const { first } = heap
            heap.delete(first)
            live.delete(first)
          }
          assert.strictEqual(heap.size, live.size)
          const soonest = live.size === 0 ? undefined : Math.min(...live.values())
          assert.strictEqual(heap.first?.due, soonest)
          if (heap.first !== undefined) assert.isTrue(live.has(heap.first))
        }
        assert.deepStrictEqual(told, dues)
      })
    )
  })

  it("calls with its subject, and one that is over can be set again", () => {
    const rung: Array<string> = []
    const heap = new TimerHeap(() => {})
    const entry = new Entry(1, (name: string) => rung.push(name), "one", heap)
    entry.cancel()
    assert.strictEqual(heap.size, 0)
    entry.move(2)
    entry.ring()
    assert.deepStrictEqual([heap.size, heap.first?.due, rung], [1, 2, ["one"]])
    entry.cancel()
    entry.cancel()
    assert.strictEqual(heap.size, 0)
  })
})
