/** What need not take time takes none. In virtual time, which passes only where somebody waits for it. */
import { assert, describe, it } from "#harness/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import { heard } from "../support/logged.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

type Parts = {
  readonly a: Effect.Success<ReturnType<typeof Process.make>>
  readonly link: Faulty.Faulty
  readonly storage: Storage.Service
}

/** How many milliseconds it takes. */
const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    yield* self
    return (yield* Clock.currentTimeMillis) - began
  })

const inVirtualTime = <A, E>(self: Effect.Effect<A, E, any>): Effect.Effect<A, E> =>
  VirtualTime.run(heard(() => Effect.scoped(self as Effect.Effect<A, E>)))

const setup = (
  change: (storage: Storage.Service) => Storage.Service = (storage) => storage,
  options: StorageLock.Options = {}
) =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const link = Faulty.make(change(storage))
    return { storage, link, a: yield* Process.make(link.storage, options) }
  })

const theirs = { lockId: "foo", ownerId: "other", holdId: "o".repeat(22), lease: 300_000_000 }

const isFree = (storage: Storage.Service, lockId = "foo") => Effect.map(storage.get(lockId), Option.isNone)

interface Case {
  readonly change?: (storage: Storage.Service) => Storage.Service
  readonly before: (parts: Parts) => Effect.Effect<unknown, unknown, any>
  /** In milliseconds. */
  readonly least?: number
  readonly most: number
  readonly leaves?: "held"
}

const cases: Record<string, Case> = {
  "that was never used": { before: () => Effect.void, most: 0 },
  "that was used a thousand times": {
    before: ({ a }) =>
      Effect.forEach(
        Array.from({ length: 1000 }, (_, i) => i),
        (i) => Effect.scoped(a.locks.acquire(`lock ${i}`))
      ),
    most: 0
  },
  "with holds whose bodies end at once": {
    before: ({ a }) =>
      Effect.gen(function* () {
        for (let i = 0; i < 20; i++)
          yield* Effect.forkScoped(a.run(StorageLock.withLock(Effect.never, i === 0 ? "foo" : `lock ${i}`)))
        yield* Effect.sleep("15 seconds")
      }),
    most: 5
  },
  "with a hold whose body takes a moment to end": {
    before: ({ a }) =>
      Effect.andThen(
        Effect.forkScoped(
          a.run(
            StorageLock.withLock(
              Effect.onInterrupt(Effect.never, () => Effect.sleep("300 millis")),
              "foo"
            )
          )
        ),
        Effect.sleep("1 second")
      ),
    least: 300,
    most: 305
  },
  "with a release under way": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        const lock = yield* a.locks.acquire("foo")
        yield* link.set(["release"], Faulty.slow("300 millis"))
        yield* Effect.forkScoped(lock.release)
        yield* Effect.sleep("100 millis")
      }),
    least: 200,
    most: 205
  },
  "with those who wait, and listen": {
    change: (storage) => ({ ...storage, wakeUps: Stream.never }),
    before: ({ a, storage }) =>
      Effect.gen(function* () {
        yield* storage.claim(theirs)
        for (let i = 0; i < 20; i++)
          yield* Effect.forkScoped(Effect.ignore(Effect.scoped(a.locks.acquire("foo", `w${i}`))))
        yield* Effect.sleep("5 seconds")
      }),
    most: 5,
    leaves: "held"
  },
  "with one that waits to try again, since the storage failed": {
    before: ({ a, link, storage }) =>
      Effect.gen(function* () {
        yield* storage.claim(theirs)
        yield* Effect.forkScoped(Effect.ignore(Effect.scoped(a.locks.acquire("foo"))))
        yield* Effect.sleep("1 second")
        yield* link.set(["claim"], Faulty.refuse)
        yield* Effect.sleep("8 seconds")
      }),
    most: 5,
    leaves: "held"
  },
  "with a renewal that hangs": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        yield* link.set(["renew"], Faulty.hang)
        yield* Effect.forkScoped(a.run(StorageLock.withLock(Effect.never, "foo")))
        yield* Effect.sleep("11 seconds")
      }),
    most: 5
  },
  "with a hold that was lost, and is given back": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        const lock = yield* a.locks.acquire("foo")
        yield* link.set(["renew", "release"], Faulty.refuse)
        yield* Effect.exit(lock.lost)
        yield* Effect.sleep("10 seconds")
        yield* link.set(["renew", "release"], undefined)
      }),
    most: 5
  },
  "with a claim of unknown fate that is watched for": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        yield* link.set(["claim"], { after: Faulty.failure("Connection", "unknown", false) })
        yield* Effect.exit(Effect.scoped(a.locks.acquire("foo")))
        yield* link.set(["claim"], undefined)
        yield* Effect.sleep("10 seconds")
      }),
    most: 5
  },
  "with a hold whose release fails twice": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        let n = 0
        yield* link.set(["release"], {
          before: Effect.suspend(() => (++n <= 2 ? Faulty.failure("Connection", "no") : Effect.void))
        })
        yield* Effect.forkScoped(a.run(StorageLock.withLock(Effect.never, "foo")))
        yield* Effect.sleep("1 second")
      }),
    most: 150
  },
  "with a release that is refused, again and again": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        const lock = yield* a.locks.acquire("foo")
        let n = 0
        yield* link.set(["release"], {
          before: Effect.suspend(() => {
            // It is tried again for as long as there is time, but not without a pause; without one, virtual time would stand still.
            return ++n > 40 ? Effect.void : Faulty.failure("Connection", "no")
          })
        })
        yield* lock.release
        yield* Effect.sleep("1 second")
      }),
    least: 1900,
    most: 2005,
    leaves: "held"
  },
  "with hints that cannot be ended": {
    change: (storage) => ({
      ...storage,
      wakeUps: Stream.fromEffect(Effect.uninterruptible(Effect.sleep("1 hour"))).pipe(Stream.as("foo"))
    }),
    before: ({ a, storage }) =>
      Effect.gen(function* () {
        yield* storage.claim(theirs)
        yield* Effect.forkScoped(Effect.ignore(Effect.scoped(a.locks.acquire("foo"))))
        yield* Effect.sleep("5 seconds")
      }),
    most: 1005,
    leaves: "held"
  },
  "with a storage that hangs, whatever is asked": {
    before: ({ a, link }) =>
      Effect.gen(function* () {
        yield* Effect.forkScoped(a.run(StorageLock.withLock(Effect.never, "foo")))
        yield* Effect.sleep("1 second")
        yield* link.set(["claim", "renew", "release"], { ...Faulty.hang, uninterruptible: true })
        yield* Effect.forkScoped(Effect.ignore(Effect.scoped(a.locks.acquire("bar"))))
        yield* Effect.sleep("1 second")
      }),
    most: 3005,
    leaves: "held"
  }
}

describe("closing a layer", () => {
  for (const [name, { before, change, least = 0, leaves, most }] of Object.entries(cases)) {
    it.live(`${name} takes ${most === 0 ? "no time" : `${most} ms at most`}`, () =>
      inVirtualTime(
        Effect.gen(function* () {
          const parts = yield* setup(change)
          yield* before(parts)
          const took = yield* timed(parts.a.close)
          assert.isAtLeast(Math.ceil(took), least)
          assert.isAtMost(Math.floor(took), most)
          if (leaves === undefined) assert.isTrue(yield* isFree(parts.storage))
        })
      )
    )
  }
})

describe("a release", () => {
  for (const [name, uninterruptible] of [
    ["that hangs", false],
    ["that hangs, and lets nobody interrupt it,", true]
  ] as const) {
    it.live(`${name} can be left, and is completed in the background`, () =>
      inVirtualTime(
        Effect.gen(function* () {
          const { a, link, storage } = yield* setup()
          const lock = yield* a.locks.acquire("foo")
          yield* link.set(["release"], { before: Effect.sleep("4 seconds"), uninterruptible })
          const releasing = yield* Effect.forkChild(lock.release)
          yield* Effect.sleep("100 millis")
          assert.isAtMost(yield* timed(Fiber.interrupt(releasing)), 1)
          assert.isFalse(yield* isFree(storage))
          yield* link.set(["release"], undefined)
          yield* Effect.sleep("10 seconds")
          assert.isTrue(yield* isFree(storage))
        })
      )
    )
  }

  it.live("of a withLock that hangs takes no longer than a call may take", () =>
    inVirtualTime(
      Effect.gen(function* () {
        const { a, link } = yield* setup()
        yield* link.set(["release"], { ...Faulty.hang, uninterruptible: true })
        const took = yield* timed(a.run(StorageLock.withLock(Effect.void, "foo", { leaseExpireAfter: "9 seconds" })))
        assert.isAtMost(took, 3200)
        yield* link.set(["release"], undefined)
      })
    )
  )
})
