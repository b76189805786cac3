/** Waiters that do not poll: what wakes them, and who passes by whom. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import * as fibers from "#effect/fibers"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import { heard } from "../support/logged.js"
import * as Process from "../support/process.js"

const options = { retry: Schedule.spaced("10 hours"), leaseExpireAfter: "1 hour" } as const

const isDone = (fiber: Fiber.Fiber<unknown, unknown>) => Effect.sync(() => fibers.exitOf(fiber) !== undefined)

const processes = (change: (storage: Storage.Service) => Storage.Service = (same) => same) =>
  Effect.gen(function* () {
    const storage = change(yield* MemoryStorage.make())
    const [a, b, operator] = [
      yield* Process.make(storage, options),
      yield* Process.make(storage, options),
      yield* Process.make(storage, options)
    ]
    return { a: a.locks, b: b.locks, operator: operator.locks }
  })

describe("a waiter that does not poll", () => {
  it.effect("has the lock at once when an operator frees it in another process", () =>
    Effect.gen(function* () {
      const { a, b, operator } = yield* processes()
      const lock = yield* a.acquire("x")
      const waiter = yield* Effect.forkChild(b.acquire("x"))
      yield* TestClock.adjust("1 second")
      yield* operator.forceRelease("x", { token: lock.token, when: "now" })
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isDone(waiter))
    })
  )

  it.effect("has it when the lease ends, if the operator keeps all out until then", () =>
    Effect.gen(function* () {
      const { a, b, operator } = yield* processes()
      const lock = yield* a.acquire("x")
      const waiter = yield* Effect.forkChild(b.acquire("x"))
      yield* TestClock.adjust("1 second")
      yield* operator.forceRelease("x", { token: lock.token, when: "leaseEnd" })
      yield* TestClock.adjust("50 minutes")
      assert.isFalse(yield* isDone(waiter))
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(yield* isDone(waiter))
    })
  )

  it.effect('has it at the hint "all", for whatever lock it waits', () =>
    Effect.gen(function* () {
      const hints = yield* PubSub.unbounded<string>()
      const { a, b } = yield* processes((storage) => ({ ...storage, wakeUps: Stream.fromPubSub(hints) }))
      const [x, y] = [yield* a.acquire("x"), yield* a.acquire("y")]
      const waiters = [yield* Effect.forkChild(b.acquire("x")), yield* Effect.forkChild(b.acquire("y"))]
      yield* TestClock.adjust("1 second")
      yield* x.release
      yield* y.release
      yield* TestClock.adjust("1 second")
      for (const waiter of waiters) assert.isFalse(yield* isDone(waiter))
      yield* PubSub.publish(hints, "all")
      yield* TestClock.adjust("1 second")
      for (const waiter of waiters) assert.isTrue(yield* isDone(waiter))
    })
  )
})

describe("hints that end", () => {
  const reports = (wakeUps: Stream.Stream<string>) =>
    heard(
      (lines) =>
        Effect.gen(function* () {
          const memory = yield* MemoryStorage.make()
          const [a, b] = [
            yield* Process.make(memory, options),
            yield* Process.make({ ...memory, wakeUps }, { retry: Schedule.spaced("10 seconds") })
          ]
          const lock = yield* a.locks.acquire("x")
          const waiter = yield* Effect.forkChild(b.locks.acquire("x"))
          yield* TestClock.adjust("1 second")
          yield* lock.release
          yield* TestClock.adjust("1 second")
          assert.isFalse(yield* isDone(waiter))
          yield* TestClock.adjust("10 seconds")
          assert.isTrue(yield* isDone(waiter), "it polls on")
          yield* b.close
          return lines.map(({ level, message }) => `${level} ${message}`)
        }),
      "Warning"
    )

  it.effect("by a defect are told of, once, and waiters poll", () =>
    Effect.gen(function* () {
      const [line, ...more] = yield* reports(Stream.fromEffect(Effect.die(new Error("made by the test"))))
      assert.match(line!, /^Warning effect-storage-lock: no more wake-ups, waiters only poll .*made by the test/)
      assert.deepStrictEqual(more, [])
    })
  )

  it.effect("with the layer, or of themselves, are nothing to tell of", () =>
    Effect.gen(function* () {
      for (const wakeUps of [Stream.never, Stream.empty]) assert.deepStrictEqual(yield* reports(wakeUps), [])
    })
  )
})

describe("a reentry in line", () => {
  it.effect("behind others enters as soon as its owner gets the lock, in this process or another", () =>
    Effect.gen(function* () {
      const { a, b } = yield* processes()
      const first = yield* a.acquire("x")
      const stranger = yield* Effect.forkChild(a.acquire("x"))
      const owner = yield* Effect.forkChild(a.acquire("x", "me"))
      const again = yield* Effect.forkChild(a.acquire("x", "me"))
      yield* TestClock.adjust("1 second")
      yield* first.release
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        [yield* isDone(stranger), yield* isDone(owner), yield* isDone(again)],
        [true, false, false]
      )
      yield* (yield* Fiber.join(stranger)).release
      // Somebody else comes between the two of one owner.
      yield* TestClock.adjust("1 second")
      const [mine, too] = [yield* Fiber.join(owner), yield* Fiber.join(again)]
      assert.strictEqual(mine.token, too.token)

      // In another process its owner queues behind a stranger, who learns who has it.
      const behind = yield* Effect.forkChild(b.acquire("x"))
      yield* TestClock.adjust("1 second")
      const there = yield* Effect.forkChild(b.acquire("x", "me"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([yield* isDone(behind), yield* isDone(there)], [false, true])
    })
  )

  it.effect("passes by a stranger that came before it, as soon as its owner has the lock", () =>
    Effect.gen(function* () {
      const { a } = yield* processes()
      const first = yield* a.acquire("x")
      const waiters = [
        yield* Effect.forkChild(a.acquire("x", "me")),
        yield* Effect.forkChild(a.acquire("x")),
        yield* Effect.forkChild(a.acquire("x", "me"))
      ]
      yield* TestClock.adjust("1 second")
      yield* first.release
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Effect.forEach(waiters, isDone), [true, false, true])
    })
  )

  it.effect("behind a stranger that waits for its owner ends", () =>
    Effect.gen(function* () {
      const { a } = yield* processes()
      const done = yield* Effect.forkChild(
        a.withLock(
          () =>
            Effect.gen(function* () {
              yield* Effect.sleep("1 second")
              yield* a.withLock(() => Effect.void, "x", "me")
            }),
          "x",
          "me"
        )
      )
      const strangers = yield* Effect.all(
        Array.from({ length: 3 }, () => Effect.forkChild(a.withLock(() => Effect.void, "x")))
      )
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* isDone(done))
      yield* Fiber.joinAll(strangers)
    })
  )
})
