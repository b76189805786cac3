/** What a layer tells of its locks: each event once, at the right time, and never in anybody's way. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import { Events } from "../../src/core/events.js"
import type { Timeline } from "../../src/core/timeline.js"
import type { LockEvent } from "../../src/LockEvent.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const options = { leaseExpireAfter: "30 seconds", ownerLabel: "the test" } as const

const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const link = Faulty.make(storage)
  const here = yield* Process.make(link.storage, options)
  const there = yield* Process.make(storage, { ...options, ownerLabel: "another" })
  const told: Array<LockEvent> = []
  const listening = yield* Effect.forkScoped(
    Stream.runForEach(here.locks.events, (event) => Effect.sync(() => void told.push(event)))
  )
  yield* TestClock.adjust("1 millis")
  /** What was told since it was asked last. */
  const news = Effect.map(TestClock.adjust("1 millis"), () => told.splice(0))
  return { here, link, listening, news, there }
})

const tags = (events: ReadonlyArray<LockEvent>) => events.map(({ _tag }) => _tag)

const only = <T extends LockEvent["_tag"]>(events: ReadonlyArray<LockEvent>, tag: T) => {
  assert.deepStrictEqual(tags(events), [tag])
  return events[0] as Extract<LockEvent, { readonly _tag: T }>
}

describe("events", () => {
  it.effect("a hold: acquired, renewed, released", () =>
    Effect.gen(function* () {
      const { here, news } = yield* setup
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* here.locks.acquire("foo", "ada")
          const acquired = only(yield* news, "Acquired")
          const { lockId, ownerId, ownerLabel, token } = acquired
          assert.deepStrictEqual(
            { lockId, ownerId, ownerLabel, token },
            {
              lockId: "foo",
              ownerId: "ada",
              ownerLabel: "the test",
              token: lock.token
            }
          )
          assert.strictEqual(acquired.attempts, 1)
          yield* TestClock.adjust("11 seconds")
          assert.strictEqual(only(yield* news, "Renewed").token, lock.token)
        })
      )
      const released = only(yield* news, "Released")
      assert.isTrue(released.confirmed)
      assert.isAtLeast(Duration.toMillis(released.held), 11_000)
    })
  )

  it.effect("an acquire waits, and has it in the end; another is out of time; a try is refused", () =>
    Effect.gen(function* () {
      const { here, news, there } = yield* setup
      const theirs = yield* there.locks.acquire("foo")
      const waiter = yield* Effect.forkChild(Effect.scoped(here.locks.acquire("foo", "ada")))
      const waiting = only(yield* news, "Waiting")
      assert.strictEqual(Option.getOrThrow(waiting.holder).ownerLabel, "another")
      const behind = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(here.locks.acquire("foo", { acquireTimeout: "1 second" })))
      )
      only(yield* news, "Waiting")
      yield* TestClock.adjust("2 seconds")
      const timedOut = only(yield* news, "TimedOut")
      assert.strictEqual(timedOut.error, yield* Fiber.join(behind))
      assert.isAtLeast(Duration.toMillis(timedOut.waited), 1_000)
      assert.isTrue(Option.isNone(yield* Effect.scoped(here.locks.tryAcquire("foo"))))
      assert.strictEqual(Option.getOrThrow(only(yield* news, "Refused").holder).ownerLabel, "another")
      yield* theirs.release
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiter)
      const events = yield* news
      assert.deepStrictEqual(tags(events), ["Acquired", "Released"])
      const [acquired] = events
      assert(acquired?._tag === "Acquired")
      assert.isAtLeast(acquired.attempts, 2)
      assert.isAtLeast(Duration.toMillis(acquired.waited), 2_000)
    })
  )

  it.effect("an acquire is interrupted while it waits", () =>
    Effect.gen(function* () {
      const { here, news, there } = yield* setup
      yield* there.locks.acquire("foo")
      const waiter = yield* Effect.forkChild(Effect.scoped(here.locks.acquire("foo")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiter)
      assert.deepStrictEqual(tags(yield* news), ["Waiting", "Interrupted"])
    })
  )

  it.effect("a storage fails: renewals, a hold that is late, then lost; it is back", () =>
    Effect.gen(function* () {
      const { here, link, news } = yield* setup
      const lock = yield* here.locks.acquire("foo")
      yield* news
      yield* link.set(["renew", "claim", "release"], Faulty.refuse)
      yield* TestClock.adjust("40 seconds")
      const events = yield* news
      const order = tags(events).filter((tag, i, all) => tag !== all[i - 1])
      assert.deepStrictEqual(order.slice(0, 2), ["StorageFailing", "RenewalFailed"])
      assert.strictEqual(order.filter((tag) => tag === "StorageFailing").length, 1)
      const late = events.findIndex(({ _tag }) => _tag === "Late")
      const lost = events.findIndex(({ _tag }) => _tag === "Lost")
      assert.isTrue(0 < late && late < lost)
      const loss = events[lost]
      assert(loss?._tag === "Lost")
      assert.deepStrictEqual([loss.reason, loss.token], ["Expired", lock.token])
      const trying = yield* Effect.forkChild(Effect.flip(Effect.scoped(here.locks.tryAcquire("bar"))))
      yield* TestClock.adjust("2 seconds")
      const failed = yield* Fiber.join(trying)
      assert(failed._tag === "StorageError")
      assert.strictEqual(only(yield* news, "AcquireFailed").error, failed)
      yield* link.set(["renew", "claim", "release"], undefined)
      yield* Effect.scoped(here.locks.acquire("bar"))
      const back = yield* news
      assert.deepStrictEqual(tags(back), ["StorageBack", "Acquired", "Released"])
      assert(back[0]?._tag === "StorageBack")
      assert.isAtLeast(Duration.toMillis(back[0].failedFor), 10_000)
    })
  )

  it.effect("an operator takes a hold away", () =>
    Effect.gen(function* () {
      const { here, news } = yield* setup
      const { token } = yield* here.locks.acquire("foo")
      yield* news
      assert.isTrue(yield* here.locks.forceRelease("foo", { token, when: "now" }))
      assert.deepStrictEqual(tags(yield* news), ["Forced", "Lost"])
      assert.isFalse(yield* here.locks.forceRelease("foo", { token, when: "now" }))
      assert.deepStrictEqual(tags(yield* news), [])
    })
  )

  it.effect("a release that the storage has not confirmed says so", () =>
    Effect.gen(function* () {
      const { here, link, news } = yield* setup
      const lock = yield* here.locks.acquire("foo")
      yield* news
      yield* link.set(["release"], Faulty.refuse)
      yield* lock.release
      const released = (yield* news).find(({ _tag }) => _tag === "Released")
      assert(released?._tag === "Released")
      assert.isFalse(released.confirmed)
    })
  )

  it.effect("the stream ends with its layer, after the loss of what was held", () =>
    Effect.gen(function* () {
      const { here, listening, news } = yield* setup
      yield* here.locks.acquire("foo")
      yield* news
      const closing = yield* Effect.forkChild(here.close)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(tags(yield* news), ["Lost"])
      yield* Fiber.join(listening)
      assert.deepStrictEqual(yield* Stream.runCollect(here.locks.events), [])
    })
  )

  it.effect("by the accessor, too", () =>
    Effect.gen(function* () {
      const { here } = yield* setup
      const first = yield* Effect.forkChild(here.run(Stream.runCollect(Stream.take(StorageLock.events, 2))))
      yield* TestClock.adjust("1 millis")
      yield* Effect.scoped(here.locks.acquire("foo"))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(tags(yield* Fiber.join(first)), ["Acquired", "Released"])
    })
  )
})

describe("a listener", () => {
  it.effect("that is slow holds up nothing: the oldest events are dropped, and counted", () =>
    Effect.gen(function* () {
      const { here, news } = yield* setup
      let seen = 0
      const slow = yield* Effect.forkChild(
        here.locks.events.pipe(
          Stream.mapEffect((event) => Effect.as(seen++ === 0 ? Effect.sleep("1 hour") : Effect.void, event)),
          Stream.takeUntil(({ _tag }) => _tag === "Dropped"),
          Stream.runCollect
        )
      )
      yield* TestClock.adjust("1 millis")
      for (let i = 0; i < 3_000; i++) yield* Effect.scoped(here.locks.acquire(`lock ${i}`))
      yield* TestClock.adjust("1 hour")
      const all = yield* Fiber.join(slow)
      const dropped = all[all.length - 1]
      assert(dropped?._tag === "Dropped")
      assert.strictEqual(all.length - 1 + dropped.count, 6_000 - 1_024)
      // Who keeps up misses nothing.
      assert.deepStrictEqual(new Set(tags(yield* news)), new Set(["Acquired", "Released"]))
    })
  )

  it.effect("that throws is told no more, and said so; the others are told", () =>
    Effect.gen(function* () {
      const defects: Array<unknown> = []
      const clock = yield* Effect.clockWith(Effect.succeed)
      const events = new Events(clock, { now: () => 0 } as Timeline, (defect) => void defects.push(defect))
      const told: Array<string> = []
      assert.isFalse(events.isHeard)
      events.listen(() => {
        throw new Error("broken")
      })
      const forget = events.listen(({ _tag }) => void told.push(_tag))
      const forced = { _tag: "Forced", lockId: "foo", token: 1, when: "now" } as const
      events.publish(forced)
      events.publish(forced)
      forget()
      assert.isFalse(events.isHeard)
      events.publish(forced)
      assert.deepStrictEqual(told, ["Forced", "Forced"])
      assert.deepStrictEqual(defects.map(String), ["Error: broken"])
    })
  )
})
