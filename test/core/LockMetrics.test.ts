/** The metrics of a layer: each by what happens, with few labels whatever the lock ids. */
import { assert, describe, it } from "#harness/vitest"
import * as metrics from "#harness/metrics"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Scope from "#effect/Scope"
import * as TestClock from "#harness/testing/TestClock"
import { InvalidOptions } from "../../src/LockError.js"
import * as LeaderElection from "../../src/LeaderElection.js"
import * as LockMetrics from "../../src/LockMetrics.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

let made = 0

/** Each in a namespace of its own: the registry is the program's. */
const setup = (options?: LockMetrics.Options) =>
  Effect.gen(function* () {
    const namespace = `metrics ${++made}`
    const storage = yield* MemoryStorage.make()
    const link = Faulty.make(storage)
    const { close, locks } = yield* Process.make(link.storage, { namespace, leaseExpireAfter: "30 seconds" })
    const there = yield* Process.make(storage, { namespace })
    yield* Layer.build(Layer.provide(LockMetrics.layer(options), Layer.succeed(StorageLock.StorageLock, locks)))
    yield* TestClock.adjust("1 millis")
    /** The value of a metric of this layer with these labels: of a histogram, how many it has seen. */
    const value = (name: string, labels: Record<string, string> = {}) =>
      Effect.map(metrics.all, (all) => {
        const found = all.filter(
          (metric) =>
            metric.name === `storage_lock_${name}` &&
            metric.labels.namespace === namespace &&
            Object.entries(labels).every(([name, value]) => metric.labels[name] === value)
        )
        assert.isAtMost(found.length, 1, `${name} ${JSON.stringify(labels)} is one series`)
        return found[0]?.value
      })
    return { close, link, locks, there, value }
  })

describe("LockMetrics", () => {
  it.effect("count what is acquired, refused, out of time and given back", () =>
    Effect.gen(function* () {
      const { locks, there, value } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* locks.acquire("foo")
          assert.strictEqual(yield* value("holds"), 1)
          yield* TestClock.adjust("2 seconds")
          assert.isAbove((yield* value("least_remaining_seconds"))!, 20)
          const waiter = yield* Effect.forkChild(
            Effect.exit(Effect.scoped(locks.acquire("foo", { acquireTimeout: "5 seconds" })))
          )
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(yield* value("acquiring"), 1)
          assert.strictEqual(yield* value("longest_queue"), 1)
          yield* TestClock.adjust("4 seconds")
          assert.isTrue(Exit.isFailure(yield* Fiber.join(waiter)))
          yield* TestClock.adjust("10 seconds")
        })
      )
      assert.strictEqual(yield* value("holds"), 0)
      yield* there.locks.acquire("bar")
      yield* Effect.scoped(locks.tryAcquire("bar"))
      assert.strictEqual(yield* value("acquires_total", { outcome: "acquired" }), 1)
      assert.strictEqual(yield* value("acquires_total", { outcome: "timed_out" }), 1)
      assert.strictEqual(yield* value("acquires_total", { outcome: "refused" }), 1)
      assert.strictEqual(yield* value("released_total"), 1)
      assert.strictEqual(yield* value("renewals_total", { outcome: "renewed" }), 1)
      assert.strictEqual(yield* value("wait_seconds"), 1)
      assert.strictEqual(yield* value("hold_seconds"), 1)
      assert.strictEqual(yield* value("storage_requests_total", { operation: "release", outcome: "ok" }), 1)
      assert.strictEqual(yield* value("storage_request_seconds", { operation: "claim" }), 2)
    })
  )

  it.effect("begin at zero: the first loss of a process is an increase to whoever watches", () =>
    Effect.gen(function* () {
      const { value } = yield* setup({ lockIds: ["foo"] })
      for (const lock_id of ["foo", "other"]) {
        for (const reason of ["Expired", "Taken", "Forced", "Vanished", "HeldTooLong", "Closed"])
          assert.strictEqual(yield* value("lost_total", { lock_id, reason }), 0, reason)
        for (const outcome of ["acquired", "refused", "timed_out", "failed", "interrupted"])
          assert.strictEqual(yield* value("acquires_total", { lock_id, outcome }), 0, outcome)
        assert.strictEqual(yield* value("late_total", { lock_id }), 0)
        assert.strictEqual(yield* value("released_total", { lock_id }), 0)
      }
      for (const outcome of ["renewed", "failed"])
        assert.strictEqual(yield* value("renewals_total", { outcome }), 0, outcome)
      assert.isUndefined(yield* value("lost_total", { reason: "Released" }))
    })
  )

  it.effect("count renewals that fail, holds that are late, and losses by their reason", () =>
    Effect.gen(function* () {
      const { link, locks, value } = yield* setup()
      yield* locks.acquire("foo")
      yield* link.set(["renew"], Faulty.refuse)
      yield* TestClock.adjust("40 seconds")
      assert.isAbove((yield* value("renewals_total", { outcome: "failed" }))!, 0)
      assert.strictEqual(yield* value("late_total"), 1)
      assert.strictEqual(yield* value("lost_total", { reason: "Expired" }), 1)
      assert.isAbove((yield* value("storage_requests_total", { operation: "renew", outcome: "Connection" }))!, 0)
      assert.strictEqual(yield* value("holds"), 0)
      assert.strictEqual(yield* value("least_remaining_seconds"), 0)
    })
  )

  it.effect("of layers with the same labels are put together", () =>
    Effect.gen(function* () {
      const { value } = yield* setup()
      const namespace = `metrics ${made}`
      const open = (leaseExpireAfter: "20 seconds" | "90 seconds") =>
        Effect.gen(function* () {
          const process = yield* Process.make(yield* MemoryStorage.make(), { namespace, leaseExpireAfter })
          const scope = yield* Scope.make()
          const layer = Layer.provide(LockMetrics.layer(), Layer.succeed(StorageLock.StorageLock, process.locks))
          yield* Scope.provide(Layer.build(layer), scope)
          return { ...process, end: Scope.close(scope, Exit.void) }
        })
      const [short, long] = [yield* open("20 seconds"), yield* open("90 seconds")]
      yield* short.locks.acquire("foo", "ada")
      yield* long.locks.acquire("foo", "ada")
      yield* long.locks.acquire("bar", "ada")
      const waiter = yield* Effect.forkChild(Effect.exit(Effect.scoped(long.locks.acquire("bar", "bob"))))
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(
        [yield* value("holds"), yield* value("acquiring"), yield* value("longest_queue")],
        [3, 1, 1]
      )
      assert.isBelow((yield* value("least_remaining_seconds"))!, 20)
      yield* Effect.andThen(short.end, TestClock.adjust("1 seconds"))
      assert.strictEqual(yield* value("holds"), 2)
      assert.isAbove((yield* value("least_remaining_seconds"))!, 20)
      yield* Fiber.interrupt(waiter)
      yield* long.end
      assert.deepStrictEqual([yield* value("holds"), yield* value("least_remaining_seconds")], [0, 0])
    })
  )

  it.effect("have a label for declared ids alone", () =>
    Effect.gen(function* () {
      const { locks, value } = yield* setup({ lockIds: ["nightly-report"] })
      for (const lockId of ["nightly-report", "a", "b", "c"]) yield* Effect.scoped(locks.acquire(lockId))
      const acquired = (lock_id: string) => value("acquires_total", { outcome: "acquired", lock_id })
      assert.strictEqual(yield* acquired("nightly-report"), 1)
      assert.strictEqual(yield* acquired("other"), 3)
      assert.strictEqual(yield* acquired("a"), undefined)
    })
  )

  it.effect("end with their layer, at what is left then", () =>
    Effect.gen(function* () {
      const { close, locks, value } = yield* setup()
      yield* locks.acquire("foo")
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* value("lost_total", { reason: "Closed" }), 1)
      assert.strictEqual(yield* value("holds"), 0)
    })
  )

  it.effect("refuse options that make no sense", () =>
    Effect.gen(function* () {
      const { locks } = yield* setup()
      const build = (options: unknown) =>
        Effect.flip(
          Effect.scoped(
            Layer.build(
              Layer.provide(LockMetrics.layer(options as never), Layer.succeed(StorageLock.StorageLock, locks))
            )
          )
        )
      for (const [options, field] of [
        [{ lockIds: "nightly-report" }, "lockIds"],
        [{ lockIds: [""] }, "lockIds"],
        [{ lockId: ["a"] }, "lockId"]
      ] as const) {
        const error = yield* build(options)
        assert(error instanceof InvalidOptions)
        assert.strictEqual(error.field, field)
      }
    })
  )

  it.effect("count the terms of elections, and say who leads", () =>
    Effect.gen(function* () {
      const { locks, value } = yield* setup()
      const of = { lock_id: "job" }
      const leading = yield* Effect.forkChild(
        Effect.provideService(LeaderElection.run("job", Effect.never), StorageLock.StorageLock, locks)
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([yield* value("leader", of), yield* value("terms_total", of)], [1, 1])
      assert.isUndefined(yield* value("term_seconds", of))
      yield* Fiber.interrupt(leading)
      assert.deepStrictEqual([yield* value("leader", of), yield* value("term_seconds", of)], [0, 1])
    })
  )
})
