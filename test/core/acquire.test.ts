/** What an acquire makes of what the storage answers, to the millisecond: over a storage whose answers the test writes, in virtual time. */
import { assert, describe, it } from "#harness/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Schedule from "#harness/Schedule"
import * as Stream from "#effect/Stream"
import * as logs from "#harness/logs"
import { always } from "#harness/chance"
import { processOf } from "../../src/common/ids.js"
import type { LockTimeout, StorageError } from "../../src/LockError.js"
import type { Claim, ClaimOutcome, LockRecord } from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"
import { run } from "../support/virtualTime.js"

type Answer = Effect.Effect<ClaimOutcome, StorageError>

const recordOf = (lockId: string, ownerId: string, holdId: string): LockRecord => ({
  lockId,
  kind: "exclusive",
  format: 1,
  ownerId,
  holds: [holdId],
  token: 9,
  version: 1,
  lockBeginTime: 0,
  leaseExpireTime: 60_000_000,
  data: ""
})

const other = recordOf("foo", "other", "x")
const held = (more?: Partial<Extract<ClaimOutcome, { readonly _tag: "Held" }>>): Answer =>
  Effect.succeed({ _tag: "Held", holder: other, ...more })
const claimed = ({ holdId, lease, lockId, ownerId }: Claim, validFor = lease): ClaimOutcome => ({
  _tag: "Claimed",
  record: recordOf(lockId, ownerId, holdId),
  validFor
})

interface Setup {
  readonly locks: StorageLock.Service
  /** When each claim was made, in milliseconds since the beginning, and by which hold id. */
  readonly claims: Array<readonly [at: number, holdId: string]>
  readonly releases: Array<readonly [at: number, holdId: string]>
  readonly since: Effect.Effect<number>
  /** Another process has freed the lock. */
  readonly hint: Effect.Effect<unknown>
  readonly close: Effect.Effect<void>
}

/** `answers` is asked for the answer to each claim, by its number. */
const over = <A>(
  answers: (index: number, request: Claim) => Answer,
  body: (setup: Setup) => Effect.Effect<A, unknown>,
  options?: StorageLock.Options
): Promise<A> =>
  Effect.runPromise(
    run(
      Effect.scoped(
        Effect.gen(function* () {
          const memory = yield* MemoryStorage.make()
          const began = yield* Clock.currentTimeMillis
          const since = Effect.map(Clock.currentTimeMillis, (now) => Math.round(now - began))
          const claims: Setup["claims"] = []
          const releases: Setup["releases"] = []
          const hints = yield* Queue.unbounded<string>()
          const storage: Storage.Service = {
            ...memory,
            wakeUps: Stream.fromQueue(hints),
            claim: (request) =>
              Effect.flatMap(since, (at) => {
                claims.push([at, request.holdId])
                return answers(claims.length - 1, request)
              }),
            release: ({ holdId }) =>
              Effect.map(since, (at) => {
                releases.push([at, holdId])
                return { _tag: "Released", remaining: 0 } as const
              })
          }
          const { close, locks } = yield* Process.make(storage, { retry: Schedule.spaced("400 millis"), ...options })
          return yield* body({ locks, claims, releases, since, hint: Queue.offer(hints, "foo"), close })
        })
      ).pipe(always(0.75), logs.atLeast("None"))
    )
  )

const fails = (self: Effect.Effect<unknown, unknown, never>) =>
  Effect.flip(self) as Effect.Effect<LockTimeout | StorageError>
const acquire = ({ locks }: Setup, options?: StorageLock.AcquireOptions, owner = "me") =>
  fails(Effect.scoped(locks.acquire("foo", owner, options)))

describe("an acquire", () => {
  it("polls by its schedule, and times out with who has it and for how long it waited", () =>
    over(
      () => held(),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, { acquireTimeout: "1 second" })
          assert(error._tag === "LockTimeout")
          assert.strictEqual(Math.round(error.waitedMillis), 1000)
          assert.strictEqual(error.heldBy?.ownerId, "other")
          assert.deepStrictEqual(
            setup.claims.map(([at]) => at),
            [0, 400, 800]
          )
          assert.strictEqual(yield* setup.since, 1000)
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(setup.releases, [], "nothing was claimed")
        })
    ))

  it("gives up when its schedule does", () =>
    over(
      () => held(),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, {
            retry: Schedule.recurs(2).pipe(Schedule.addDelay(() => Effect.succeed("100 millis")))
          })
          assert(error._tag === "LockTimeout")
          assert.strictEqual(Math.round(error.waitedMillis), 200)
          assert.strictEqual(setup.claims.length, 3)
        })
    ))

  it("asks again when the storage said that it may pay, and not sooner than its schedule for no reason", () =>
    over(
      (index) => held(index === 0 ? { retryAfter: 150_000 } : undefined),
      (setup) =>
        Effect.gen(function* () {
          yield* acquire(setup, { acquireTimeout: "1 second" })
          // A timer may be a millisecond late.
          assert.deepStrictEqual(
            setup.claims.map(([at]) => Math.floor(at / 10) * 10),
            [0, 150, 550, 950]
          )
        })
    ))

  it("that has not asked itself knows the holder from the one before it, and leaves nothing behind", () =>
    over(
      () => held(),
      (setup) =>
        Effect.gen(function* () {
          const first = yield* Effect.forkChild(acquire(setup, { acquireTimeout: "2 seconds" }, "a"))
          yield* Effect.sleep("100 millis")
          const error = yield* acquire(setup, { acquireTimeout: "500 millis" }, "b")
          assert(error._tag === "LockTimeout")
          assert.strictEqual(error.heldBy?.ownerId, "other")
          assert.deepStrictEqual(
            setup.claims.map(([at]) => at),
            [0, 400]
          )
          yield* Fiber.join(first)
        })
    ))

  it("behind a hold of this very process knows it, and of two the right one", () =>
    over(
      (_, request) => Effect.succeed(claimed(request)),
      (setup) =>
        Effect.scoped(
          Effect.gen(function* () {
            yield* setup.locks.acquire("bar", "bar's")
            yield* setup.locks.acquire("foo", "foo's")
            const error = yield* acquire(setup, { acquireTimeout: "500 millis" })
            assert(error._tag === "LockTimeout")
            assert.strictEqual(error.heldBy?.ownerId, "foo's")
            assert.strictEqual(setup.claims.length, 2)
            assert.deepStrictEqual(setup.releases, [])
          })
        )
    ))

  it("and says so though the storage is silent to the holder, who asks for it again", () =>
    over(
      (index, request) => (index === 0 ? Effect.succeed(claimed(request)) : Effect.never),
      (setup) =>
        Effect.scoped(
          Effect.gen(function* () {
            yield* setup.locks.acquire("foo", "foo's")
            const again = yield* Effect.forkChild(Effect.exit(setup.locks.acquire("foo", "foo's")))
            yield* Effect.sleep("100 millis")
            assert.strictEqual(setup.claims.length, 2)
            const error = yield* acquire(setup, { acquireTimeout: "500 millis" })
            assert(error._tag === "LockTimeout")
            assert.strictEqual(error.heldBy?.ownerId, "foo's")
            yield* Fiber.interrupt(again)
          })
        )
    ))

  it("fails after a third of a lease without an answer, whether the storage lets itself be interrupted or not", () =>
    over(
      (index) =>
        index === 0 ? Effect.never : Effect.uninterruptible(Effect.andThen(Effect.sleep("1 minute"), held())),
      (setup) =>
        Effect.gen(function* () {
          for (const _ of [1, 2]) {
            const began = yield* setup.since
            const error = yield* acquire(setup, { leaseExpireAfter: "3 seconds" })
            assert(error._tag === "StorageError")
            assert.deepInclude(
              { ...error },
              { reason: "Timeout", operation: "MemoryStorage.claim", applied: "unknown", isRetryable: true }
            )
            assert.strictEqual(error.message, "no answer from MemoryStorage within 1000 ms")
            assert.isAtMost(Math.abs((yield* setup.since) - began - 1050), 1)
          }
          assert.strictEqual(setup.claims.length, 2)
        })
    ))

  it("that times out while the storage is silent says so, and not that somebody has it", () =>
    over(
      () => Effect.never,
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, { acquireTimeout: "700 millis" })
          assert(error._tag === "StorageError")
          assert.deepInclude({ ...error }, { reason: "Timeout", operation: "MemoryStorage.claim", applied: "unknown" })
          assert.strictEqual(error.message, "no answer from MemoryStorage within 700 ms")
        })
    ))

  it("tries on through failures that may pass, with pauses that double, for a third of a lease; then it fails with the last", () =>
    over(
      (index) => Effect.fail(Faulty.failure(index === 0 ? "Timeout" : "Connection", "no")),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, { leaseExpireAfter: "6 seconds" })
          assert(error._tag === "StorageError")
          assert.deepInclude({ ...error }, { reason: "Connection", applied: "no" })
          const at = setup.claims.map(([at]) => at)
          assert.strictEqual(at[0], 0)
          for (let i = 1; i < at.length; i++) {
            // By these dice, five quarters of the usual; a sleep is of whole milliseconds.
            const expected = 1.25 * Math.min(1000, 20 * 2 ** (i - 1))
            const pause = at[i]! - at[i - 1]!
            assert.isTrue(pause >= expected - 1 && pause <= expected + 2, `pause ${i} of ${pause} ms`)
          }
          assert.isTrue(at.at(-1)! >= 2000 && at.at(-2)! < 2000, String(at))
        })
    ))

  it("and for a lease if it has waited already, counted from the first of these failures", () =>
    over(
      (index) => (index < 2 ? held() : Effect.fail(Faulty.failure("Connection", "no"))),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, { leaseExpireAfter: "6 seconds" })
          assert.strictEqual(error._tag, "StorageError")
          const at = setup.claims.map(([at]) => at)
          assert.isTrue(at.at(-1)! >= 6800 && at.at(-2)! < 6800, String(at))
        })
    ))

  it("but not through one that will not pass", () =>
    over(
      () => Effect.fail(Faulty.failure("Permission", "no", false)),
      (setup) =>
        Effect.gen(function* () {
          yield* acquire(setup)
          assert.strictEqual(setup.claims.length, 1)
          yield* Effect.sleep("1 minute")
          assert.deepStrictEqual(setup.releases, [])
        })
    ))

  it("forgets failures once it was answered: they start over", () =>
    over(
      (index) => (index % 5 === 4 ? held() : Effect.fail(Faulty.failure("Connection", "no"))),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, { leaseExpireAfter: "3 seconds", acquireTimeout: "4 seconds" })
          assert.isAbove(setup.claims.length, 12)
          const at = setup.claims.map(([at]) => at)
          // After an answer the first pause is a short one again.
          for (let i = 6; i < at.length; i += 5) assert.isAtMost(at[i]! - at[i - 1]!, 31)
          assert.isAtLeast(error.message.length, 1)
        })
    ))

  it("that is told of another's hold as its own calls that a fault of the storage", () =>
    over(
      (_, request) => Effect.succeed(claimed({ ...request, holdId: "another's" })),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup)
          assert(error._tag === "StorageError")
          assert.deepInclude({ ...error }, { reason: "Unknown", operation: "MemoryStorage.claim" })
          assert.match(error.message, /^MemoryStorage answered claim with a Claimed of another shape/)
          assert.strictEqual(setup.claims.length, 1)
        })
    ))

  it("gives back what came when nothing was left of it, and tries again as somebody else", () =>
    over(
      (index, request) => Effect.succeed(claimed(request, index === 0 ? 1_000 : undefined)),
      (setup) =>
        Effect.scoped(
          Effect.gen(function* () {
            const lock = yield* setup.locks.acquire("foo", "me")
            const [first, second] = setup.claims
            assert.notStrictEqual(first![1], second![1])
            assert.match(second![1], /^[\w-]{22}$/)
            assert.strictEqual(processOf([second![1]]), processOf([first![1]]), "others know by whose layer it is")
            assert.strictEqual(lock.holdId, second![1])
            yield* Effect.sleep("100 millis")
            assert.deepStrictEqual(
              setup.releases.map(([, holdId]) => holdId),
              [first![1]]
            )
          })
        )
    ))

  it("and says that the storage is too slow, if it always does", () =>
    over(
      (_, request) => Effect.succeed(claimed(request, 1_000)),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* acquire(setup, { leaseExpireAfter: "3 seconds" })
          assert(error._tag === "StorageError")
          assert.deepInclude(
            { ...error },
            { reason: "Timeout", operation: "MemoryStorage.claim", applied: "unknown", isRetryable: true }
          )
          assert.match(
            error.message,
            /^MemoryStorage answered when nothing was left of a lease of 3000 ms: it is too slow for so short a lease$/
          )
          yield* Effect.sleep("1 second")
          assert.strictEqual(setup.releases.length, setup.claims.length)
        })
    ))

  it("that is interrupted while its claim is under way gives back what that brings, once it has", () =>
    over(
      (_, request) => Effect.uninterruptible(Effect.as(Effect.sleep("2 seconds"), claimed(request))),
      (setup) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(acquire(setup))
          yield* Effect.sleep("1 second")
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(yield* setup.since, 1000)
          assert.deepStrictEqual(setup.releases, [])
          yield* Effect.sleep("1500 millis")
          assert.isAtLeast(setup.releases[0]![0], 2000)
          assert.strictEqual(setup.releases[0]![1], setup.claims[0]![1])
        })
    ))

  it("is over at once when its layer closes, wherever it waits", () =>
    over(
      (index) => (index === 0 ? Effect.never : held()),
      (setup) =>
        Effect.gen(function* () {
          void setup
          const memory = yield* MemoryStorage.make()
          for (const claim of [
            () => Effect.never,
            () => held(),
            () => Effect.fail(Faulty.failure("Connection", "no"))
          ]) {
            const process = yield* Process.make({ ...memory, claim })
            const waiter = yield* Effect.forkChild(fails(Effect.scoped(process.locks.acquire("foo", "me"))))
            const behind = yield* Effect.forkChild(fails(Effect.scoped(process.locks.acquire("foo", "you"))))
            yield* Effect.sleep("250 millis")
            yield* process.close
            for (const fiber of [waiter, behind]) {
              const error = yield* Fiber.join(fiber)
              assert(error._tag === "StorageError")
              assert.deepInclude({ ...error }, { reason: "Closed", operation: "StorageLock.acquire" })
            }
          }
        }).pipe(Effect.scoped)
    ))
})

describe("a try", () => {
  const tries = ({ locks }: Setup, options?: StorageLock.AcquireOptions) =>
    fails(Effect.scoped(locks.tryAcquire("foo", options)))

  it("is content with the first answer", () =>
    over(
      () => held(),
      (setup) =>
        Effect.gen(function* () {
          assert.isTrue(Option.isNone(yield* Effect.scoped(setup.locks.tryAcquire("foo"))))
          assert.strictEqual(setup.claims.length, 1)
          assert.strictEqual(yield* setup.since, 0)
        })
    ))

  it("waits five seconds for a storage that has never answered, half a second for one that has, and its acquireTimeout if it has one", () =>
    over(
      (index) => (index === 1 ? held() : Effect.never),
      (setup) =>
        Effect.gen(function* () {
          const took = (options?: StorageLock.AcquireOptions) =>
            Effect.gen(function* () {
              const began = yield* setup.since
              const error = yield* tries(setup, options)
              assert.strictEqual(error._tag, "StorageError")
              return (yield* setup.since) - began
            })
          assert.strictEqual(yield* took(), 5000)
          yield* Effect.scoped(setup.locks.tryAcquire("foo"))
          assert.strictEqual(yield* took(), 500)
          assert.strictEqual(yield* took({ acquireTimeout: "1200 millis" }), 1200)
          assert.strictEqual(yield* took({ acquireTimeout: "50 millis" }), 50)
        })
    ))

  it("beside one that waits knows that somebody has the lock, but not that they still do: for how long it had no answer is told", () =>
    over(
      (index) => (index === 0 ? held() : Effect.never),
      (setup) =>
        Effect.gen(function* () {
          const waiter = yield* Effect.forkChild(acquire(setup))
          yield* Effect.sleep("100 millis")
          const error = yield* tries(setup, { acquireTimeout: "40 millis" })
          assert.strictEqual(error._tag, "StorageError")
          assert.strictEqual(error.message, "no answer from MemoryStorage within 40 ms")
          yield* Fiber.interrupt(waiter)
        })
    ))

  it("puts up with failures for as long as that, and no longer than half a second", () =>
    over(
      () => Effect.fail(Faulty.failure("Connection", "no")),
      (setup) =>
        Effect.gen(function* () {
          const error = yield* tries(setup)
          assert.strictEqual(error._tag, "StorageError")
          const took = yield* setup.since
          assert.isTrue(took >= 500 && took < 1300, String(took))
          yield* tries(setup, { acquireTimeout: "100 millis" })
          assert.isAtMost((yield* setup.since) - took, 101)
        })
    ))
})

describe("the ids of an acquire", () => {
  /** Who asked, and by which hold id: an acquire with an owner id, and one without. */
  const asked = (provide: (self: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>) =>
    Effect.suspend(() => {
      const requests: Array<Claim> = []
      return Effect.promise(() =>
        over(
          (_, request) => {
            requests.push(request)
            return Effect.succeed(claimed(request))
          },
          ({ locks }) =>
            provide(
              Effect.andThen(
                locks.withLock(() => Effect.void, "foo", "me"),
                locks.withLock(() => Effect.void, "foo")
              )
            )
        )
      ).pipe(Effect.as(requests))
    })

  it.live("are drawn at random, the owner's only if none is given", () =>
    Effect.gen(function* () {
      const [first, second] = (yield* asked((self) => self)) as [Claim, Claim]
      assert.strictEqual(first.ownerId, "me")
      assert.lengthOf(new Set([first.holdId, second.holdId, second.ownerId]), 3)
      for (const id of [first.holdId, second.holdId, second.ownerId]) assert.match(id, /^[\w-]{22}$/)
    })
  )

  it.live("are the program's own, if it makes some", () =>
    Effect.gen(function* () {
      let made = 0
      const ids = Effect.sync(() => `${++made}`.padStart(22, "0"))
      const requests = yield* asked(Effect.provideService(StorageLock.Ids, ids))
      assert.deepStrictEqual(
        requests.map(({ holdId, ownerId }) => [Number(holdId), ownerId === "me" ? "me" : Number(ownerId)]),
        [
          [1, "me"],
          [2, 3]
        ]
      )
    })
  )
})

it("an acquire that was given up asks no more", () =>
  over(
    () => held(),
    (setup) =>
      Effect.gen(function* () {
        const exit = yield* Effect.exit(Effect.timeout(Effect.scoped(setup.locks.acquire("foo")), Duration.millis(500)))
        assert.isTrue(Exit.isFailure(exit))
        yield* Effect.sleep("1 minute")
        assert.strictEqual(setup.claims.length, 2)
      })
  ))

it("an acquire that times out amid failures fails with the last of them", () =>
  over(
    () => Effect.fail(Faulty.failure("Connection", "no")),
    (setup) =>
      Effect.gen(function* () {
        const error = yield* acquire(setup, { acquireTimeout: "300 millis" })
        assert.deepInclude({ ...error }, { _tag: "StorageError", reason: "Connection" })
        assert.strictEqual(yield* setup.since, 300)
      })
  ))

it("a hint that comes while a claim is under way is not lost", () =>
  over(
    (index) => (index === 0 ? held() : Effect.andThen(Effect.sleep("20 millis"), held())),
    (setup) =>
      Effect.gen(function* () {
        const waiter = yield* Effect.forkChild(acquire(setup, { acquireTimeout: "700 millis" }))
        yield* Effect.sleep("410 millis")
        yield* setup.hint
        yield* Fiber.join(waiter)
        assert.deepStrictEqual(
          setup.claims.map(([at]) => at),
          [0, 400, 420]
        )
      })
  ))

describe("a lock that goes from hand to hand in this process", () => {
  /** So many bodies of 20 ms, one after the other. */
  const goRound = (setup: Setup, count: number) =>
    Effect.forEach(
      Array.from({ length: count }, (_, i) => `${i}`),
      (owner) => Effect.forkChild(Effect.exit(setup.locks.withLock(() => Effect.sleep("20 millis"), "foo", owner)))
    )

  /** Nobody else writes the record. */
  const alone = (index: number, request: Claim): Answer => {
    const outcome = claimed(request)
    return Effect.succeed(
      outcome._tag === "Claimed" ? { ...outcome, record: { ...outcome.record, version: 1 + 2 * index } } : outcome
    )
  }

  const every20 = Array.from({ length: 9 }, (_, i) => 20 * i)

  it("pauses after eight turns, for others to come in: five quarters of 20 ms, by these dice", () =>
    over(alone, (setup) =>
      Effect.gen(function* () {
        yield* Effect.forEach(yield* goRound(setup, 12), Fiber.join)
        const at = setup.claims.map(([at]) => at)
        assert.deepStrictEqual(at.slice(0, 9), every20)
        // A sleep is of whole milliseconds.
        assert.isTrue(at[9]! >= 205 && at[9]! <= 207, String(at))
        assert.deepStrictEqual(
          at.slice(10).map((time) => time - at[9]!),
          [20, 40]
        )
      })
    ))

  it("pauses no longer for who only tries, and goes on when that is over", () =>
    over(alone, (setup) =>
      Effect.gen(function* () {
        const fibers = yield* goRound(setup, 10)
        yield* Effect.sleep("185 millis")
        yield* setup.locks.withLockIfAvailable(() => Effect.sleep("100 millis"), "foo", "trier")
        yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(
          setup.claims.map(([at]) => at),
          [...every20, 185, 285]
        )
      })
    ))

  it("is had by nobody in a pause, and a time-out says so", () =>
    over(alone, (setup) =>
      Effect.gen(function* () {
        const fibers = yield* goRound(setup, 10)
        yield* Effect.sleep("185 millis")
        const error = yield* acquire(setup, { acquireTimeout: "5 millis" })
        assert(error._tag === "LockTimeout")
        assert.isUndefined(error.heldBy)
        yield* Effect.forEach(fibers, Fiber.join)
      })
    ))

  it("is waited for no longer when the layer closes in a pause", () =>
    over(alone, (setup) =>
      Effect.gen(function* () {
        const fibers = yield* goRound(setup, 10)
        yield* Effect.sleep("185 millis")
        yield* setup.close
        const exit = yield* Fiber.join(fibers[9]!)
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(yield* setup.since, 185)
        assert.strictEqual(setup.claims.length, 9)
      })
    ))
})

describe("a process that has met others", () => {
  /** Three hints, 40 ms apart, then it wins, and gives it back 10 ms later, at 130 ms. Its own slot is five quarters of 73.75 ms then. */
  const won = (setup: Setup) =>
    Effect.gen(function* () {
      const first = yield* Effect.forkChild(setup.locks.withLock(() => Effect.sleep("10 millis"), "foo", "me"))
      for (let i = 0; i < 3; i++) {
        yield* Effect.sleep("40 millis")
        yield* setup.hint
      }
      yield* Fiber.join(first)
      assert.strictEqual(yield* setup.since, 130)
    })

  const answers = (index: number, request: Claim) => (index < 3 ? held() : Effect.succeed(claimed(request)))
  const again = (setup: Setup, options?: StorageLock.AcquireOptions) =>
    Effect.exit(setup.locks.withLock(() => Effect.void, "foo", "me", options))

  it("leaves the lock to them after a win, for a turn", () =>
    over(answers, (setup) =>
      Effect.gen(function* () {
        yield* won(setup)
        yield* again(setup)
        const at = setup.claims.map(([at]) => at)
        assert.deepStrictEqual(at.slice(0, 4), [0, 40, 80, 120])
        assert.isTrue(at[4]! >= 222 && at[4]! <= 224, String(at))
      })
    ))

  it("but not for more than half of the time that it has", () =>
    over(answers, (setup) =>
      Effect.gen(function* () {
        yield* won(setup)
        yield* again(setup, { acquireTimeout: "100 millis" })
        assert.strictEqual(setup.claims[4]![0], 180)
      })
    ))

  /** It has met two others twice each, won, and waits again: two hints of others, and it is next. The hint of its own release has come. */
  const third = (
    body: (setup: Setup, waiter: Fiber.Fiber<Exit.Exit<unknown, unknown>>) => Effect.Effect<unknown, unknown>
  ) => {
    let isFree = false
    return over(
      (index, request) =>
        isFree
          ? Effect.succeed(claimed(request))
          : held({ holder: { ...other, token: index, holds: [`other${index % 2}`] } }),
      (setup) =>
        Effect.gen(function* () {
          const winner = yield* Effect.forkChild(setup.locks.withLock(() => Effect.sleep("10 millis"), "foo", "me"))
          for (const hint of [1, 2, 3, 4]) {
            yield* Effect.sleep("40 millis")
            isFree = hint === 4
            yield* setup.hint
          }
          yield* Fiber.join(winner)
          isFree = false
          const waiter = yield* Effect.forkChild(again(setup))
          yield* Effect.sleep("300 millis")
          isFree = true
          setup.claims.length = 0
          yield* setup.hint
          yield* Effect.sleep("40 millis")
          assert.deepStrictEqual(setup.claims, [], "others have waited for longer")
          yield* body(setup, waiter)
        }),
      { retry: Schedule.spaced("10 seconds") }
    )
  }

  it("that waits leaves the lock to those who have waited for longer: so many hints", () =>
    third((setup, waiter) =>
      Effect.gen(function* () {
        yield* setup.hint
        yield* Effect.sleep("40 millis")
        assert.deepStrictEqual(setup.claims, [])
        const now = yield* setup.since
        yield* setup.hint
        yield* Fiber.join(waiter)
        assert.deepStrictEqual(
          setup.claims.map(([at]) => at),
          [now]
        )
      })
    ))

  it("or so long as that takes, if they do not come", () =>
    third((setup, waiter) =>
      Effect.gen(function* () {
        const now = yield* setup.since
        yield* Fiber.join(waiter)
        // Two are wanting, of 100 ms at most each, and 40 ms are over.
        const took = setup.claims[0]![0] - now
        assert.isTrue(took >= 158 && took <= 162, String(took))
      })
    ))

  it("and is waited for no longer than the layer is open", () =>
    third((setup, waiter) =>
      Effect.gen(function* () {
        const now = yield* setup.since
        yield* setup.close
        assert.isTrue(Exit.isFailure(yield* Fiber.join(waiter)))
        assert.deepStrictEqual([yield* setup.since, setup.claims], [now, []])
      })
    ))

  it("asks for nothing when its layer closes meanwhile", () =>
    over(answers, (setup) =>
      Effect.gen(function* () {
        yield* won(setup)
        const waiter = yield* Effect.forkChild(again(setup))
        yield* Effect.sleep("20 millis")
        yield* setup.close
        assert.isTrue(Exit.isFailure(yield* Fiber.join(waiter)))
        assert.strictEqual(setup.claims.length, 4)
      })
    ))

  it("nor while somebody here has tried, and got it", () =>
    over(answers, (setup) =>
      Effect.gen(function* () {
        yield* won(setup)
        const waiter = yield* Effect.forkChild(again(setup))
        yield* Effect.sleep("20 millis")
        yield* setup.locks.withLockIfAvailable(() => Effect.sleep("300 millis"), "foo", "trier")
        yield* Fiber.join(waiter)
        assert.deepStrictEqual(
          setup.claims.slice(4).map(([at]) => at),
          [150, 450]
        )
      })
    ))
})
