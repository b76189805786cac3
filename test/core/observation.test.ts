/** Observed expiry: how much of it is remembered, and from when on it is counted. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as TestClock from "#harness/testing/TestClock"
import * as Observation from "../../src/common/observation.js"
import type { LockRecord } from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as VersionedStore from "../../src/VersionedStore.js"

const second = 1_000_000

const recordOf = (n: number, version = 1): LockRecord =>
  ({
    lockId: `lock ${n}`,
    version,
    token: version,
    holds: ["h"],
    ownerId: "dead",
    lockBeginTime: 0,
    leaseExpireTime: 30 * second
  }) as unknown as LockRecord

describe("what was observed", () => {
  it("of 25 000 locks that are asked for again and again, each is free to take once its lease has passed", () => {
    const observed = Observation.make()
    const ask = (at: number) => {
      let expired = 0
      for (let n = 0; n < 25_000; n++) if (observed.left(recordOf(n), at + n) <= 0) expired++
      return expired
    }
    for (let at = 0; at < 30 * second; at += 5 * second) assert.strictEqual(ask(at), 0)
    assert.strictEqual(ask(30 * second), 25_000)
  })

  it("is forgotten where nobody comes back, and not piled up by reports", () => {
    const observed = Observation.make()
    for (let n = 0; n < 200_000; n++) observed.left(recordOf(n), n * second)
    assert.isAtMost(observed.size(), 10_001)
    const report = Observation.make()
    for (let n = 0; n < 50_000; n++) report.estimate(recordOf(n), n, 0)
    assert.isAtMost(report.size(), 10_000)
    // Who waits for one is served all the same.
    assert.isAbove(report.left(recordOf(49_999), second), 0)
    assert.isAtMost(report.left(recordOf(49_999), 31 * second), 0)
  })

  it("a report does not restart it, and a renewal does", () => {
    const observed = Observation.make()
    observed.left(recordOf(1), 0)
    observed.estimate(recordOf(1), 20 * second, 0)
    assert.isAtMost(observed.left(recordOf(1), 30 * second), 0)
    observed.estimate(recordOf(1, 2), 31 * second, 0)
    assert.strictEqual(observed.left(recordOf(1, 2), 60 * second), second)
  })
})

describe("a read that takes its time", () => {
  const claim = (holdId: string) => ({
    lockId: "x",
    ownerId: holdId,
    holdId: holdId.padEnd(22, "h"),
    lease: 10 * second
  })

  for (const slow of ["request", "reply"] as const) {
    it.effect(`is counted from its reply: a slow ${slow} lets nobody in early`, () =>
      Effect.gen(function* () {
        const store = yield* MemoryStorage.makeVersioned({ time: "none" })
        const holder = VersionedStore.toStorage(store)
        let delay = 9
        // Another process, on its way to the store or back from it.
        const waiter = VersionedStore.toStorage({
          ...store,
          get: (lockId) => {
            const wait = Effect.suspend(() => Effect.sleep(`${delay} seconds`))
            return slow === "request" ? Effect.andThen(wait, store.get(lockId)) : Effect.tap(store.get(lockId), wait)
          }
        })
        if (slow === "reply") yield* holder.claim(claim("a"))
        const first = yield* Effect.forkChild(waiter.claim(claim("b")))
        yield* TestClock.adjust("8 seconds")
        // The lock is taken, or renewed, while the read is under way: its lease ends 18 seconds after the read was asked for.
        if (slow === "request") yield* holder.claim(claim("a"))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(first))._tag, "Held")
        delay = 0
        yield* TestClock.adjust("2 seconds")
        // Eleven seconds after the request, and two after the reply.
        assert.strictEqual((yield* waiter.claim(claim("b")))._tag, "Held")
        yield* TestClock.adjust("7 seconds")
        assert.strictEqual((yield* waiter.claim(claim("b")))._tag, "Held")
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* waiter.claim(claim("b")))._tag, "Claimed")
      })
    )
  }
})
