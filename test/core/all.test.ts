/** Several locks at once: in one order, all or none, lost with the first of them. */
import { assert, describe, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import * as Result from "#effect/Result"
import { resultOf } from "#harness/outcomes"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as SqliteStorage from "../../src/backends/sqlite/SqliteStorage.js"
import { byBytes } from "../../src/core/all.js"
import { InvalidLockId, InvalidOptions, LockTimeout } from "../../src/LockError.js"
import * as LockManager from "../../src/LockManager.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

const options = { leaseExpireAfter: "3 seconds", clockMargin: "300 millis" } as const

const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const link = Faulty.make(storage)
  return { storage, link, a: yield* Process.make(link.storage, options), b: yield* Process.make(storage, options) }
})

/** Claims in the order in which they are made. */
const recording = (storage: Storage.Service) => {
  const claims: Array<string> = []
  return {
    claims,
    storage: {
      ...storage,
      claim: (request: Parameters<Storage.Service["claim"]>[0]) =>
        Effect.suspend(() => {
          claims.push(request.lockId)
          return storage.claim(request)
        })
    }
  }
}

const held = ({ locks }: { readonly locks: StorageLock.Service }) =>
  Effect.map(Stream.runCollect(Stream.orDie(locks.list)), (all) =>
    Array.from(all)
      .map(({ lockId }) => lockId)
      .sort()
  )

const failureOf = <A, E>(self: Effect.Effect<A, E>) => Effect.flip(self as Effect.Effect<never, E>)

describe("several locks", () => {
  it.effect("are held together, each with its token, and given back together", () =>
    Effect.gen(function* () {
      const { a, b, link } = yield* setup
      const tokens = yield* Effect.scoped(
        Effect.gen(function* () {
          const set = yield* a.locks.acquireAll(["b", "a", "c"])
          const [first, second, third] = set.locks
          assert.deepStrictEqual([first.lockId, second.lockId, third.lockId], ["b", "a", "c"])
          assert.deepStrictEqual(yield* held(b), ["a", "b", "c"])
          assert.strictEqual(Option.getOrThrow(set.get("a")), second)
          assert.isTrue(Option.isNone(set.get("d")))
          assert.strictEqual(first.ownerId, third.ownerId)
          assert.isAbove(Duration.toMillis(yield* set.check), 2000)
          assert.isAbove(Duration.toMillis(yield* set.renew), 2000)
          return set.locks.map(({ token }) => token)
        })
      )
      assert.isTrue(tokens.every((token) => token > 0))
      assert.deepStrictEqual(yield* held(b), [])
      assert.deepStrictEqual([link.calls.claim, link.calls.release], [3, 3])
    })
  )

  it.effect("an early release is of all, and no loss", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const set = yield* a.locks.acquireAll(["a", "b"])
      yield* set.release
      assert.deepStrictEqual(yield* held(b), [])
      assert.strictEqual((yield* Effect.flip(set.check)).reason, "Released")
      assert.isAtMost(set.unsafeRemainingMillis(), 0)
      yield* set.release
    })
  )

  it.effect("one that is given back by itself is named when the set is looked at", () =>
    Effect.gen(function* () {
      const { a } = yield* setup
      const set = yield* a.locks.acquireAll(["a", "b"])
      yield* set.locks[1].release
      assert.deepInclude(yield* Effect.flip(set.check), { reason: "Released", lockId: "b" })
    })
  )

  it.effect("are renewed side by side", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      const set = yield* a.locks.acquireAll(["a", "b", "c"])
      yield* link.set(["renew"], Faulty.slow("100 millis"))
      const renewing = yield* Effect.forkChild(set.renew)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(renewing)
      yield* link.set(["renew"], Faulty.refuse)
      assert.strictEqual((yield* Effect.flip(set.renew))._tag, "StorageError")
    })
  )

  it.effect("free ones are asked for side by side, once the storage has answered: one request each", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      yield* Effect.scoped(a.locks.acquire("x"))
      yield* link.set(["claim", "release"], Faulty.slow("100 millis"))
      for (const [take, claims] of [
        [a.locks.acquireAll(["c", "b", "a", "d"]), 4],
        [a.locks.tryAcquireAll(["c", "b", "a", "d"]), 4],
        [a.locks.acquireAll(["c"]), 1]
      ] as const) {
        const before = { ...link.calls }
        const fiber = yield* Effect.forkChild(Effect.scoped<unknown, unknown, never>(take as never))
        // A claim and a release, and not four of each.
        yield* TestClock.adjust("100 millis")
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual([link.calls.claim - before.claim, link.calls.release - before.release], [claims, claims])
      }
    })
  )

  it.effect("are waited for in the order of the bytes of their ids", () =>
    Effect.gen(function* () {
      const { storage } = yield* setup
      const { claims, storage: recorded } = recording(storage)
      const a = yield* Process.make(recorded, options)
      // A process that has not heard of the storage yet asks for one after the other.
      yield* Effect.scoped(a.locks.acquireAll(["\u{10000}", "b", "\uFFFD", "B", "ba", "\u00e9"]))
      assert.deepStrictEqual(claims, ["B", "b", "ba", "\u00e9", "\uFFFD", "\u{10000}"])
      const bytes = ["a", "A", "\u{10ffff}", "\ud7ff", "\ue000", "\uffff", "\u{10000}", "", "aa", "é"]
      for (const one of bytes)
        for (const other of bytes)
          assert.strictEqual(
            Math.sign(byBytes(one, other)),
            Math.sign(Buffer.compare(Buffer.from(one), Buffer.from(other))),
            JSON.stringify([one, other])
          )
    })
  )

  it.effect("whoever waits holds nothing that comes after what it waits for", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      yield* Effect.scoped(a.locks.acquire("x"))
      const busy = yield* b.locks.acquire("b")
      const waiting = yield* Effect.forkChild(
        Effect.scoped(Effect.andThen(a.locks.acquireAll(["c", "b", "a"]), Effect.never))
      )
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* held(b), ["a", "b"])
      yield* busy.release
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* held(b), ["a", "b", "c"])
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* held(b), [])
    })
  )

  it.effect("what this process itself holds is not asked for, nor what comes after it", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      const busy = yield* a.locks.acquire("b")
      const before = link.calls.claim
      const waiting = yield* Effect.forkChild(a.locks.acquireAll(["c", "b", "a"]))
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual(link.calls.claim - before, 1)
      yield* busy.release
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(waiting)
      assert.strictEqual(link.calls.claim - before, 3)
    })
  )

  it.effect("a try takes none if one is held, and says which", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const busy = yield* b.locks.acquireAll(["b", "d"])
      const refused = resultOf(yield* a.locks.tryAcquireAll(["a", "b", "c", "d"]))
      assert(Result.isFailure(refused))
      assert.deepStrictEqual(
        refused.failure.map(({ holder, lockId }) => [lockId, Option.getOrThrow(holder).token]),
        busy.locks.map(({ lockId, token }) => [lockId, token])
      )
      assert.deepStrictEqual(yield* held(b), ["b", "d"])
      yield* busy.release
      const had = resultOf(yield* a.locks.tryAcquireAll(["a", "b", "c", "d"]))
      assert.strictEqual(Result.isSuccess(had) && had.success.locks.length, 4)
    })
  )

  it.effect("an owner that has some of them already enters them again", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const outer = yield* a.locks.acquire("b", "me")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { locks } = yield* a.locks.acquireAll(["a", "b"], "me", { acquireTimeout: "1 second" })
          assert.strictEqual(locks[1].token, outer.token)
        })
      )
      assert.deepStrictEqual(yield* held(b), ["b"])
    })
  )
})

describe("all or none", () => {
  it.effect("one time-out for all together, after which nothing is kept", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const first = yield* b.locks.acquire("a")
      yield* b.locks.acquire("b", "other")
      const waiting = yield* Effect.forkChild(
        failureOf(Effect.scoped(a.locks.acquireAll(["b", "c", "a"], { acquireTimeout: "10 seconds" })))
      )
      yield* TestClock.adjust("6 seconds")
      yield* first.release
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* held(b), ["a", "b"])
      yield* TestClock.adjust("2900 millis")
      assert.deepStrictEqual(yield* held(b), ["a", "b"])
      yield* TestClock.adjust("200 millis")
      const error = yield* Fiber.join(waiting)
      assert(error instanceof LockTimeout)
      assert.strictEqual(error.lockId, "b")
      assert.strictEqual(error.holder, "other")
      assert.approximately(error.waitedMillis, 10_000, 100)
      assert.deepStrictEqual(yield* held(b), ["b"])
    })
  )

  it.effect("a storage that fails half way: what was taken is given back before it is told", () =>
    Effect.gen(function* () {
      const { b, storage } = yield* setup
      const refusing: Storage.Service = {
        ...storage,
        claim: (request) =>
          request.lockId === "b" ? Faulty.failure("Permission", "no", false) : storage.claim(request)
      }
      for (const heard of [false, true]) {
        const a = yield* Process.make(refusing, options)
        if (heard) yield* Effect.scoped(a.locks.acquire("x"))
        for (const take of [a.locks.acquireAll(["a", "b", "c"]), a.locks.tryAcquireAll(["a", "b", "c"])]) {
          const error = yield* Effect.flip(Effect.scoped(take as Effect.Effect<never, StorageLock.AcquireError>))
          assert.deepInclude({ ...error }, { _tag: "StorageError", reason: "Permission" })
          assert.deepStrictEqual(yield* held(b), [])
        }
      }
    })
  )

  for (const wait of [true, false])
    it.effect(`interrupted half way, ${wait ? "waiting" : "trying"}: all is given back`, () =>
      Effect.gen(function* () {
        const { b, storage } = yield* setup
        const begun = yield* Deferred.make<void>()
        const hanging: Storage.Service = {
          ...storage,
          claim: (request) =>
            request.lockId === "b"
              ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
              : storage.claim(request)
        }
        const a = yield* Process.make(hanging, options)
        yield* Effect.scoped(a.locks.acquire("x"))
        const taking = yield* Effect.forkChild(
          Effect.scoped<unknown, unknown, never>(
            (wait ? a.locks.acquireAll(["a", "b", "c"]) : a.locks.tryAcquireAll(["a", "b", "c"])) as never
          )
        )
        yield* Deferred.await(begun)
        assert.include(yield* held(b), "a")
        yield* Fiber.interrupt(taking)
        assert.deepStrictEqual(yield* held(b), [])
      })
    )

  it.effect("one that is lost while another is waited for is acquired again, before the body begins", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const busy = yield* b.locks.acquire("b")
      const tokens = yield* Effect.forkChild(
        a.locks.withLocks(
          ({ locks: [one, two] }) => Effect.all([one.check, two.check, Effect.succeed(one.token)]),
          ["a", "b"]
        )
      )
      yield* TestClock.adjust("1 seconds")
      const { token } = Option.getOrThrow(yield* b.locks.get("a"))
      yield* b.locks.forceRelease("a", { token, when: "now" })
      yield* TestClock.adjust("2 seconds")
      yield* busy.release
      yield* TestClock.adjust("5 seconds")
      assert.isAbove((yield* Fiber.join(tokens))[2], token)
      assert.deepStrictEqual(yield* held(b), [])
    })
  )
})

describe("a set is lost with the first of its locks", () => {
  it.effect("the body is interrupted, and the others are given back once it has ended", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const begun = yield* Deferred.make<StorageLock.LockSet>()
      const events: Array<string> = []
      const body = yield* Effect.forkChild(
        failureOf(
          a.locks.withLocks(
            (set) =>
              Deferred.succeed(begun, set).pipe(
                Effect.andThen(Effect.never),
                Effect.onInterrupt(() =>
                  Effect.andThen(
                    Effect.sleep("100 millis"),
                    Effect.map(held(b), (ids) => void events.push(`ended with ${ids.join()}`))
                  )
                )
              ),
            ["a", "b", "c"]
          )
        )
      )
      const set = yield* Deferred.await(begun)
      const lost = yield* Effect.forkChild(Effect.flip(set.lost))
      yield* TestClock.adjust("100 millis")
      yield* b.locks.forceRelease("b", { token: set.locks[1]!.token, when: "now" })
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(body)
      assert.deepInclude({ ...error }, { _tag: "LockLost", lockId: "b", reason: "Forced" })
      assert.strictEqual((yield* Fiber.join(lost)).lockId, "b")
      assert.strictEqual((yield* Effect.flip(set.check)).lockId, "b")
      assert.strictEqual((yield* Effect.flip(set.guard(Effect.void))).lockId, "b")
      assert.deepStrictEqual(events, ["ended with a,c"])
      assert.deepStrictEqual(yield* held(b), [])
    })
  )

  it.effect("when the storage is cut, before others can have any of them", () =>
    Effect.gen(function* () {
      const { a, b, link } = yield* setup
      const ended = yield* Deferred.make<ReadonlyArray<string>>()
      const body = yield* Effect.forkChild(
        Effect.exit(
          a.locks.withLocks(
            Effect.never.pipe(Effect.onInterrupt(() => Effect.flatMap(held(b), (ids) => Deferred.succeed(ended, ids)))),
            ["a", "b"]
          )
        )
      )
      yield* TestClock.adjust("500 millis")
      yield* link.set(["claim", "renew", "release"], Faulty.hang)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(body)))
      assert.deepStrictEqual(yield* Deferred.await(ended), ["a", "b"])
    })
  )

  it.effect("holdAtMost counts from when all are had", () =>
    Effect.gen(function* () {
      const { a, b } = yield* setup
      const busy = yield* b.locks.acquire("b")
      const body = yield* Effect.forkChild(
        failureOf(a.locks.withLocks(Effect.sleep("1 minute"), ["a", "b"], { holdAtMost: "5 seconds" }))
      )
      const short = yield* Effect.forkChild(
        Effect.exit(a.locks.withLocks(Effect.sleep("4 seconds"), ["b", "c"], { holdAtMost: "5 seconds" }))
      )
      yield* TestClock.adjust("8 seconds")
      yield* busy.release
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude({ ...(yield* Fiber.join(body)) }, { _tag: "LockLost", reason: "HeldTooLong" })
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(short)))
    })
  )

  it.effect("an acquire of any of them in the body, without the owner, could only wait for itself", () =>
    Effect.gen(function* () {
      const { a } = yield* setup
      for (const id of ["a", "b", "c"]) {
        const error = yield* failureOf(a.locks.withLocks(Effect.scoped(a.locks.acquire(id)), ["a", "b", "c"]))
        assert.deepInclude({ ...error }, { _tag: "InvalidOptions", field: "ownerId" })
      }
      const error = yield* failureOf(a.locks.withLocks(Effect.scoped(a.locks.acquireAll(["d", "b"])), ["a", "b", "c"]))
      assert.deepInclude({ ...error }, { _tag: "InvalidOptions", field: "ownerId" })
      yield* a.locks.withLocks(
        (set) => Effect.scoped(a.locks.acquireAll(["b", "d"], { ownerId: set.locks[0].ownerId })),
        ["a", "b", "c"]
      )
    })
  )
})

describe("before any I/O", () => {
  const wrong: Record<string, readonly [unknown, string]> = {
    "an empty list": [[], "lockIds must be one lock or more, but is empty"],
    "no list": ["abc", 'lockIds must be an array, but is "abc"'],
    nothing: [undefined, "lockIds must be an array, but is of type undefined"],
    "one id twice": [["a", "b", "a"], 'lockIds[2] must be another lock than those before it, but is "a" once more'],
    "an empty id": [["a", ""], "lockIds[1]"],
    "an id that is no text": [["a", 1], "lockIds[1]"],
    // eslint-disable-next-line no-sparse-arrays
    "a hole": [["a", , "b"], "lockIds[1]"]
  }
  for (const [name, [ids, told]] of Object.entries(wrong))
    it.effect(`${name} is refused`, () =>
      Effect.gen(function* () {
        const { a, link } = yield* setup
        for (const self of [
          Effect.scoped(a.locks.acquireAll(ids as ReadonlyArray<string>)),
          Effect.scoped(a.locks.tryAcquireAll(ids as ReadonlyArray<string>)),
          a.locks.withLocks(Effect.void, ids as ReadonlyArray<string>)
        ]) {
          const error = yield* Effect.flip(self as Effect.Effect<never, StorageLock.AcquireError>)
          assert(error instanceof InvalidOptions || error instanceof InvalidLockId)
          assert.isTrue(error.message.startsWith(told), error.message)
        }
        assert.strictEqual(link.calls.claim, 0)
      })
    )

  it.effect("options are looked at, and a body that is none", () =>
    Effect.gen(function* () {
      const { a, link } = yield* setup
      const errors = [
        yield* failureOf(Effect.scoped(a.locks.acquireAll(["a"], { holdAtMost: 0 }))),
        yield* failureOf(Effect.scoped(a.locks.acquireAll(["a"], ""))),
        yield* failureOf(a.locks.withLocks("body" as never, ["a"]))
      ]
      assert.deepStrictEqual(
        errors.map((error) => error instanceof InvalidOptions && error.field),
        ["holdAtMost", "ownerId", "body"]
      )
      assert.strictEqual(link.calls.claim, 0)
    })
  )
})

/** Each takes two neighbours of five, in its own order, many times. A philosopher whose fork is in another's hand would end the run with an error. */
const dinner = (tables: ReadonlyArray<StorageLock.Service>, meals: number) =>
  Effect.gen(function* () {
    const inHand = new Set<string>()
    let eaten = 0
    const eat = (forks: ReadonlyArray<string>) =>
      Effect.gen(function* () {
        for (const fork of forks) assert.isFalse(inHand.has(fork), fork)
        for (const fork of forks) inHand.add(fork)
        yield* Effect.sleep("1 millis")
        for (const fork of forks) inHand.delete(fork)
        eaten++
      })
    yield* Effect.forEach(
      [0, 1, 2, 3, 4],
      (i) => {
        const forks = [`fork ${i}`, `fork ${(i + 1) % 5}`]
        const locks = tables[i % tables.length]!
        return Effect.replicateEffect(locks.withLocks(eat(forks), i % 2 === 0 ? forks : forks.reverse()), meals)
      },
      { concurrency: "unbounded" }
    )
    return eaten
  })

describe("philosophers", () => {
  it.live("of two layers over one storage dine without a deadlock, in virtual time", () =>
    VirtualTime.run(
      Effect.gen(function* () {
        const storage = yield* MemoryStorage.make()
        const [a, b] = [yield* Process.make(storage, options), yield* Process.make(storage, options)]
        assert.strictEqual(yield* dinner([a.locks, b.locks], 40), 200)
        assert.deepStrictEqual(yield* held(a), [])
      })
    )
  )

  it.live(
    "of two layers with connections of their own to one SQLite file",
    () =>
      Effect.gen(function* () {
        const folder = mkdtempSync(join(tmpdir(), "storage-lock-all-"))
        yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true, force: true })))
        const table = Effect.map(
          Layer.build(
            StorageLock.layer().pipe(Layer.provide(SqliteStorage.layer({ filename: join(folder, "locks.db") })))
          ),
          (context) => Effect.runSync(Effect.provide(StorageLock.StorageLock, context))
        )
        assert.strictEqual(yield* dinner([yield* table, yield* table], 10), 50)
      }),
    60_000
  )
})

describe("over several lock services", () => {
  const manager = Effect.gen(function* () {
    const storages = {
      orders: Faulty.make(yield* MemoryStorage.make()),
      sessions: Faulty.make(yield* MemoryStorage.make())
    }
    const claims: Array<string> = []
    const over = (name: string, { storage }: Faulty.Faulty, own?: StorageLock.Options) =>
      StorageLock.layer({ ...options, ...own }).pipe(
        Layer.provide(
          Layer.succeed(Storage.Storage, {
            ...storage,
            claim: (request) =>
              Effect.suspend(() => {
                claims.push(`${name}/${request.lockId}`)
                return storage.claim(request)
              })
          })
        )
      )
    const context = yield* Layer.build(
      LockManager.layer({
        sessions: over("sessions", storages.sessions),
        orders: over("orders", storages.orders, { leaseExpireAfter: "10 seconds" })
      })
    )
    return {
      ...storages,
      claims,
      run: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, context),
      list: Effect.provide(
        Effect.map(
          Effect.all([Stream.runCollect(LockManager.list("orders")), Stream.runCollect(LockManager.list("sessions"))]),
          ([orders, sessions]) => [Array.from(orders).length, Array.from(sessions).length]
        ),
        context
      )
    }
  })

  it.effect("locks are taken in the order of services and ids, and given back together", () =>
    Effect.gen(function* () {
      const { claims, list, run } = yield* manager
      const list_ = [
        ["sessions", "a"],
        ["orders", "b"],
        ["orders", "a"]
      ] as const
      const seen = yield* run(
        LockManager.withLocks(list_)((set) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(
              set.locks.map(({ lockId }) => lockId),
              ["a", "b", "a"]
            )
            assert.isAbove(Duration.toMillis(yield* set.check), 0)
            assert.isAbove(Duration.toMillis(yield* set.renew), 0)
            assert.isAbove(set.unsafeRemainingMillis(), 0)
            assert.strictEqual(yield* set.guard(Effect.succeed(1)), 1)
            assert.strictEqual(Option.getOrThrow(set.get("b")), set.locks[1])
            return yield* list
          })
        )
      )
      assert.deepStrictEqual(seen, [2, 1])
      assert.deepStrictEqual(claims, ["orders/a", "orders/b", "sessions/a"])
      assert.deepStrictEqual(yield* list, [0, 0])
    })
  )

  it.effect("they are as good as the shortest of their leases; they are renewed and given back side by side", () =>
    Effect.gen(function* () {
      const { list, orders, run, sessions } = yield* manager
      const both = LockManager.withLocks([
        ["sessions", "a"],
        ["orders", "a"]
      ])
      const body = (set: StorageLock.LockSet) =>
        Effect.gen(function* () {
          assert.isAtMost(set.unsafeRemainingMillis(), 3_000)
          assert.isAtMost(Duration.toMillis(yield* set.check), 3_000)
          for (const { set: fault } of [orders, sessions]) yield* fault(["renew", "release"], Faulty.slow("100 millis"))
          const renewing = yield* Effect.forkChild(set.renew)
          yield* TestClock.adjust("100 millis")
          assert.isAtMost(Duration.toMillis(yield* Fiber.join(renewing)), 3_000)
          const releasing = yield* Effect.forkChild(set.release)
          yield* TestClock.adjust("100 millis")
          yield* Fiber.join(releasing)
          return yield* list
        })
      assert.deepStrictEqual(yield* run(both(body)), [0, 0])
    })
  )

  it.effect("one time-out for all; a loss in one ends the body and gives back the rest", () =>
    Effect.gen(function* () {
      const { list, run, sessions } = yield* manager
      const other = yield* Process.make(sessions.storage, options)
      const busy = yield* other.locks.acquire("a")
      const both = LockManager.withLocks(
        [
          ["sessions", "a"],
          ["orders", "a"]
        ],
        { acquireTimeout: "5 seconds" }
      )
      const late = yield* Effect.forkChild(failureOf(run(both(Effect.void))))
      yield* TestClock.adjust("4900 millis")
      assert.deepStrictEqual(yield* list, [1, 1])
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* Fiber.join(late))._tag, "LockTimeout")
      assert.deepStrictEqual(yield* list, [0, 1])
      yield* busy.release
      const lost = yield* Effect.forkChild(failureOf(run(both(({ lost }) => lost))))
      yield* TestClock.adjust("1 seconds")
      yield* sessions.set(["renew", "claim", "release"], Faulty.hang)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(lost))._tag, "LockLost")
      assert.strictEqual((yield* list)[0], 0)
    })
  )

  it.effect(
    "what is no list of pairs, a pair twice, an unknown service, and a bad id are refused before any claim",
    () =>
      Effect.gen(function* () {
        const { claims, run } = yield* manager
        const wrong: ReadonlyArray<readonly [unknown, string]> = [
          [[], "list"],
          ["orders", "list"],
          [[["orders", "a"], ["orders"]], "list[1]"],
          [
            [
              ["orders", "a"],
              ["sessions", "a"],
              ["orders", "a"]
            ],
            "list[2]"
          ],
          [
            [
              ["orders", "a"],
              ["sessions", ""]
            ],
            "list[1]"
          ],
          [
            [
              ["orders", "a"],
              ["nobody", "a"]
            ],
            "unknown"
          ]
        ]
        for (const [list, field] of wrong) {
          const error = yield* failureOf(run(LockManager.withLocks(list as [])(Effect.void)))
          assert.strictEqual("field" in error ? error.field : "unknown", field)
        }
        assert.deepStrictEqual(claims, [])
      })
  )
})
