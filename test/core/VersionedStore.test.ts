import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import * as TestClock from "#harness/testing/TestClock"
import * as fibers from "#effect/fibers"
import * as LockRecord from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Process from "../support/process.js"

const id = (name: string) => name.padEnd(22, "x")
const claim = (ownerId: string, lease = 10_000_000, holdId = id(ownerId)) => ({ lockId: "foo", ownerId, holdId, lease })

describe("toStorage", () => {
  it.effect("retries a version miss by the schedule, and then says Conflict, not applied", () =>
    Effect.gen(function* () {
      const inner = yield* MemoryStorage.makeVersioned()
      let misses = 0
      const store = VersionedStore.toStorage(
        {
          ...inner,
          create: (lockId, version, record) =>
            misses-- > 0 ? new VersionedStore.VersionMiss({ lockId }) : inner.create(lockId, version, record)
        },
        { versionMissRetry: Schedule.recurs(3) }
      )
      misses = 4
      const error = yield* Effect.flip(store.claim(claim("a")))
      assert.deepInclude({ ...error }, { _tag: "StorageError", reason: "Conflict", applied: "no", isRetryable: true })
      misses = 3
      assert.strictEqual((yield* store.claim(claim("a")))._tag, "Claimed")
    })
  )

  it.effect("by default it is patient enough for a crowd", () =>
    Effect.gen(function* () {
      const store = VersionedStore.toStorage(yield* MemoryStorage.makeVersioned())
      // All of one owner: each must get its own change in.
      const claims = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 50 }, (_, i) => i),
          (i) => Effect.andThen(Effect.yieldNow, store.claim(claim("a", 10_000_000, id(`hold ${i}`)))),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("5 seconds")
      const outcomes = yield* Fiber.join(claims)
      assert.isTrue(outcomes.every((outcome) => outcome._tag === "Claimed"))
      assert.strictEqual(Option.getOrThrow(yield* store.get("foo")).record.holds.length, 50)
    })
  )

  it.effect("refuses a record of a newer format, and does not touch it", () =>
    Effect.gen(function* () {
      const inner = yield* MemoryStorage.makeVersioned()
      const store = VersionedStore.toStorage(inner)
      const made = LockRecord.claim(undefined, claim("a", 1), 0).record!
      const newer = { ...made, format: LockRecord.format + 1 }
      yield* inner.create("foo", newer.version, newer)
      for (const effect of [
        store.claim(claim("b")),
        store.renew([claim("a")]),
        store.release(claim("a")),
        store.revoke({ lockId: "foo", token: newer.token, when: "now" })
      ]) {
        const error = yield* Effect.flip<unknown, { readonly reason: string }, never>(effect)
        assert.strictEqual(error.reason, "Schema")
      }
      assert.deepStrictEqual(Option.getOrThrow(yield* inner.get("foo")), newer)
    })
  )
})

describe("observed expiry, without any clock of the store", () => {
  const observed = Effect.map(MemoryStorage.makeVersioned({ time: "none" }), (store) => ({
    store,
    a: VersionedStore.toStorage(store),
    b: VersionedStore.toStorage(store)
  }))

  it.effect("a waiter takes over after a whole lease of one version, counted from its first look", () =>
    Effect.gen(function* () {
      const { a, b } = yield* observed
      yield* a.claim(claim("dead"))
      yield* TestClock.adjust("9 seconds")
      // It comes late, and has seen nothing yet.
      assert.strictEqual((yield* b.claim(claim("b")))._tag, "Held")
      yield* TestClock.adjust("9999 millis")
      const before = yield* b.claim(claim("b"))
      assert(before._tag === "Held")
      assert.strictEqual(before.retryAfter, 1000)
      yield* TestClock.adjust("1 millis")
      const after = yield* b.claim(claim("b"))
      assert(after._tag === "Claimed")
      assert.strictEqual(after.record.token, 2)
    })
  )

  it.effect("a renewal starts the watch again, and so does a repeated claim", () =>
    Effect.gen(function* () {
      for (const again of ["renew", "claim"] as const) {
        const { a, b } = yield* observed
        yield* a.claim(claim("a"))
        yield* b.claim(claim("b"))
        yield* TestClock.adjust("9 seconds")
        if (again === "renew") yield* a.renew([claim("a")])
        else {
          const repeated = yield* a.claim(claim("a"))
          // It promises a whole lease from now: so nobody may have watched longer than from now.
          assert(repeated._tag === "Claimed" && repeated.validFor === 10_000_000)
        }
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual((yield* b.claim(claim("b")))._tag, "Held")
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual((yield* b.claim(claim("b")))._tag, "Held")
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual((yield* b.claim(claim("b")))._tag, "Claimed")
      }
    })
  )

  it.effect("stores no time of anybody", () =>
    Effect.gen(function* () {
      const { a, store } = yield* observed
      yield* TestClock.adjust("1234567 millis")
      yield* a.claim(claim("a"))
      yield* a.claim(claim("a", 5_000_000, id("deeper")))
      yield* a.renew([claim("a")])
      const record = Option.getOrThrow(yield* store.get("foo"))
      assert.deepInclude({ ...record }, { token: 1, lockBeginTime: 0, leaseExpireTime: 10_000_000 })
    })
  )

  it.effect("locks over it work, and a dead holder's is taken over", () =>
    Effect.gen(function* () {
      const { a, b } = yield* observed
      const alive = yield* Process.make(a, { leaseExpireAfter: "10 seconds" })
      const other = yield* Process.make(b, { leaseExpireAfter: "10 seconds" })
      const lock = yield* alive.locks.acquire("foo", "a")
      const waiter = yield* Effect.forkChild(Effect.scoped(other.locks.acquire("foo", "b")))
      yield* TestClock.adjust("60 seconds")
      assert.isUndefined(fibers.exitOf(waiter))
      yield* lock.check
      // It dies: its storage forgets to renew.
      yield* alive.close
      yield* a.claim(claim("dead"))
      yield* TestClock.adjust("25 seconds")
      yield* Fiber.join(waiter)
    })
  )
})
