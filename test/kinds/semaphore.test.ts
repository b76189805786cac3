/** Semaphores as programs use them, in virtual time. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import { eventLoop } from "#effect/fibers"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import { semaphore } from "../../src/kinds/semaphore.js"
import { toStorage } from "../../src/VersionedStore.js"
import * as Shared from "../support/sharedLocks.js"

const setup = (options?: Parameters<typeof Shared.make>[0]) =>
  Effect.gen(function* () {
    const shared = yield* Shared.make(options)
    return { ...shared, a: yield* shared.semaphore(), b: yield* shared.semaphore(), c: yield* shared.semaphore() }
  })

/** On Effect 4 a fiber that is woken goes on in a later turn of the event loop. */
const moments = Effect.forEach(
  Array.from({ length: 20 }),
  () => Effect.andThen(eventLoop, TestClock.adjust("100 millis")),
  { discard: true }
)

for (const time of [undefined, "none"] as const) {
  const settings = time === undefined ? {} : { time }
  describe(`semaphores, ${time === undefined ? "by the storage's clock" : "observed"}`, () => {
    it.effect("never more permits than there are, and all who want some get them, from three processes", () =>
      Effect.gen(function* () {
        const { a, b, c } = yield* setup(settings)
        let inside = 0
        let most = 0
        let done = 0
        const work = (locks: typeof a, permits: number) =>
          locks.withPermits(
            Effect.gen(function* () {
              most = Math.max(most, (inside += permits))
              yield* Effect.sleep("3 seconds")
              inside -= permits
              done++
            }),
            "renderers",
            { limit: 5, permits }
          )
        const all = yield* Effect.forkChild(
          Effect.forEach(
            Array.from({ length: 30 }, (_, n) => n),
            (n) => work([a, b, c][n % 3]!, 1 + (n % 4)),
            { concurrency: "unbounded", discard: true }
          )
        )
        for (let i = 0; i < 40; i++) yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(all)
        assert.strictEqual(done, 30)
        assert.isAtMost(most, 5)
        assert.isAtLeast(most, 4)
        assert.isTrue(Option.isNone(yield* a.get("renderers")))
      })
    )

    it.effect("one that wants all is not starved by many that want one", () =>
      Effect.gen(function* () {
        const { a, b } = yield* setup(settings)
        let over = false
        const small = Effect.forever(a.withPermits(Effect.sleep("700 millis"), "renderers", { limit: 3 }))
        const many = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => Effect.forkChild(small))
        yield* moments
        const big = yield* Effect.forkChild(
          b.withPermits(
            Effect.sync(() => {
              over = true
            }),
            "renderers",
            { limit: 3, permits: 3 }
          )
        )
        for (let i = 0; i < 20 && !over; i++) yield* moments
        assert.isTrue(over)
        yield* Fiber.join(big)
        yield* Effect.forEach(many, Fiber.interrupt)
      })
    )

    it.effect("while a fleet changes the limit, the smaller one rules", () =>
      Effect.gen(function* () {
        const { a, b } = yield* setup(settings)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* a.acquire("renderers", { limit: 2 })
            yield* b.acquire("renderers", { limit: 10 })
            // Two are in, and one of them was told that there are two.
            assert.isTrue(Option.isNone(yield* b.tryAcquire("renderers", { limit: 10 })))
          })
        )
        yield* Effect.scoped(
          Effect.gen(function* () {
            for (let i = 0; i < 10; i++) yield* b.acquire("renderers", { limit: 10 })
            assert.isTrue(Option.isNone(yield* a.tryAcquire("renderers", { limit: 2 })))
            assert.isTrue(Option.isNone(yield* b.tryAcquire("renderers", { limit: 10 })))
          })
        )
      })
    )
  })
}

describe("semaphores", () => {
  it.effect("each hold has a lease and a token of its own, and is shown with its permits", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* a.acquire("renderers", { limit: 5, permits: 2, ownerLabel: "web-1" })
          const two = yield* b.acquire("renderers", { limit: 5 })
          assert.isAbove(two.token, one.token)
          yield* TestClock.adjust("5 minutes")
          assert.isAbove(Duration.toMillis(yield* one.check), 0)
          const { holderCount, holders } = Option.getOrThrow(yield* b.get("renderers"))
          assert.strictEqual(holderCount, 2)
          assert.deepStrictEqual(
            holders!.map(({ permits }) => permits),
            [2, 1]
          )
          assert.strictEqual(holders![0]!.ownerLabel, "web-1")
          const late = yield* Effect.forkChild(
            Effect.flip(Effect.scoped(b.acquire("renderers", { limit: 5, permits: 3, acquireTimeout: "1 second" })))
          )
          yield* moments
          const refused = yield* Fiber.join(late)
          assert.strictEqual(refused._tag, "LockTimeout")
          assert.match(refused.message, /held by web-1 .*, and 1 more; permits taken: 3$/)
          yield* one.release
          assert.isAbove(Duration.toMillis(yield* two.check), 0)
          assert.isTrue(yield* b.forceRelease("renderers", { token: two.token, when: "now" }))
          assert.strictEqual((yield* Effect.flip(two.check)).reason, "Forced")
        })
      )
    })
  )

  it.effect("permits of a process that died are there again after its lease, one by one", () =>
    Effect.gen(function* () {
      const { a, store } = yield* setup()
      const dead = toStorage(store, { kind: semaphore })
      for (const [n, lease] of [5_000_000, 60_000_000].entries())
        yield* dead.claim({
          lockId: "renderers",
          ownerId: `dead ${n}`,
          holdId: String(n).padStart(22, "d"),
          lease,
          permits: 1,
          limit: 2
        })
      assert.isTrue(Option.isNone(yield* Effect.scoped(a.tryAcquire("renderers", { limit: 2 }))))
      yield* TestClock.adjust("6 seconds")
      yield* Effect.scoped(
        Effect.gen(function* () {
          assert.isTrue(Option.isSome(yield* a.tryAcquire("renderers", { limit: 2 })))
          assert.isTrue(Option.isNone(yield* a.tryAcquire("renderers", { limit: 2 })))
        })
      )
    })
  )

  it.effect("what is no number of permits is refused by name, before anything is asked", () =>
    Effect.gen(function* () {
      const { a, counted } = yield* setup()
      for (const [field, options] of [
        ["limit", { limit: 0 }],
        ["limit", { limit: 1.5 }],
        ["limit", { limit: Number.NaN }],
        ["limit", { limit: "5" }],
        ["limit", {}],
        ["limit", { limit: 2_000_000 }],
        ["permits", { limit: 5, permits: 6 }],
        ["permits", { limit: 5, permits: 0 }],
        ["permits", { limit: 5, permits: -1 }],
        ["options", undefined],
        ["options", null]
      ] as const)
        for (const asked of [
          Effect.scoped(a.acquire("renderers", options as never)),
          Effect.scoped(a.tryAcquire("renderers", options as never)),
          a.withPermits(Effect.void, "renderers", options as never)
        ]) {
          const error = yield* Effect.flip<unknown, object, never>(asked)
          assert.deepInclude<object>({ ...error }, { _tag: "InvalidOptions", field })
        }
      assert.deepStrictEqual(counted, { reads: 0, writes: 0 })
    })
  )

  it.effect("two acquires of one owner are two holds: there is no reentry", () =>
    Effect.gen(function* () {
      const { a } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* a.acquire("renderers", { limit: 2, ownerId: "me" })
          yield* a.acquire("renderers", { limit: 2, ownerId: "me" })
          assert.isTrue(Option.isNone(yield* a.tryAcquire("renderers", { limit: 2, ownerId: "me" })))
        })
      )
    })
  )
})
