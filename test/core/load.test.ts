/** Much at once, and everybody who listens hangs: no lock is lost or late for that, and what waits is bounded and counted. */
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Stream from "#effect/Stream"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as LockAudit from "../../src/LockAudit.js"
import type { LockEvent } from "../../src/LockEvent.js"
import * as LockMetrics from "../../src/LockMetrics.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"

const acquisitions = 10_000
const held = 50
/** Of a listener's buffer. */
const mostWaiting = 1_024
const capacity = 500
const batch = 50

describe("ten thousand acquisitions", () => {
  it.live(
    "with a subscriber that is stuck, an exporter that hangs, and a table that takes an entry now and then",
    () =>
      Effect.gen(function* () {
        const memory = yield* MemoryStorage.make()
        let isSlow = true
        const storage: Storage.Service = {
          ...memory,
          audit: (options) =>
            Effect.map(memory.audit!(options), (store) => ({
              ...store,
              append: (rows) =>
                isSlow ? Effect.andThen(Effect.sleep("30 millis"), store.append(rows)) : store.append(rows)
            }))
        }
        const context = yield* Layer.build(
          Layer.mergeAll(
            LockAudit.layer({ capacity, batch, every: "1 millis", mostEntries: 1_000_000 }),
            LockMetrics.layer()
          ).pipe(
            Layer.provideMerge(StorageLock.layer({ leaseExpireAfter: "10 minutes" })),
            Layer.provide(Layer.succeed(Storage.Storage, storage))
          )
        )
        const locks = Context.get(context, StorageLock.StorageLock)
        const audit = Context.get(context, LockAudit.LockAudit)

        /** Takes one event, and then nothing until it is let go. */
        let isStuck = true
        const listener = () => {
          const told: Array<LockEvent> = []
          const listening = Stream.runForEach(locks.events, (event) =>
            Effect.suspend(() => {
              told.push(event)
              return isStuck ? Effect.repeat(Effect.sleep("20 millis"), { while: () => isStuck }) : Effect.void
            })
          )
          return Effect.map(Effect.forkScoped(listening), (fiber) => ({ fiber, told }))
        }
        const subscriber = yield* listener()
        const exporter = yield* listener()
        yield* Effect.sleep("20 millis")

        const lost: Array<string> = []
        const holds = yield* Effect.forEach(
          Array.from({ length: held }, (_, i) => `held ${i}`),
          (id) =>
            Effect.tap(locks.acquire(id), (lock) =>
              Effect.forkScoped(Effect.catch(lock.lost, () => Effect.sync(() => void lost.push(id))))
            )
        )
        let done = 0
        yield* Effect.forEach(
          Array.from({ length: acquisitions }, (_, i) => i),
          (i) =>
            locks.withLock(
              Effect.sync(() => void done++),
              `lock ${i % 1_000}`
            ),
          { concurrency: 100, discard: true }
        )
        assert.strictEqual(done, acquisitions)
        assert.deepStrictEqual(lost, [])
        yield* Effect.forEach(holds, (lock) => lock.check, { discard: true })

        const busy = yield* audit.counts
        // One entry of a batch tells how many were dropped.
        assert.isAtMost(busy.waiting, capacity + batch + 1)
        assert.isAbove(busy.dropped, 0)
        isSlow = false
        const settled = yield* Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), audit.counts), {
          while: ({ waiting }) => waiting > 0
        })
        const entries = [...(yield* Stream.runCollect(audit.read()))].map(({ event }) => event)
        const gone = entries.flatMap((event) => (event._tag === "Dropped" ? [event.count] : []))
        assert.strictEqual(
          gone.reduce((a, b) => a + b, 0),
          settled.dropped
        )
        assert.strictEqual(entries.length, settled.written)
        const waited = entries.filter(({ _tag }) => _tag === "Waiting").length
        assert.isAtLeast(entries.length - gone.length - waited + settled.dropped, 2 * acquisitions + held - waited)

        isStuck = false
        for (const { told } of [subscriber, exporter]) {
          yield* Effect.repeat(Effect.sleep("10 millis"), { while: () => told.length < mostWaiting + 1 })
          const dropped = told.flatMap((event) => (event._tag === "Dropped" ? [event.count] : []))
          // What waited, and what the listener had in its hands before it was stuck.
          assert.isAtMost(told.length, 2 * mostWaiting + 200)
          assert.isAtLeast(told.length - dropped.length + dropped.reduce((a, b) => a + b, 0), 2 * acquisitions + held)
        }
        yield* Fiber.interrupt(subscriber.fiber)
        yield* Fiber.interrupt(exporter.fiber)
      }).pipe(Effect.scoped),
    60_000
  )
})
