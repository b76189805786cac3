import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Random from "#harness/Random"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import * as fibers from "#effect/fibers"
import { counting } from "#harness/census"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

const seed = "interruptions"
const rounds = 10_000
const atOnce = 100

describe("interruption", () => {
  it.live(`${rounds} at random moments of acquire, hold, refresh and release leave nothing`, () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      // Every call takes a while, before and after it is applied.
      const delay = Effect.flatMap(Random.nextIntBetween(0, 30), (millis) => Effect.sleep(millis))
      const link = Faulty.make(storage)
      yield* link.set(["claim", "renew", "release"], { before: delay, after: delay })
      const options = {
        leaseExpireAfter: "600 millis",
        leaseRefreshInterval: "150 millis",
        clockMargin: "50 millis"
      } as const
      const processes = yield* Effect.all([Process.make(link.storage, options), Process.make(link.storage, options)])

      let ran = 0
      let inside = new Map<string, number>()
      const one = (round: number) =>
        Effect.gen(function* () {
          const lockId = `lock ${yield* Random.nextIntBetween(0, 20)}`
          const process = processes[round % 2]!
          const body = (lock: StorageLock.Lock) =>
            Effect.acquireUseRelease(
              Effect.sync(() => {
                ran++
                inside = inside.set(lockId, (inside.get(lockId) ?? 0) + 1)
                assert.strictEqual(inside.get(lockId), 1, "two bodies under one lock")
              }),
              () => Effect.flatMap(Random.nextIntBetween(0, 300), (millis) => lock.guard(Effect.sleep(millis))),
              () => Effect.sync(() => inside.set(lockId, inside.get(lockId)! - 1))
            )
          const fiber = yield* Effect.forkChild(process.run(StorageLock.withLock(body, lockId)))
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 400))
          yield* Fiber.interrupt(fiber)
        })

      for (let round = 0; round < rounds; round += atOnce) {
        const batch = yield* Effect.forEach(
          Array.from({ length: atOnce }, (_, i) => round + i),
          (i) => Effect.forkChild(one(i))
        )
        yield* Effect.forEach(batch, Fiber.join)
      }
      yield* link.set(["claim", "renew", "release"], undefined)
      yield* Effect.sleep("200 millis")

      assert.isAbove(ran, rounds / 20)
      assert.deepStrictEqual(yield* Stream.runCollect(storage.list), [])
      // The lines are empty: every lock can be had at once.
      for (let i = 0; i < 20; i++) {
        for (const process of processes)
          assert.isTrue(Option.isSome(yield* Effect.scoped(process.locks.tryAcquire(`lock ${i}`))))
      }
      const calls = { ...link.calls }
      yield* Effect.sleep("5 seconds")
      assert.deepStrictEqual(link.calls, calls)
    }).pipe(Effect.scoped, VirtualTime.run, Random.withSeed(seed))
  )

  it.effect("of an acquire whose claim hangs returns at once, and what it may have claimed is released later", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const link = Faulty.make(storage)
      const a = yield* Process.make(link.storage)
      yield* link.set(["claim"], Faulty.late("3 seconds"))
      const fiber = yield* Effect.forkChild(Effect.scoped(a.locks.acquire("foo")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Option.isSome(yield* storage.get("foo")))
      yield* TestClock.adjust("2100 millis")
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )

  it.effect("a claim whose fate is unknown, and that arrives after its release, is released again", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      let delayed: Effect.Effect<unknown> = Effect.void
      const a = yield* Process.make({
        ...storage,
        claim: (request) => {
          delayed = Effect.orDie(storage.claim(request))
          return Faulty.failure("Connection", "unknown", false)
        }
      })
      assert.strictEqual((yield* Effect.flip(Effect.scoped(a.locks.acquire("foo"))))._tag, "StorageError")
      yield* TestClock.adjust("500 millis")
      yield* delayed
      assert.isTrue(Option.isSome(yield* storage.get("foo")))
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )

  it.effect("the release is completed though the closing fiber is interrupted", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const link = Faulty.make(storage)
      const a = yield* Process.make(link.storage)
      yield* link.set(["release"], Faulty.slow("2 seconds"))
      const fiber = yield* Effect.forkChild(Effect.scoped(a.locks.acquire("foo")))
      yield* TestClock.adjust("1 second")
      fibers.interrupt(fiber)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
    })
  )

  it.effect("of waiters, and of the layer, leaves no fiber of ours", () =>
    counting((alive) =>
      Effect.gen(function* () {
        const storage = yield* MemoryStorage.make()
        const before = yield* alive
        yield* Effect.scoped(
          Effect.gen(function* () {
            const a = yield* Process.make(storage)
            yield* a.locks.acquire("foo", "a")
            const waiters = yield* Effect.forEach(Array.from({ length: 10 }), () =>
              Effect.forkChild(Effect.scoped(a.locks.acquire("foo")))
            )
            yield* TestClock.adjust("1 second")
            yield* Effect.forEach(waiters, Fiber.interrupt)
          })
        )
        assert.strictEqual(yield* alive, before)
      })
    )
  )
})
