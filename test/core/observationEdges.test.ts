/** What is kept of observed locks, at its edges: how much, for how long, and of whom. */
import { assert, describe, it } from "#harness/vitest"
import { make } from "../../src/common/observation.js"
import type { LockRecord } from "../../src/LockRecord.js"

const record = (lockId: string, more?: Partial<LockRecord>) =>
  ({ lockId, holds: ["h"], token: 1, version: 1, leaseExpireTime: 1_000, ...more }) as LockRecord

const capacity = 10_000
const tenMinutes = 600_000_000

describe("an observation", () => {
  it("begins with each version; how long a holder has had the lock, with its token", () => {
    const seen = make()
    const began = (at: number, more: Partial<LockRecord>) =>
      seen.estimate(record("a", more), at, 5_000).record.lockBeginTime
    assert.strictEqual(began(0, {}), 5_000)
    assert.strictEqual(began(10, { version: 2 }), 4_990)
    assert.strictEqual(began(20, { version: 3, token: 2 }), 5_000)
    assert.strictEqual(seen.left(record("a", { version: 3 }), 30), 990)
    assert.strictEqual(seen.left(record("a", { version: 4 }), 30), 1_000)
  })

  it("of a free lock is not kept", () => {
    const seen = make()
    seen.left(record("a"), 0)
    assert.strictEqual(seen.size(), 1)
    seen.left(record("a", { version: 2, holds: [] }), 0)
    assert.strictEqual(seen.size(), 0)
  })
})

describe("more than ten thousand", () => {
  const full = () => {
    const seen = make()
    for (let i = 0; i < capacity; i++) seen.left(record(`${i}`), i)
    return seen
  }

  it("are kept if they were asked for within ten minutes; then the one that was asked for longest ago goes", () => {
    const seen = full()
    seen.left(record("more"), tenMinutes)
    assert.strictEqual(seen.size(), capacity + 1)
    seen.left(record("more"), tenMinutes + 1)
    assert.strictEqual(seen.size(), capacity)
    assert.strictEqual(seen.left(record("1"), tenMinutes + 1), 1_000 - tenMinutes, "the second is still there")
    assert.strictEqual(seen.left(record("0"), tenMinutes + 1), 1_000, "the first starts over")
  })

  it("and up to ten thousand, however long ago", () => {
    const seen = make()
    for (let i = 0; i < capacity - 1; i++) seen.left(record(`${i}`), 0)
    seen.left(record("last"), 10 * tenMinutes)
    assert.strictEqual(seen.size(), capacity)
  })

  it("are not reached by reports, which add to fewer, and renew nobody's claim to be kept", () => {
    const seen = full()
    seen.estimate(record("more"), capacity, 0)
    assert.strictEqual(seen.size(), capacity)
    assert.strictEqual(seen.estimate(record("5", { version: 2 }), capacity, 0).left, 1_000)
    assert.strictEqual(seen.size(), capacity, "what is known already is kept")
    seen.estimate(record("0"), tenMinutes + 1, 0)
    seen.left(record("other"), tenMinutes + 1)
    assert.strictEqual(seen.left(record("0"), tenMinutes + 1), 1_000)
    const few = make()
    few.estimate(record("a"), 0, 0)
    assert.strictEqual(few.size(), 1)
  })
})
