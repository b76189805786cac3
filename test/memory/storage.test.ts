/** What the memory storage says of itself, when it gives hints, and what it drops. */
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type { LockRecord } from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"

const hold = (n: number) => String(n).padStart(22, "h")
const start = 1_700_000_000_000_000
const hour = 3_600_000_000
const mine = { lockId: "a", ownerId: "me", holdId: hold(1), lease: 1_000_000 }

const setup = Effect.gen(function* () {
  const clock = { now: start }
  return { clock, storage: yield* MemoryStorage.make({ time: Effect.sync(() => clock.now) }) }
})

describe("its guarantees", () => {
  it.effect("are those of a storage whose clock is the program's", () =>
    Effect.gen(function* () {
      const guarantees = {
        name: "MemoryStorage",
        clock: "storage",
        time: "program",
        leaseGranularity: 1_000,
        shortestLease: 1_000,
        longestId: 1_020
      }
      const { storage } = yield* setup
      assert.deepStrictEqual(storage.guarantees, guarantees as Storage.Guarantees)
      assert.deepStrictEqual((yield* MemoryStorage.makeVersioned()).guarantees, {
        ...guarantees,
        name: "MemoryStorage.versioned"
      } as never)
    })
  )

  it.effect("have the grain that is given, in whole microseconds and never finer", () =>
    Effect.gen(function* () {
      for (const [leaseGranularity, grain] of [
        [undefined, 1_000],
        ["1 second", 1_000_000],
        ["0.0015 millis", 2],
        [0, 1]
      ] as const) {
        const options = { leaseGranularity: leaseGranularity as "1 second" }
        assert.strictEqual((yield* MemoryStorage.make(options)).guarantees.leaseGranularity, grain)
        assert.strictEqual((yield* MemoryStorage.makeVersioned(options)).guarantees.leaseGranularity, grain)
        assert.strictEqual(
          (yield* MemoryStorage.makeVersioned({ ...options, time: "none" })).guarantees.leaseGranularity,
          leaseGranularity === undefined ? 1 : grain
        )
      }
    })
  )
})

it.effect("its time is that of the context, in microseconds, or what is given", () =>
  Effect.gen(function* () {
    yield* TestClock.adjust("7 seconds")
    const storage = yield* MemoryStorage.make()
    const claimed = yield* storage.claim(mine)
    assert.strictEqual(claimed._tag === "Claimed" && claimed.record.lockBeginTime, 7_000_000)
    assert.strictEqual(yield* (yield* MemoryStorage.makeVersioned()).time!, 7_000_000)
    assert.strictEqual(yield* (yield* MemoryStorage.makeVersioned({ time: Effect.succeed(5) })).time!, 5)
    assert.isUndefined((yield* MemoryStorage.makeVersioned({ time: "none" })).time)
  })
)

it.effect("it hints at a lock when its last hold is given back or revoked, and not before", () =>
  Effect.gen(function* () {
    const { storage } = yield* setup
    const hints = yield* Effect.forkChild(Stream.runCollect(Stream.take(storage.wakeUps, 3)))
    yield* Effect.repeat(Effect.yieldNow, { times: 20 })
    const claimed = yield* storage.claim(mine)
    yield* storage.claim({ ...mine, holdId: hold(2) })
    yield* storage.release({ lockId: "nobody's", holdId: hold(1) })
    assert.deepStrictEqual(yield* storage.release(mine), { _tag: "Released", remaining: 1 })
    yield* storage.claim({ ...mine, lockId: "b" })
    yield* storage.release({ lockId: "b", holdId: hold(1) })
    yield* storage.release({ lockId: "a", holdId: hold(2) })
    const token = claimed._tag === "Claimed" ? claimed.record.token : 0
    yield* storage.revoke({ lockId: "a", token, when: "now" })
    assert.deepStrictEqual(Array.from(yield* Fiber.join(hints)), ["b", "a", "a"])
  })
)

it.effect("it renews what is held, each for itself", () =>
  Effect.gen(function* () {
    const { clock, storage } = yield* setup
    yield* storage.claim(mine)
    clock.now = start + 500_000
    assert.deepStrictEqual(yield* storage.renew([mine, { ...mine, lockId: "never" }]), [
      { _tag: "Renewed", leaseExpireTime: start + 1_500_000, validFor: 1_000_000 },
      { _tag: "NotHeld" }
    ])
    // What was never there is not there now.
    assert.lengthOf(Array.from(yield* Stream.runCollect(storage.list)), 1)
    assert.strictEqual(yield* storage.purge("1 hour"), 0)
  })
)

it.effect("it shows what is live, and for how long", () =>
  Effect.gen(function* () {
    const { clock, storage } = yield* setup
    yield* storage.claim(mine)
    yield* storage.claim({ ...mine, lockId: "b", lease: 2_000_000 })
    clock.now = start + 400_000
    const seen = Option.getOrThrow(yield* storage.get("a"))
    assert.deepStrictEqual([seen.record.lockId, seen.validFor], ["a", 600_000])
    clock.now = start + 1_000_000
    assert.isTrue(Option.isNone(yield* storage.get("a")))
    assert.isTrue(Option.isNone(yield* storage.get("never")))
    assert.deepStrictEqual(
      Array.from(yield* Stream.runCollect(storage.list), ({ record, validFor }) => [record.lockId, validFor]),
      [["b", 1_000_000]]
    )
  })
)

it.effect("it drops what ended longer ago than is asked, and tells how many", () =>
  Effect.gen(function* () {
    const { clock, storage } = yield* setup
    yield* storage.claim(mine)
    yield* storage.claim({ ...mine, lockId: "b", lease: 2_000_000 })
    clock.now = start + 1_000_000 + hour
    assert.strictEqual(yield* storage.purge("1 hour"), 0)
    clock.now++
    assert.strictEqual(yield* storage.purge("1 hour"), 1)
    assert.strictEqual(yield* storage.purge("1 hour"), 0)
    // Whatever is asked, what was free for less than an hour stays.
    assert.strictEqual(yield* storage.purge("1 second"), 0)
    clock.now = start + 3 * hour
    assert.strictEqual(yield* storage.purge("1 hour"), 1)
  })
)

describe("the store", () => {
  const record: LockRecord = {
    lockId: "a",
    kind: "exclusive",
    format: 1,
    ownerId: "me",
    holds: [hold(1)],
    token: 1,
    version: 3,
    lockBeginTime: start,
    leaseExpireTime: start + 1,
    data: ""
  }

  it.effect("writes only over the version that is expected", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStorage.makeVersioned()
      const missed = (self: Effect.Effect<void, unknown>) => Effect.flip(self)
      const miss = new VersionedStore.VersionMiss({ lockId: "a" })
      assert.deepStrictEqual(yield* missed(store.update("a", 3, record)), miss)
      assert.deepStrictEqual(yield* missed(store.delete("a", 3)), miss)
      yield* store.create("a", 3, record)
      assert.deepStrictEqual(yield* missed(store.create("a", 3, record)), miss)
      assert.deepStrictEqual(yield* missed(store.update("a", 2, record)), miss)
      yield* store.update("a", 3, { ...record, version: 4 })
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).version, 4)
      assert.lengthOf(Array.from(yield* Stream.runCollect(store.list)), 1)
      yield* missed(store.delete("a", 3))
      yield* store.delete("a", 4)
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.lengthOf(Array.from(yield* Stream.runCollect(store.list)), 0)
    })
  )
})

it.effect("each build of a layer is a storage of its own", () =>
  Effect.gen(function* () {
    const build = Effect.map(Layer.build(MemoryStorage.layer), (context) => Context.get(context, Storage.Storage))
    const [one, other] = [yield* build, yield* build]
    yield* one.claim(mine)
    assert.isTrue(Option.isSome(yield* one.get("a")))
    assert.isTrue(Option.isNone(yield* other.get("a")))
    const store = Context.get(yield* Layer.build(MemoryStorage.layerVersioned), VersionedStore.VersionedStore)
    assert.isTrue(Option.isNone(yield* store.get("a")))
  })
)
