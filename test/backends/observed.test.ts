/** The engine for stores of observed expiry: what it asks its store, request by request, and what it makes of each answer. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as clocks from "#effect/clocks"
import * as engine from "../../src/backends/shared/observed/engine.js"
import * as ports from "../../src/backends/shared/observed/ports.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Conformance from "../../src/testing/index.js"
import * as Memory from "../support/observedStore.js"
import { underClock } from "../support/underClock.js"

const id = (name: string) => name.padEnd(22, "x")
const lease = 10_000_000
const claim = (ownerId = "me", holdId = id(ownerId)) => ({ lockId: "a", ownerId, holdId, lease })
const hold = (ownerId = "me", lockId = "a") => ({ lockId, holdId: id(ownerId) })
const renewal = (ownerId = "me", lockId = "a") => ({ ...hold(ownerId, lockId), lease })

const guarantees = {
  name: "Test",
  clock: "observed",
  leaseGranularity: 1,
  shortestLease: 10_000,
  longestId: 1020
} as const satisfies Storage.Guarantees

const settings = { operationTimeout: 5_000, versionMissRetry: Schedule.recurs(3) }

const over = (store: Memory.MemoryStore, isForeign?: () => boolean) => {
  const core = engine.make(store, settings)
  const options = { guarantees, wakeUps: Stream.empty, ...(isForeign === undefined ? {} : { isForeign }) }
  return { core, storage: ports.storage(core, options), versioned: ports.versioned(core, options) }
}

/** Two processes over one store, by one clock that is moved. */
const setup = (takes = false) => {
  const hands = { now: 1_000_000_000 }
  const clock = clocks.make({
    wallMillis: () => hands.now / 1_000,
    monotonicNanos: () => BigInt(hands.now) * 1_000n,
    sleep: () => Effect.void
  })
  const on = <A, E>(self: Effect.Effect<A, E>) => clocks.withClock(self, clock)
  const store = Memory.make(takes)
  const wrap = (made: ReturnType<typeof over>) => ({
    ...made,
    claim: (request: LockRecord.Claim) => on(made.storage.claim(request)),
    renew: (...requests: ReadonlyArray<LockRecord.Renew>) => on(made.storage.renew(requests)),
    release: (request: LockRecord.Release) => on(made.storage.release(request)),
    get: on(made.storage.get("a")),
    on
  })
  return { hands, store, mine: wrap(over(store)), other: wrap(over(store)), late: wrap(over(store)), wrap }
}

const versionOf = (store: Memory.MemoryStore) => store.records.get("a")!.version

describe("a guess", () => {
  it.effect("that is right is one request: claim, nested claim, repeat, renewal, release", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      assert.strictEqual((yield* mine.claim(claim()))._tag, "Claimed")
      assert.deepStrictEqual(store.asked(), ["Write"])
      yield* mine.claim(claim("me", id("second")))
      yield* mine.claim(claim())
      yield* mine.renew(renewal())
      yield* mine.release(hold("second"))
      assert.deepStrictEqual(yield* mine.release(hold()), { _tag: "Released", remaining: 0 })
      assert.deepStrictEqual(store.asked(), ["Write", "Write", "Write", "Write", "Write"])
      assert.strictEqual(versionOf(store), 6)
    })
  )

  it.effect(
    "that is wrong is answered by the present record: one more request, and none if nothing is to be written",
    () =>
      Effect.gen(function* () {
        const { mine, other, store } = setup()
        yield* other.claim(claim("other"))
        store.asked()
        assert.strictEqual((yield* mine.claim(claim()))._tag, "Held")
        assert.deepStrictEqual(store.asked(), ["Write"])
        yield* other.release(hold("other"))
        yield* mine.claim(claim())
        yield* mine.release(hold())
        store.asked()
        const taken = yield* other.claim(claim("other"))
        assert.strictEqual(taken._tag === "Claimed" ? taken.record.token : 0, 3)
        assert.deepStrictEqual(store.asked(), ["Write", "Write"])
      })
  )

  it.effect("is never the ground of an answer that writes nothing", () =>
    Effect.gen(function* () {
      const { mine, other, store } = setup()
      yield* other.claim(claim("other"))
      yield* mine.claim(claim())
      store.asked()
      assert.strictEqual((yield* mine.claim(claim()))._tag, "Held")
      assert.deepStrictEqual(store.asked(), ["Read"])
      assert.deepStrictEqual((yield* mine.renew(renewal()))[0]!._tag, "NotHeld")
      assert.deepStrictEqual((yield* mine.release(hold()))._tag, "NotHeld")
      assert.deepStrictEqual(store.asked(), ["Read", "Read"])
      yield* other.release(hold("other"))
      store.asked()
      assert.strictEqual((yield* mine.claim(claim()))._tag, "Claimed")
      assert.deepStrictEqual(store.asked(), ["Read", "Write"])
    })
  )

  it.effect("that loses again and again ends with the schedule, and nothing was written", () =>
    Effect.gen(function* () {
      const { mine, other, store } = setup()
      yield* other.claim(claim("other"))
      const race = () => {
        const found = store.records.get("a")!
        store.records.set("a", { ...found, holds: [], version: found.version + 1 })
        store.meanwhile = race
      }
      race()
      const error = yield* Effect.flip(mine.claim(claim()))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Conflict", true, "no"])
      // The first one, what it was beaten on, and three more.
      assert.strictEqual(store.asked().filter((ask) => ask === "Write").length, 6)
    })
  )
})

describe("observed expiry", () => {
  for (const takes of [false, true]) {
    it.effect(
      `a lock is taken over once it was seen unchanged for its whole lease${takes ? ", by one request" : ""}`,
      () =>
        Effect.gen(function* () {
          const { hands, mine, other, store } = setup(takes)
          yield* other.claim(claim("other"))
          yield* mine.claim(claim())
          hands.now += lease - 1
          const held = yield* mine.claim(claim())
          assert.deepStrictEqual([held._tag, held._tag === "Held" ? held.retryAfter : 0], ["Held", 1])
          yield* other.renew(renewal("other"))
          hands.now += 1
          assert.strictEqual((yield* mine.claim(claim()))._tag, "Held")
          hands.now += lease
          store.asked()
          assert.strictEqual((yield* mine.claim(claim()))._tag, "Claimed")
          assert.deepStrictEqual(store.asked(), [takes ? "Take" : "Write"])
          assert.strictEqual((yield* other.renew(renewal("other")))[0]!._tag, "NotHeld")
        })
    )
  }

  it.effect("a record that was deleted by hand, and recreated at the same version, is observed from scratch", () =>
    Effect.gen(function* () {
      const { hands, late, mine, other, store } = setup()
      yield* other.claim(claim("other"))
      yield* mine.claim(claim())
      hands.now += lease - 1
      store.records.delete("a")
      yield* late.claim(claim("late"))
      assert.strictEqual(versionOf(store), 1)
      hands.now += 1
      const held = yield* mine.claim(claim())
      assert.strictEqual(held._tag === "Held" ? held.retryAfter : 0, lease)
    })
  )

  it.effect("a repeated claim writes a new version, before its lease is promised again", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      store.faults.push("lost")
      const error = yield* Effect.flip(mine.claim(claim()))
      assert.deepStrictEqual([error.reason, error.applied], ["Timeout", "unknown"])
      assert.strictEqual(versionOf(store), 1)
      const again = yield* mine.claim(claim())
      assert.strictEqual(again._tag === "Claimed" ? again.record.token : 0, 1)
      assert.strictEqual(versionOf(store), 2)
    })
  )
})

describe("a store that takes", () => {
  it.effect("is asked once for a lock of which nothing is known, and for one that was held when it was last seen", () =>
    Effect.gen(function* () {
      const { mine, other, store } = setup(true)
      for (let i = 0; i < 3; i++) {
        assert.strictEqual((yield* mine.claim(claim()))._tag, "Claimed")
        assert.strictEqual((yield* other.claim(claim("other")))._tag, "Held")
        assert.deepStrictEqual(store.asked(), ["Take", "Take"])
        yield* mine.release(hold())
        assert.strictEqual((yield* other.claim(claim("other")))._tag, "Claimed")
        yield* other.release(hold("other"))
        assert.deepStrictEqual(store.asked(), ["Write", "Take", "Write"])
      }
      assert.strictEqual(store.records.get("a")!.token, 6)
    })
  )

  it.effect("a nested hold, and a repeat, are written over what is there", () =>
    Effect.gen(function* () {
      const { late, mine, store } = setup(true)
      yield* mine.claim(claim())
      store.asked()
      yield* mine.claim(claim("me", id("second")))
      assert.deepStrictEqual(store.asked(), ["Write"])
      yield* late.claim(claim("me", id("third")))
      assert.deepStrictEqual(store.asked(), ["Take", "Write"])
      store.faults.push("lost")
      yield* Effect.flip(mine.claim(claim("me", id("fourth"))))
      yield* mine.claim(claim("me", id("fourth")))
      assert.deepStrictEqual(store.records.get("a")!.holds, [id("me"), id("second"), id("third"), id("fourth")])
    })
  )
})

describe("a write of which nobody knows whether it was applied", () => {
  it.effect("a claim is settled by a read and its hold id, at a new version", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      for (const [fault, version] of [
        ["unknown", 2],
        ["unknown, not applied", 1]
      ] as const) {
        store.records.clear()
        store.faults.push(fault)
        const claimed = yield* setup().wrap(over(store)).claim(claim())
        assert.deepStrictEqual([claimed._tag, versionOf(store)], ["Claimed", version])
        assert.deepStrictEqual(store.asked(), ["Write", "Read", "Write"])
      }
      assert.strictEqual((yield* mine.claim(claim("other")))._tag, "Held")
    })
  )

  it.effect("a renewal is written again: the same record may stand there since an earlier one", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      yield* mine.claim(claim())
      store.faults.push("unknown")
      assert.strictEqual((yield* mine.renew(renewal()))[0]!._tag, "Renewed")
      assert.strictEqual(versionOf(store), 3)
    })
  )

  it.effect("a release is settled by the read alone", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      yield* mine.claim(claim())
      store.asked()
      store.faults.push("unknown")
      assert.deepStrictEqual(yield* mine.release(hold()), { _tag: "Released", remaining: 0 })
      assert.deepStrictEqual(store.asked(), ["Write", "Read"])
      yield* mine.claim(claim())
      store.asked()
      store.faults.push("unknown, not applied")
      assert.deepStrictEqual(yield* mine.release(hold()), { _tag: "Released", remaining: 0 })
      assert.deepStrictEqual(store.asked(), ["Write", "Read", "Write"])
    })
  )

  it.effect("that was superseded is judged by what is there", () =>
    Effect.gen(function* () {
      const { mine, other, store } = setup()
      yield* other.claim(claim("other"))
      yield* other.release(hold("other"))
      yield* mine.get
      store.faults.push("unknown, not applied")
      store.meanwhile = () => {
        store.meanwhile = () => {
          const found = store.records.get("a")!
          store.records.set("a", { ...found, ownerId: "third", holds: [id("third")], token: 9, version: 9 })
        }
      }
      const held = yield* mine.claim(claim())
      assert.deepStrictEqual([held._tag, held._tag === "Held" ? held.holder?.ownerId : ""], ["Held", "third"])
      store.faults.push("unknown, not applied")
      assert.strictEqual((yield* mine.release(hold()))._tag, "NotHeld")
    })
  )

  it.effect("of the smaller port is for its user to settle", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      yield* mine.claim(claim())
      const found = Option.getOrThrow(yield* mine.versioned.get("a"))
      store.asked()
      store.faults.push("unknown")
      const error = yield* Effect.flip(
        mine.versioned.update("a", found.version, { ...found, version: found.version + 1 })
      )
      assert.deepStrictEqual([error._tag, "applied" in error && error.applied], ["StorageError", "unknown"])
      assert.deepStrictEqual(store.asked(), ["Write"])
    })
  )

  it.effect("may arrive after the read that shows nothing of it, and is one of the writes that race", () =>
    Effect.gen(function* () {
      const { mine, other, store } = setup()
      store.faults.push("late", "none")
      // Behind the read, and before the next write.
      store.meanwhile = () => {
        store.meanwhile = () => {
          store.meanwhile = store.arrive
        }
      }
      const claimed = yield* mine.claim(claim())
      assert.deepStrictEqual(store.asked(), ["Write", "Read", "Write", "Write"])
      assert.deepStrictEqual([claimed._tag, versionOf(store)], ["Claimed", 2])
      // Behind the next write it does nothing.
      store.faults.push("late")
      assert.deepStrictEqual(yield* mine.release(hold()), { _tag: "Released", remaining: 0 })
      assert.strictEqual((yield* other.claim(claim("other")))._tag, "Claimed")
      store.arrive()
      assert.deepStrictEqual(store.records.get("a")!.holds, [id("other")])
    })
  )

  it.effect("stays unknown while what it expected is there, and nothing else was written", () =>
    Effect.gen(function* () {
      const { hands, mine, other, store } = setup()
      store.faults.push("late", "none", "down")
      const error = yield* Effect.flip(mine.claim(claim()))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "unknown"])
      store.arrive()
      assert.deepStrictEqual(store.records.get("a")!.holds, [id("me")])
      // What settles it is another state, whatever becomes of the rest.
      store.faults.push("late", "none", "down")
      store.meanwhile = () => {
        store.meanwhile = store.arrive
      }
      const settled = yield* Effect.flip(mine.claim(claim()))
      assert.strictEqual(settled.applied, "no")
      // An outcome that writes nothing is none then: here of a store that went back, whose leases start over.
      yield* mine.release(hold())
      store.index = 100
      yield* other.claim(claim("other"))
      yield* mine.claim(claim())
      hands.now += lease
      store.faults.push("late")
      store.meanwhile = () => {
        store.index = 50
      }
      const unknown = yield* Effect.flip(mine.claim(claim()))
      assert.deepStrictEqual([unknown.reason, unknown.applied], ["Timeout", "unknown"])
    })
  )

  it.effect("stays unknown where it cannot be read, and where it never ends", () =>
    Effect.gen(function* () {
      const { mine, store } = setup()
      store.faults.push("unknown, not applied", "down")
      const error = yield* Effect.flip(mine.claim(claim()))
      assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "unknown"])
      for (let i = 0; i < 20; i++) store.faults.push("unknown, not applied")
      const again = yield* Effect.flip(mine.claim(claim()))
      assert.deepStrictEqual([again.reason, again.isRetryable, again.applied], ["Timeout", true, "unknown"])
      assert.isAbove(store.faults.length, 10)
    })
  )
})

describe("many renewals", () => {
  it.effect("are one request, and what fails of them fails alone", () =>
    Effect.gen(function* () {
      const { mine, other, store } = setup()
      const ids = Array.from({ length: 50 }, (_, i) => `lock ${i}`)
      for (const lockId of ids) yield* mine.claim({ ...claim(), lockId })
      store.asked()
      const renewals = ids.map((lockId) => renewal("me", lockId))
      assert.isTrue((yield* mine.renew(...renewals)).every(({ _tag }) => _tag === "Renewed"))
      assert.strictEqual(store.asked().length, 1)
      store.unreadable.add("lock 7")
      yield* other.on(other.storage.revoke({ lockId: "lock 8", token: 1, when: "now" }))
      store.asked()
      const answers = yield* mine.renew(...renewals)
      assert.strictEqual(answers[7]!._tag, "StorageError")
      assert.strictEqual(answers[8]!._tag, "NotHeld")
      assert.strictEqual(answers.filter(({ _tag }) => _tag === "Renewed").length, 48)
      assert.strictEqual(store.asked().length, 1)
      assert.deepStrictEqual(yield* mine.on(mine.storage.renew([])), [])
    })
  )

  it.effect("of a hold that another store does not have, are not held", () =>
    Effect.gen(function* () {
      const { store, wrap } = setup()
      const mine = wrap(over(store, () => true))
      store.faults.push("down")
      assert.deepStrictEqual(yield* mine.renew(renewal()), [{ _tag: "NotHeld" }])
    })
  )
})

describe("a store that counts its changes", () => {
  it.effect("gives tokens that grow over a record that was deleted by hand", () =>
    Effect.gen(function* () {
      const { late, mine, store } = setup()
      store.index = 100
      yield* mine.claim(claim())
      yield* mine.release(hold())
      store.records.clear()
      yield* late.get
      const claimed = yield* late.claim(claim())
      assert.isAbove(claimed._tag === "Claimed" ? claimed.record.token : 0, 100)
    })
  )

  it.effect("and went back is of another history: leases are observed from scratch, and tokens go on", () =>
    Effect.gen(function* () {
      const { hands, mine, other, store } = setup()
      store.index = 100
      yield* other.claim(claim("other"))
      yield* mine.claim(claim())
      hands.now += lease
      store.index = 50
      yield* mine.on(mine.storage.get("b"))
      const held = yield* mine.claim(claim())
      assert.strictEqual(held._tag === "Held" ? held.retryAfter : 0, lease)
      hands.now += lease
      const claimed = yield* mine.claim(claim())
      assert.isAbove(claimed._tag === "Claimed" ? claimed.record.token : 0, 100)
    })
  )
})

it.effect("a record of a newer format is left alone, and the smaller port shows it", () =>
  Effect.gen(function* () {
    const { mine, store } = setup(true)
    yield* mine.claim(claim())
    store.records.set("a", { ...store.records.get("a")!, format: 2, version: 7 })
    const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
      mine.claim(claim("other")),
      mine.renew(renewal()),
      mine.release(hold()),
      mine.get
    ]
    for (const call of calls) assert.isTrue(Exit.isFailure(yield* Effect.exit(call)))
    assert.strictEqual(Option.getOrThrow(yield* mine.versioned.get("a")).format, 2)
  })
)

for (const takes of [false, true]) {
  const watch = { now: 0 }
  const store = Memory.make(takes)
  const began = performance.now()
  const time = Effect.sync(() => Math.round((performance.now() - began) * 1000) + watch.now)
  Conformance.suite({
    name: `a store in memory that ${takes ? "takes" : "compares and sets"}`,
    layer: Layer.sync(Storage.Storage, () => underClock(over(store).storage, time)),
    versioned: Layer.sync(VersionedStore.VersionedStore, () => over(store).versioned),
    hooks: {
      advance: (span) => Effect.sync(() => void (watch.now += Duration.toMillis(span) * 1000))
    }
  })
}
