/** A task that every process starts, and that holds its lock for a while though it is done. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import { eventLoop } from "#effect/fibers"
import type { InvalidOptions } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Faulty from "../support/faulty.js"
import { at, heard } from "../support/logged.js"
import * as Process from "../support/process.js"

const layer = { leaseExpireAfter: "3 seconds", clockMargin: "300 millis" } as const
const options = { holdAtLeast: "1 minute" } as const

const stores = {
  "by a clock": MemoryStorage.make(),
  "with observed leases": Effect.map(MemoryStorage.makeVersioned({ time: "none" }), (store) =>
    VersionedStore.toStorage(store)
  )
}

/** Virtual time passes; what it wakes has its turn. */
const pass = (millis: number) =>
  Effect.gen(function* () {
    for (let passed = 0; passed < millis; passed += 500) {
      yield* TestClock.adjust(500)
      yield* eventLoop
    }
  })

describe("once", () => {
  for (const [name, make] of Object.entries(stores)) {
    const processes = Effect.gen(function* () {
      const storage = yield* make
      const link = Faulty.make(storage)
      return { link, a: yield* Process.make(link.storage, layer), b: yield* Process.make(storage, layer) }
    })

    /** Whether somebody else gets it, at every half second. */
    const heldFor = (other: StorageLock.Service, most: number) =>
      Effect.gen(function* () {
        for (let passed = 0; passed < most; passed += 500) {
          const fiber = yield* Effect.forkChild(other.withLockIfAvailable(Effect.succeed("in"), "job"))
          yield* pass(500)
          if (Option.isSome(yield* Fiber.join(fiber))) return passed
        }
        return most
      })

    for (const [end, task] of [
      ["succeeds", Effect.succeed("done")],
      ["fails", Effect.fail("no")]
    ] as const)
      it.effect(`${name}: a task that ${end} keeps others out for its time, though its process ends`, () =>
        Effect.gen(function* () {
          const { a, b, link } = yield* processes
          yield* TestClock.adjust("10 minutes")
          const fiber = yield* Effect.forkChild(Effect.exit(a.locks.once(task, "job", options)))
          yield* pass(500)
          const exit = yield* Fiber.join(fiber)
          assert.strictEqual(Exit.isSuccess(exit), end === "succeeds")
          assert.strictEqual(link.calls.renew, 1)
          // A process that is late finds it held, and so does this one.
          const again = yield* Effect.forkChild(a.locks.once(Effect.die("twice"), "job", options))
          yield* pass(500)
          assert.isTrue(Option.isNone(yield* Fiber.join(again)))
          yield* a.close
          const held = yield* heldFor(b.locks, 120_000)
          assert.isAtLeast(held, 57_000)
          // Whoever knows the length of a lease alone has to see the whole of it.
          assert.isAtMost(held, name === "by a clock" ? 61_000 : 65_000)
        })
      )

    it.effect(`${name}: a task that takes longer is renewed, and its lock is free at its end`, () =>
      Effect.gen(function* () {
        const { a, b } = yield* processes
        const fiber = yield* Effect.forkChild(a.locks.once(Effect.sleep("2 minutes"), "job", options))
        yield* pass(119_000)
        const tried = yield* Effect.forkChild(b.locks.withLockIfAvailable(Effect.void, "job"))
        yield* pass(500)
        assert.isTrue(Option.isNone(yield* Fiber.join(tried)))
        yield* pass(1_000)
        assert.isTrue(Option.isSome(yield* Fiber.join(fiber)))
        assert.isAtMost(yield* heldFor(b.locks, 10_000), 500)
      })
    )

    it.effect(`${name}: a renewal that is under way does not make it shorter`, () =>
      Effect.gen(function* () {
        const { a, b, link } = yield* processes
        yield* link.set(["renew"], {
          before: Effect.suspend(() => (link.calls.renew === 1 ? Effect.sleep("1 second") : Effect.void))
        })
        const fiber = yield* Effect.forkChild(a.locks.once(Effect.sleep("1200 millis"), "job", options))
        yield* pass(3_000)
        assert.isTrue(Option.isSome(yield* Fiber.join(fiber)))
        assert.isAtLeast(yield* heldFor(b.locks, 120_000), 55_000)
      })
    )

    it.effect(`${name}: what the storage does not answer is asked again`, () =>
      Effect.gen(function* () {
        const { a, b, link } = yield* processes
        let failures = 2
        yield* link.set(["renew"], {
          before: Effect.suspend(() => (failures-- > 0 ? Faulty.failure("Connection", "no") : Effect.void))
        })
        yield* heard((lines) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(a.locks.once(Effect.void, "job", options))
            yield* pass(1_000)
            assert.isTrue(Option.isSome(yield* Fiber.join(fiber)))
            assert.isAtLeast(yield* heldFor(b.locks, 120_000), 57_000)
            assert.deepStrictEqual(at(lines, "Warning"), [])
          })
        )
      })
    )
  }

  it.effect("a storage that never answers ends it, with a warning, and the lock is free when its lease is over", () =>
    Effect.gen(function* () {
      const link = Faulty.make(yield* MemoryStorage.make())
      const { locks } = yield* Process.make(link.storage, layer)
      yield* link.set(["renew"], Faulty.refuse)
      yield* heard((lines) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(locks.once(Effect.void, "job", options))
          yield* pass(1_000)
          assert.isTrue(Option.isSome(yield* Fiber.join(fiber)))
          const warned = at(lines, "Warning").filter(({ message }) => message.includes("`holdAtLeast`"))
          assert.lengthOf(warned, 1)
          assert.match(warned[0]!.message, /"job" may be free before .* made by the test/)
          assert.strictEqual(link.calls.renew, 3)
        })
      )
    })
  )

  it.effect("nonsense is refused before any I/O", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const { locks } = yield* Process.make(storage, layer)
      const refused = (given: unknown) =>
        Effect.map(
          Effect.flip(locks.once(Effect.die("must not run"), "job", given as StorageLock.OnceOptions)),
          (error) => (error as InvalidOptions).field
        )
      assert.strictEqual(yield* refused(undefined), "options")
      assert.strictEqual(yield* refused({}), "holdAtLeast")
      assert.strictEqual(yield* refused({ holdAtLeast: 0 }), "holdAtLeast")
      assert.strictEqual(yield* refused({ holdAtLeast: "2 minutes", holdAtMost: "1 minute" }), "holdAtLeast")
      assert.strictEqual(yield* refused({ ...options, ownerId: "ada" }), "ownerId")
      assert.strictEqual(yield* refused({ ...options, leaseExpire: 1 }), "leaseExpire")
      assert.isTrue(Option.isNone(yield* storage.get("job")))
    })
  )
})
