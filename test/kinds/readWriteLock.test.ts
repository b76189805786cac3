/** Read-write locks as programs use them, in virtual time. */
import { assert, describe, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import { eventLoop } from "#effect/fibers"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import { readWrite } from "../../src/kinds/readWrite.js"
import { toStorage } from "../../src/VersionedStore.js"
import * as Shared from "../support/sharedLocks.js"

/** Of one process after the other. */
const setup = (options?: Parameters<typeof Shared.make>[0]) =>
  Effect.gen(function* () {
    const shared = yield* Shared.make(options)
    return { ...shared, a: yield* shared.readWrite(), b: yield* shared.readWrite() }
  })

/** Some moments, until all that can happen has happened: on Effect 4 a fiber that is woken goes on in a later turn of the event loop. */
const moments = Effect.forEach(
  Array.from({ length: 20 }),
  () => Effect.andThen(eventLoop, TestClock.adjust("100 millis")),
  { discard: true }
)

for (const time of [undefined, "none"] as const) {
  const settings = time === undefined ? {} : { time }
  describe(`read-write locks, ${time === undefined ? "by the storage's clock" : "observed"}`, () => {
    it.effect("reads go together, across processes; a write waits for them, and goes alone", () =>
      Effect.gen(function* () {
        const { a, b } = yield* setup(settings)
        const log: Array<string> = []
        const end = yield* Deferred.make<void>()
        const reading = (locks: typeof a, name: string) =>
          Effect.suspend(() => {
            log.push(`${name} reads`)
            return Effect.andThen(
              Deferred.await(end),
              Effect.sync(() => log.push(`${name} ends`))
            )
          }).pipe((body) => locks.withReadLock(body, "prices"))
        const readers = yield* Effect.forEach([a, b, a], (locks, n) => Effect.forkChild(reading(locks, `${n}`)))
        yield* moments
        assert.deepStrictEqual(log.splice(0).sort(), ["0 reads", "1 reads", "2 reads"])
        const writer = yield* Effect.forkChild(
          b.withWriteLock(
            Effect.sync(() => log.push("writes")),
            "prices"
          )
        )
        yield* moments
        assert.deepStrictEqual(log, [])
        yield* Deferred.succeed(end, undefined)
        yield* moments
        assert.deepStrictEqual(log.splice(0).sort(), ["0 ends", "1 ends", "2 ends", "writes"])
        yield* Effect.forEach([...readers, writer], Fiber.join)
      })
    )

    it.effect("nobody starves: who waits first gets in before those that come later and would keep it out", () =>
      Effect.gen(function* () {
        const { a, b } = yield* setup(settings)
        const first = yield* Effect.forkChild(a.withReadLock(Effect.sleep("20 seconds"), "prices"))
        yield* moments
        const writer = yield* Effect.forkChild(b.withWriteLock(Effect.sleep("20 seconds"), "prices"))
        yield* moments
        // Though only readers are in.
        assert.isTrue(Option.isNone(yield* Effect.scoped(a.tryRead("prices"))))
        const late = yield* Effect.forkChild(a.withReadLock(Effect.void, "prices"))
        yield* TestClock.adjust("17 seconds")
        yield* Fiber.join(first)
        // The writer is in, and the reader that came after it is not.
        const info = Option.getOrThrow(yield* a.get("prices"))
        assert.deepStrictEqual(
          info.holders!.map(({ mode }) => mode),
          ["write"]
        )
        yield* TestClock.adjust("22 seconds")
        yield* Fiber.join(writer)
        yield* moments
        yield* Fiber.join(late)
      })
    )

    it.effect("who gives up gives up its place: those behind it go on at once", () =>
      Effect.gen(function* () {
        const { a, b } = yield* setup(settings)
        const reader = yield* Effect.forkChild(a.withReadLock(Effect.never, "prices"))
        yield* moments
        const writer = yield* Effect.forkChild(
          Effect.flip(Effect.scoped(b.write("prices", { acquireTimeout: "3 seconds" })))
        )
        yield* moments
        assert.isTrue(Option.isNone(yield* Effect.scoped(a.tryRead("prices"))))
        yield* TestClock.adjust("1500 millis")
        const error = yield* Fiber.join(writer)
        assert.strictEqual(error._tag, "LockTimeout")
        assert.isTrue(Option.isSome(yield* Effect.scoped(a.tryRead("prices"))))
        yield* Fiber.interrupt(reader)
      })
    )

    it.effect("a place in the queue of a process that died is free again after its own lease", () =>
      Effect.gen(function* () {
        const { a, store } = yield* setup(settings)
        const reader = yield* Effect.forkChild(a.withReadLock(Effect.never, "prices"))
        yield* moments
        // It asks once, and never again.
        const dead = toStorage(store, { kind: readWrite })
        const claim = { lockId: "prices", ownerId: "dead", holdId: "d".repeat(22), lease: 5_000_000 }
        const held = yield* dead.claim({ ...claim, mode: "write", waits: true })
        assert.isTrue(held._tag === "Held" && held.pending === true)
        const late = yield* Effect.forkChild(a.withReadLock(Effect.void, "prices"))
        yield* moments
        yield* TestClock.adjust("6 seconds")
        yield* Fiber.join(late)
        yield* Fiber.interrupt(reader)
      })
    )
  })
}

describe("read-write locks", () => {
  it.effect("a thousand readers of one process get in with a handful of writes, and out again", () =>
    Effect.gen(function* () {
      const { a, counted } = yield* setup()
      const end = yield* Deferred.make<void>()
      let inside = 0
      const readers = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 1000 }, (_, n) => n),
          () =>
            a.withReadLock(
              Effect.suspend(() => {
                inside++
                return Deferred.await(end)
              }),
              "prices"
            ),
          { concurrency: "unbounded" }
        )
      )
      yield* moments
      assert.strictEqual(inside, 1000)
      assert.isAtMost(counted.writes, 5)
      yield* Deferred.succeed(end, undefined)
      yield* moments
      yield* Fiber.join(readers)
      assert.isAtMost(counted.writes, 12)
    })
  )

  it.effect("an owner that writes may read, and write again, with one token; one that reads may read again", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup()
      const ownerId = "me"
      yield* Effect.scoped(
        Effect.gen(function* () {
          const write = yield* a.write("prices", ownerId)
          const read = yield* a.read("prices", ownerId)
          const again = yield* b.write("prices", { ownerId })
          assert.deepStrictEqual([read.token, again.token], [write.token, write.token])
          assert.isTrue(Option.isNone(yield* b.tryRead("prices")))
        })
      )
      yield* Effect.scoped(Effect.andThen(a.read("prices", ownerId), a.read("prices", ownerId)))
      assert.isTrue(Option.isNone(yield* a.get("prices")))
    })
  )

  it.effect("a read that wants to write is refused before it is asked for, alone or not", () =>
    Effect.gen(function* () {
      const { a, counted } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* a.read("prices", "me")
          const before = { ...counted }
          for (const write of [
            Effect.scoped(a.write("prices", "me")),
            Effect.scoped(a.tryWrite("prices", { ownerId: "me" })),
            a.withWriteLock(Effect.void, "prices", "me")
          ]) {
            const error = yield* Effect.flip<unknown, object, never>(write)
            assert.deepInclude<object>({ ...error }, { _tag: "UpgradeRefused", lockId: "prices", ownerId: "me" })
          }
          assert.deepStrictEqual({ ...counted }, before)
          // Another lock, or another owner, is another matter.
          yield* Effect.scoped(a.write("other", "me"))
        })
      )
      yield* Effect.scoped(a.write("prices", "me"))
    })
  )

  it.effect(
    "an upgradable read goes beside others, one at a time, and writes when they have ended, with a token newer than theirs",
    () =>
      Effect.gen(function* () {
        const { a, b } = yield* setup()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const lock = yield* a.upgradable("prices")
            assert.isTrue(Option.isNone(yield* b.tryUpgradable("prices")))
            assert.isTrue(Option.isNone(yield* b.tryWrite("prices")))
            const reader = yield* Effect.forkChild(b.withReadLock(Effect.sleep("10 seconds"), "prices"))
            yield* moments
            const holders = Option.getOrThrow(yield* a.get("prices")).holders!
            const newest = Math.max(...holders.map(({ token }) => token))
            assert.isAbove(newest, lock.token)
            const upgraded = yield* Effect.forkChild(
              Effect.scoped(
                Effect.flatMap(a.upgrade(lock), (write) => Effect.as(Effect.sleep("5 seconds"), write.token))
              )
            )
            yield* moments
            // It keeps others out while it waits.
            assert.isTrue(Option.isNone(yield* b.tryRead("prices")))
            yield* TestClock.adjust("7 seconds")
            yield* Fiber.join(reader)
            const now = Option.getOrThrow(yield* b.get("prices"))
            assert.deepStrictEqual(now.holders!.map(({ mode }) => mode).sort(), ["upgradable", "write"])
            yield* TestClock.adjust("6 seconds")
            assert.isAbove(yield* Fiber.join(upgraded), newest)
            // It reads on, with the owner's newest token: a resource that it wrote to must not refuse it.
            assert.isAbove(lock.token, newest)
            assert.isTrue(Option.isSome(yield* b.tryRead("prices")))
            assert.isAbove(Duration.toMillis(yield* lock.check), 0)
          })
        )
      })
  )

  it.effect("an owner that writes has all its holds of the new token, however it came to write", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup()
      const ways = [
        a.write("prices", "ada"),
        Effect.map(a.tryWrite("prices", "ada"), Option.getOrThrow),
        a.withWriteLock((lock) => Effect.succeed(lock), "prices", "ada")
      ]
      for (const way of ways)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const lock = yield* a.upgradable("prices", "ada")
            const before = lock.token
            // Newer than what the owner has so far.
            yield* Effect.scoped(b.read("prices"))
            const { token } = yield* Effect.scoped(way)
            assert.isAbove(token, before)
            assert.strictEqual(lock.token, token)
          })
        )
    })
  )

  it.effect("only what `upgradable` gave is upgraded", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const read = yield* a.read("prices")
          const foreign = yield* b.upgradable("prices")
          for (const lock of [read, foreign]) {
            const error = yield* Effect.flip(Effect.scoped(a.upgrade(lock)))
            assert.deepInclude({ ...error }, { _tag: "InvalidOptions", field: "lock" })
          }
        })
      )
    })
  )

  it.effect("who waits too long is told who is in the way, and how many", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup()
      const readers = yield* Effect.forEach([a, a, b], (locks) =>
        Effect.forkChild(Effect.scoped(Effect.andThen(locks.read("prices", { ownerLabel: "web" }), Effect.never)))
      )
      yield* moments
      const waiting = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(b.write("prices", { acquireTimeout: "1 second" })))
      )
      yield* moments
      const error = yield* Fiber.join(waiting)
      assert(error._tag === "LockTimeout")
      assert.strictEqual(error.heldBy?.holderCount, 3)
      assert.include(error.message, "and 2 more")
      assert.include(error.message, "web")
      yield* Effect.forEach(readers, Fiber.interrupt)
    })
  )

  it.effect("a hold that an operator took away is told so, and the others go on", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const mine = yield* a.read("prices")
          const other = yield* b.read("prices")
          for (const [when, lock] of [["leaseEnd", mine] as const, ["now", other] as const]) {
            const taker = lock === mine ? b : a
            assert.isTrue(yield* taker.forceRelease("prices", { token: lock.token, when }))
            if (when === "leaseEnd") assert.isAbove(Duration.toMillis(yield* other.check), 0)
            yield* TestClock.adjust("11 seconds")
            const error = yield* Effect.flip(lock.check)
            assert.strictEqual(error.reason, "Forced")
          }
        })
      )
    })
  )

  it.effect("an exclusive lock on the same id keeps all out, and is kept out by all", () =>
    Effect.gen(function* () {
      const { a, exclusive, semaphore } = yield* setup()
      const locks = yield* exclusive()
      const permits = yield* semaphore()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lock = yield* locks.acquire("prices")
          assert.isTrue(Option.isNone(yield* a.tryRead("prices")))
          assert.isTrue(Option.isNone(yield* permits.tryAcquire("prices", { limit: 5 })))
          // Each sees its own kind alone.
          assert.isTrue(Option.isNone(yield* a.get("prices")))
          assert.isFalse(yield* a.forceRelease("prices", { token: lock.token, when: "now" }))
          assert.isAbove(Duration.toMillis(yield* lock.check), 0)
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          const read = yield* a.read("prices")
          assert.isTrue(Option.isNone(yield* locks.tryAcquire("prices")))
          assert.isTrue(Option.isNone(yield* locks.get("prices")))
          assert.isTrue(Option.isNone(yield* permits.tryAcquire("prices", { limit: 5 })))
          assert.isAbove(Duration.toMillis(yield* read.check), 0)
        })
      )
      const lock = yield* Effect.scoped(permits.acquire("prices", { limit: 2 }))
      const later = yield* Effect.scoped(locks.acquire("prices"))
      assert.isAbove(later.token, lock.token)
    })
  )

  it.effect("closing the layer gives back what it holds, and a body that ran is told", () =>
    Effect.gen(function* () {
      const shared = yield* Shared.make()
      const b = yield* shared.readWrite()
      const body = yield* Effect.forkChild(
        Effect.scoped(
          Effect.flatMap(shared.readWrite(), (a) => Effect.exit(a.withWriteLock(Effect.sleep("1 minute"), "prices")))
        )
      )
      yield* moments
      assert.isTrue(Option.isNone(yield* Effect.scoped(b.tryRead("prices"))))
      yield* Fiber.interrupt(body)
      assert.isTrue(Option.isSome(yield* Effect.scoped(b.tryRead("prices"))))
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(Effect.scoped(b.write("prices")))))
    })
  )
})
