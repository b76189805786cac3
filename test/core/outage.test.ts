/** What is told, and what is left behind, when the storage fails under those who want a lock. */
import { assert, describe, it } from "#harness/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as fibers from "#effect/fibers"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

const setup = (options?: StorageLock.Options) =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const link = Faulty.make(storage)
    return { storage, link, a: yield* Process.make(link.storage, options) }
  })

type Locks = StorageLock.Service

const acquired = (locks: Locks, owner: string, options: StorageLock.AcquireOptions) =>
  Effect.flip(Effect.scoped(locks.acquire("foo", owner, options)))

/** How an effect failed, and after how many milliseconds, while time goes on. */
const timed = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(Effect.zip(Effect.exit(self), Clock.currentTimeMillis))
    for (let i = 0; i < 400 && fibers.exitOf(fiber) === undefined; i++) yield* TestClock.adjust("50 millis")
    const [exit, ended] = yield* Fiber.join(fiber)
    return { exit, took: ended - began }
  })

describe("an outage is never told as contention", () => {
  const outages: Record<string, Faulty.Fault> = {
    "that hangs": Faulty.hang,
    "that cannot be interrupted": { ...Faulty.hang, uninterruptible: true },
    "that refuses": Faulty.refuse,
    "that loses replies": Faulty.loseReply
  }
  for (const [name, fault] of Object.entries(outages)) {
    it.effect(`by a storage ${name}: also those who queue behind the one that asks get a StorageError`, () =>
      Effect.gen(function* () {
        const { a, link } = yield* setup()
        yield* link.set(["claim"], fault)
        const waiters = yield* Effect.forEach(["1", "2", "3", "4", "5"], (owner) =>
          Effect.forkChild(acquired(a.locks, owner, { acquireTimeout: "3 seconds" }))
        )
        yield* TestClock.adjust("3100 millis")
        for (const [index, waiter] of waiters.entries()) {
          const error = yield* Fiber.join(waiter)
          assert.strictEqual(error._tag, "StorageError", error.message)
          // Who has never asked has left nothing.
          if (index > 0) assert.strictEqual((error as { applied?: string }).applied, "no")
        }
      })
    )
  }

  it.effect("however often one tries, and in every order of time-outs", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup()
      yield* Effect.scoped(a.locks.acquire("foo"))
      yield* link.set(["claim"], Faulty.hang)
      for (const seconds of [3, 1, 2, 0.2]) {
        const { exit, took } = yield* timed(acquired(a.locks, "x", { acquireTimeout: seconds * 1000 }))
        assert(Exit.isSuccess(exit) && exit.value._tag === "StorageError")
        assert.isTrue(exit.value.isRetryable)
        assert.isAtMost(took, seconds * 1000 + 50)
      }
      // The one behind has less time than the one that asks.
      const first = yield* Effect.forkChild(acquired(a.locks, "first", { acquireTimeout: "5 seconds" }))
      yield* TestClock.adjust("10 millis")
      const { exit } = yield* timed(acquired(a.locks, "second", { acquireTimeout: "300 millis" }))
      assert(Exit.isSuccess(exit) && exit.value._tag === "StorageError")
      yield* Fiber.interrupt(first)
    })
  )

  it.effect("when the holder's release hangs, those who wait behind it are told of the storage", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup()
      const lock = yield* a.locks.acquire("foo", "holder")
      yield* link.set(["claim", "release"], Faulty.hang)
      const releasing = yield* Effect.forkChild(lock.release)
      const { exit } = yield* timed(acquired(a.locks, "waiter", { acquireTimeout: "3 seconds" }))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value._tag, "StorageError")
      yield* link.set(["claim", "release"], undefined)
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(releasing)
    })
  )

  it.effect("a storage that fell silent after it had named a holder is an outage, too", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* setup()
      yield* storage.claim({ lockId: "foo", ownerId: "other", holdId: "o".repeat(22), lease: 30_000_000 })
      const waiting = yield* Effect.forkChild(acquired(a.locks, "waiter", { acquireTimeout: "8 seconds" }))
      yield* TestClock.adjust("2 seconds")
      yield* link.set(["claim"], Faulty.hang)
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "StorageError")
    })
  )

  it.effect("but LockTimeout, which names the holder, is right where somebody has it", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* setup()
      yield* storage.claim({ lockId: "foo", ownerId: "other", holdId: "o".repeat(22), lease: 30_000_000 })
      const waiters = yield* Effect.forEach(["1", "2", "3"], (owner) =>
        Effect.forkChild(acquired(a.locks, owner, { acquireTimeout: "2 seconds" }))
      )
      yield* TestClock.adjust("2100 millis")
      for (const waiter of waiters) {
        const error = yield* Fiber.join(waiter)
        assert.strictEqual(error._tag === "LockTimeout" && error.heldBy?.ownerId, "other")
      }
      // Held in this very process: true whatever the storage does.
      yield* TestClock.adjust("30 seconds")
      yield* a.locks.acquire("foo", "here")
      yield* link.set(["claim", "renew"], Faulty.hang)
      const { exit } = yield* timed(acquired(a.locks, "waiter", { acquireTimeout: "2 seconds" }))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value._tag === "LockTimeout" && exit.value.heldBy?.ownerId, "here")
    })
  )
})

describe("tryAcquire through an outage", () => {
  for (const [name, fault] of Object.entries({
    hanging: Faulty.hang,
    refusing: Faulty.refuse,
    losing: Faulty.loseReply,
    slow: Faulty.slow("20 seconds")
  })) {
    it.effect(`of a ${name} storage takes half a second in all, or its acquireTimeout`, () =>
      Effect.gen(function* () {
        const { a, link } = yield* setup()
        yield* Effect.scoped(a.locks.acquire("bar"))
        yield* link.set(["claim"], fault)
        const tries = [
          { self: Effect.scoped(a.locks.tryAcquire("foo")), most: 600 },
          { self: Effect.scoped(a.locks.tryAcquire("foo", { acquireTimeout: "200 millis" })), most: 250 },
          { self: Effect.scoped(a.locks.tryAcquire("foo", { acquireTimeout: "2 seconds" })), most: 2050 },
          { self: a.locks.withLockIfAvailable(() => Effect.void, "foo"), most: 600 },
          { self: a.locks.withLockIfAvailable(() => Effect.void, "foo", { acquireTimeout: "200 millis" }), most: 250 }
        ]
        for (const { most, self } of tries) {
          const { exit, took } = yield* timed(Effect.flip(self as Effect.Effect<unknown, StorageLock.AcquireError>))
          assert(Exit.isSuccess(exit))
          assert.strictEqual(exit.value._tag, "StorageError")
          assert.isAtMost(took, most)
        }
      })
    )
  }

  it.effect("is more patient before the storage was ever heard of: it may have to be connected to", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup()
      yield* link.set(["claim"], Faulty.slow("2 seconds"))
      const { exit } = yield* timed(Effect.scoped(a.locks.tryAcquire("foo")))
      assert(Exit.isSuccess(exit) && Option.isSome(exit.value))
      yield* link.set(["claim"], Faulty.hang)
      const { took } = yield* timed(Effect.exit(Effect.scoped(a.locks.tryAcquire("foo"))))
      assert.isAtMost(took, 600)
    })
  )
})

/** Whether the storage keeps anything of a lock. */
const isHeld = (storage: Storage.Service) => Effect.map(storage.get("foo"), Option.isSome)

describe("what a claim of unknown fate may have left is given back", () => {
  /** A storage that keeps claims from their arrival until the test lets them arrive. */
  const withLateClaims = (told: (n: number) => Effect.Effect<never, ReturnType<typeof Faulty.failure>> | undefined) =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const late: Array<Effect.Effect<unknown>> = []
      let claims = 0
      const a = yield* Process.make(
        {
          ...storage,
          claim: (request) => {
            const instead = told(++claims)
            if (instead === undefined) return storage.claim(request)
            late.push(Effect.orDie(storage.claim(request)))
            return instead
          }
        },
        { leaseExpireAfter: "3 seconds" }
      )
      return { storage, a, late }
    })
  const unknown = Faulty.failure("Connection", "unknown")

  it.effect("though tryAcquire was told afterwards that somebody else has the lock", () =>
    Effect.gen(function* () {
      const { a, late, storage } = yield* withLateClaims((n) => (n === 1 ? unknown : undefined))
      yield* storage.claim({ lockId: "foo", ownerId: "other", holdId: "o".repeat(22), lease: 30_000_000 })
      const { exit } = yield* timed(Effect.scoped(a.locks.tryAcquire("foo")))
      assert(Exit.isSuccess(exit) && Option.isNone(exit.value))
      yield* storage.release({ lockId: "foo", holdId: "o".repeat(22) })
      yield* Effect.all(late)
      assert.isTrue(yield* isHeld(storage))
      yield* TestClock.adjust("2500 millis")
      assert.isFalse(yield* isHeld(storage))
    })
  )

  it.effect("though the hold that it asked for was had and released, and a late copy comes after that", () =>
    Effect.gen(function* () {
      const { a, late, storage } = yield* withLateClaims((n) => (n === 1 ? unknown : undefined))
      const { exit } = yield* timed(Effect.scoped(a.locks.acquire("foo")))
      assert(Exit.isSuccess(exit))
      yield* TestClock.adjust("100 millis")
      assert.isFalse(yield* isHeld(storage))
      yield* Effect.all(late)
      assert.isTrue(yield* isHeld(storage))
      yield* TestClock.adjust("2500 millis")
      assert.isFalse(yield* isHeld(storage))
    })
  )

  it.effect("though it was released once already, and a second copy of the one claim comes", () =>
    Effect.gen(function* () {
      const { a, late, storage } = yield* withLateClaims(() => Faulty.failure("Connection", "unknown", false))
      yield* Effect.exit(Effect.scoped(a.locks.acquire("foo")))
      yield* late[0]!
      assert.isTrue(yield* isHeld(storage))
      yield* TestClock.adjust("200 millis")
      assert.isFalse(yield* isHeld(storage))
      yield* late[0]!
      yield* TestClock.adjust("2500 millis")
      assert.isFalse(yield* isHeld(storage))
    })
  )

  it.effect("though the claim hung for longer than the lease, and the first releases fail", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* setup({ leaseExpireAfter: "3 seconds" })
      yield* link.set(["claim"], { ...Faulty.slow("8 seconds"), uninterruptible: true })
      yield* link.set(["release"], Faulty.refuse)
      yield* timed(acquired(a.locks, "a", { acquireTimeout: "1 second" }))
      yield* TestClock.adjust("7200 millis")
      assert.isTrue(yield* isHeld(storage))
      yield* link.set(["claim", "release"], undefined)
      yield* TestClock.adjust("1200 millis")
      assert.isFalse(yield* isHeld(storage))
    })
  )

  it.effect("though the storage failed for longer than a lease, where it has deepened a hold that lives on", () =>
    Effect.gen(function* () {
      const { a, link, storage } = yield* setup({ leaseExpireAfter: "3 seconds" })
      yield* a.locks.acquire("foo", "me")
      yield* link.set(["claim"], Faulty.loseReply)
      yield* link.set(["release"], Faulty.refuse)
      yield* timed(acquired(a.locks, "me", { acquireTimeout: "1 second" }))
      yield* TestClock.adjust("20 seconds")
      yield* link.set(["claim", "release"], undefined)
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(Option.getOrThrow(yield* storage.get("foo")).record.holds.length, 1)
    })
  )

  it.effect('and the error says so: `applied` is "unknown" if any claim\'s fate is', () =>
    Effect.gen(function* () {
      const { a } = yield* withLateClaims((n) => (n === 1 ? unknown : Faulty.failure("Permission", "no", false)))
      const { exit } = yield* timed(acquired(a.locks, "a", {}))
      assert(Exit.isSuccess(exit))
      assert.deepInclude({ ...exit.value }, { _tag: "StorageError", reason: "Permission", applied: "unknown" })
      const { a: b } = yield* withLateClaims(() => Faulty.failure("Permission", "no", false))
      const { exit: certain } = yield* timed(acquired(b.locks, "a", {}))
      assert(Exit.isSuccess(certain))
      assert.deepInclude({ ...certain.value }, { _tag: "StorageError", reason: "Permission", applied: "no" })
    })
  )

  it.effect('a time-out while a claim is under way says "unknown"', () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup()
      yield* link.set(["claim"], Faulty.hang)
      const { exit } = yield* timed(acquired(a.locks, "a", { acquireTimeout: "1 second" }))
      assert(Exit.isSuccess(exit))
      assert.deepInclude({ ...exit.value }, { _tag: "StorageError", reason: "Timeout", applied: "unknown" })
    })
  )
})
