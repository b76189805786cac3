/** However often a living layer is used, and however that ends, it keeps nothing of it: timers, queues, workers, work in the background. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Stream from "#effect/Stream"
import { type Counts, Inspector } from "../../src/core/counts.js"
import * as onlooker from "../../src/core/onlooker.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import { heard } from "../support/logged.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

interface Parts {
  readonly locks: StorageLock.Service
  readonly link: Faulty.Faulty
  readonly storage: Storage.Service
}

const rounds = 500

const faulty = (
  link: Faulty.Faulty,
  operations: ReadonlyArray<Faulty.Operation>,
  fault: Faulty.Fault,
  self: Effect.Effect<unknown, unknown>
) =>
  link.set(operations, fault).pipe(Effect.andThen(Effect.exit(self)), Effect.andThen(link.set(operations, undefined)))

/** One use each. */
const uses: Record<string, (parts: Parts, i: number) => Effect.Effect<unknown, unknown>> = {
  withLock: ({ locks }, i) => locks.withLock(() => Effect.void, `lock ${i}`),
  "withLock, with a time-out, and always of one lock": ({ locks }) =>
    locks.withLock(() => Effect.void, "lock", { acquireTimeout: "1 minute" }),
  tryAcquire: ({ locks }, i) => Effect.scoped(locks.tryAcquire(`lock ${i}`)),
  "tryAcquire of what somebody has": ({ locks }) => Effect.scoped(locks.tryAcquire("theirs")),
  "tryAcquire of a storage that fails": ({ link, locks }, i) =>
    faulty(
      link,
      ["claim"],
      Faulty.refuse,
      Effect.scoped(locks.tryAcquire(`lock ${i}`, { acquireTimeout: "20 millis" }))
    ),
  "a time-out": ({ locks }) =>
    Effect.exit(locks.withLock(() => Effect.void, "theirs", { acquireTimeout: "10 millis" })),
  "an interruption": ({ locks }) =>
    Effect.flatMap(Effect.forkChild(locks.withLock(() => Effect.void, "theirs")), (fiber) =>
      Effect.andThen(Effect.sleep("10 millis"), Fiber.interrupt(fiber))
    ),
  "a body that fails": ({ locks }, i) => Effect.exit(locks.withLock(() => Effect.fail("of the test"), `lock ${i}`)),
  "a reentry": ({ locks }, i) =>
    locks.withLock(() => locks.withLock(() => Effect.void, `lock ${i}`, "me"), `lock ${i}`, "me"),
  "a renewal by hand": ({ locks }, i) => locks.withLock((lock) => lock.renew, `lock ${i}`),
  "renewals in time": ({ locks }, i) =>
    i % 10 > 0
      ? Effect.void
      : locks.withLock(() => Effect.sleep("2 seconds"), `lock ${i}`, { leaseExpireAfter: "1 second" }),
  "a loss": ({ link, locks }, i) =>
    i % 10 > 0
      ? Effect.void
      : faulty(
          link,
          ["renew"],
          Faulty.refuse,
          locks.withLock(() => Effect.never, `lock ${i}`, { leaseExpireAfter: "1 second" })
        ),
  "an operator": ({ locks }, i) =>
    Effect.exit(
      locks.withLock(
        (lock) => Effect.andThen(locks.forceRelease(lock.lockId, { token: lock.token, when: "now" }), Effect.never),
        `lock ${i}`
      )
    ),
  "a claim whose reply is lost": ({ link, locks }, i) =>
    faulty(
      link,
      ["claim"],
      { after: Faulty.failure("Connection", "unknown", false) },
      locks.withLock(() => Effect.void, `lock ${i}`)
    ),
  "a claim that hangs": ({ link, locks }, i) =>
    faulty(
      link,
      ["claim"],
      Faulty.hang,
      locks.withLock(() => Effect.void, `lock ${i}`, { acquireTimeout: "10 millis" })
    ),
  "a release that fails at first": ({ link, locks }, i) =>
    Effect.suspend(() => {
      let n = 0
      return faulty(
        link,
        ["release"],
        { before: Effect.suspend(() => (n++ === 0 ? Faulty.failure("Connection", "no") : Effect.void)) },
        Effect.andThen(
          locks.withLock(() => Effect.void, `lock ${i}`),
          Effect.sleep("100 millis")
        )
      )
    }),
  "an id that is none": ({ locks }) => Effect.exit(locks.withLock(() => Effect.void, ""))
}

describe(`after ${rounds} times`, () => {
  for (const [name, use] of Object.entries(uses)) {
    it.live(`${name}, a layer keeps what it kept before`, () =>
      VirtualTime.run(
        heard(() =>
          Effect.scoped(
            Effect.gen(function* () {
              const storage = yield* MemoryStorage.make()
              const link = Faulty.make(storage)
              let counts = (): Counts => assert.fail("there is no layer")
              const { locks } = yield* Process.make(link.storage).pipe(
                Effect.provideService(Inspector, (told) => {
                  counts = told
                })
              )
              yield* storage.claim({
                lockId: "theirs",
                ownerId: "other",
                holdId: "o".repeat(22),
                lease: 86_400_000_000
              })
              const parts = { locks, link, storage }
              for (let i = 0; i < rounds; i++) yield* use(parts, i)
              // What is watched for is watched for a lease.
              yield* Effect.sleep("2 minutes")
              const { timers, busyWorkers, tasks, due, holds, idleWorkers, direct, inBackground, acquiring, queues } =
                counts()
              assert.deepStrictEqual(
                { acquiring, busyWorkers, tasks, due, direct, holds, inBackground },
                { acquiring: 0, busyWorkers: 0, tasks: 0, due: 0, direct: 0, holds: 0, inBackground: 0 }
              )
              assert.isAtMost(timers, 2)
              assert.isAtMost(queues, 2)
              assert.isAtMost(idleWorkers, 64)
            })
          )
        )
      )
    )
  }
})

describe("who listens", () => {
  it.live("and leaves, leaves nothing behind, however long the hold or the layer lives", () =>
    VirtualTime.run(
      Effect.scoped(
        Effect.gen(function* () {
          let counts = (): Counts => assert.fail("there is no layer")
          const { locks } = yield* Process.make(yield* MemoryStorage.make()).pipe(
            Effect.provideService(Inspector, (told) => {
              counts = told
            })
          )
          const lock = yield* locks.acquire("held")
          const set = yield* locks.acquireAll(["one", "two"])
          const briefly = <A, E>(self: Effect.Effect<A, E>) =>
            Effect.flatMap(Effect.forkChild(self), (fiber) =>
              Effect.andThen(Effect.sleep("10 millis"), Fiber.interrupt(fiber))
            )
          const ways: Record<string, Effect.Effect<unknown, unknown>> = {
            "events of a layer": briefly(Stream.runDrain(locks.events)),
            "who leads": briefly(Stream.runDrain(onlooker.leader(locks, "job", 1_000))),
            "the loss of a hold": briefly(lock.lost),
            "the loss of a set": briefly(set.lost),
            "a body that a hold guards": lock.guard(Effect.void),
            "one that is interrupted": briefly(lock.guard(Effect.never)),
            "a body that a set guards": set.guard(Effect.void),
            "one of a set that is interrupted": briefly(set.guard(Effect.never))
          }
          const { listeners } = counts()
          for (const [way, self] of Object.entries(ways)) {
            for (let i = 0; i < 5; i++) yield* self
            assert.strictEqual(counts().listeners, listeners, way)
          }
        })
      )
    )
  )
})
