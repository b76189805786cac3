/** What is logged of holds, in virtual time. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as TestClock from "#harness/testing/TestClock"
import * as Fiber from "#effect/Fiber"
import type { StorageError } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as StorageLock from "../../src/StorageLock.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Faulty from "../support/faulty.js"
import { at, heard, type Line } from "../support/logged.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

/** Renewed each second, and lost 2.7 seconds after the last renewal. */
const options = { leaseExpireAfter: "3 seconds", clockMargin: "300 millis", ownerLabel: "web-1 pid 7" } as const

const process = Effect.gen(function* () {
  const link = Faulty.make(yield* MemoryStorage.make())
  return { link, ...(yield* Process.make(link.storage, options)) }
})

const warnings = (lines: ReadonlyArray<Line>) => at(lines, "Warning")
const infos = (lines: ReadonlyArray<Line>) => at(lines, "Info")

describe("renewals that fail", () => {
  for (const [name, fault] of Object.entries({ refused: Faulty.refuse, hanging: Faulty.hang })) {
    it.effect(`${name}: one warning when half of what was left has passed, and one when the hold is lost`, () =>
      heard((lines) =>
        Effect.gen(function* () {
          const { link, locks } = yield* process
          const lock = yield* locks.acquire("foo")
          yield* TestClock.adjust("1500 millis")
          assert.deepStrictEqual(lines, [])
          yield* link.set(["renew"], fault)
          // Renewed at 1000 and until 4000; should be at 2000, is lost at 3700: half of the time between has passed at 2850.
          yield* TestClock.adjust("1349 millis")
          assert.deepStrictEqual(warnings(lines), [])
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(warnings(lines).length, 1)
          const [endangered] = warnings(lines)
          assert.match(
            endangered!.message,
            /not renewed.*"foo" of web-1 pid 7 \(token \d+, lease until 1970-01-01T00:00:04\.000Z\)/
          )
          assert.match(
            endangered!.message,
            fault === Faulty.refuse ? /Connection: a Connection made by the test/ : /has not answered|no answer/
          )
          assert.deepInclude(endangered!.annotations, {
            lockId: "foo",
            ownerLabel: "web-1 pid 7",
            ownerId: lock.ownerId,
            token: lock.token,
            leaseEnd: "1970-01-01T00:00:04.000Z",
            reason: fault === Faulty.refuse ? "Connection" : "Timeout"
          })
          yield* TestClock.adjust("849 millis")
          assert.strictEqual(warnings(lines).length, 1)
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(warnings(lines).length, 2)
          const lost = warnings(lines)[1]!
          assert.match(lost.message, /lost, since its lease could not be renewed in time: "foo" of web-1 pid 7/)
          assert.deepInclude(lost.annotations, {
            lockId: "foo",
            ownerLabel: "web-1 pid 7",
            leaseEnd: "1970-01-01T00:00:04.000Z",
            reason: "Expired"
          })
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(warnings(lines).length, 2)
          assert.deepStrictEqual(infos(lines), [])
          const debug = at(lines, "Debug").filter(({ message }) => message.includes("a renewal failed"))
          assert.isAtLeast(debug.length, 2)
          assert.isTrue(debug.every(({ annotations }) => annotations.lockId === "foo"))
        })
      )
    )
  }

  it.effect("that recover: one warning, and one line when they do; each time again", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { link, locks } = yield* process
        const lock = yield* locks.acquire("foo")
        for (let outage = 1; outage <= 3; outage++) {
          yield* TestClock.adjust("20 seconds")
          yield* lock.renew
          yield* link.set(["renew"], Faulty.refuse)
          yield* TestClock.adjust("2200 millis")
          yield* link.set(["renew"], undefined)
          yield* TestClock.adjust("2 seconds")
          yield* lock.check
          assert.strictEqual(warnings(lines).length, outage)
          assert.strictEqual(infos(lines).length, outage)
          assert.match(infos(lines)[outage - 1]!.message, /renewed again: "foo" of web-1 pid 7/)
        }
      })
    )
  )

  it.effect("once, before half of what was left has passed, are a matter of debugging", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { link, locks } = yield* process
        const lock = yield* locks.acquire("foo")
        yield* TestClock.adjust("900 millis")
        yield* link.set(["renew"], Faulty.refuse)
        yield* TestClock.adjust("200 millis")
        yield* link.set(["renew"], undefined)
        yield* TestClock.adjust("10 seconds")
        yield* lock.check
        assert.isAtLeast(at(lines, "Debug").length, 1)
        assert.deepStrictEqual([...warnings(lines), ...infos(lines)], [])
      })
    )
  )

  it.live("of a thousand holds of all ages fill no log", () =>
    heard(
      (lines) =>
        VirtualTime.run(
          Effect.scoped(
            Effect.gen(function* () {
              const { link, locks } = yield* process
              for (let i = 0; i < 1000; i++) {
                yield* locks.acquire(`lock ${i}`)
                if (i % 20 === 0) yield* Effect.sleep("40 millis")
              }
              yield* link.set(["renew", "release"], Faulty.refuse)
              yield* Effect.sleep("10 minutes")
              assert.isAtMost(warnings(lines).length, 12)
              const all = warnings(lines)
                .map(({ message }) => message)
                .join("\n")
              assert.match(all, /and \d+ more/)
              // Each is counted once among the lost.
              const lost = warnings(lines).filter(({ message }) => message.includes("lost, since"))
              assert.strictEqual(
                lost.reduce(
                  (sum, { annotations }) => sum + (typeof annotations.locks === "number" ? annotations.locks : 1),
                  0
                ),
                1000
              )
              assert.isAtMost(Math.max(...lines.map(({ message }) => message.length)), 1500)
            })
          )
        ),
      "Info"
    )
  )

  it.effect("for two reasons are told apart", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const store = yield* MemoryStorage.makeVersioned()
        const faults: Record<string, StorageError["reason"]> = { a: "Schema", b: "Permission" }
        let isBroken = false
        const { locks } = yield* Process.make(
          VersionedStore.toStorage({
            ...store,
            get: (lockId) => {
              const reason = faults[lockId]
              return isBroken && reason !== undefined ? Faulty.failure(reason, "no", false) : store.get(lockId)
            }
          }),
          options
        )
        for (const lockId of ["a", "b", "c"]) yield* locks.acquire(lockId)
        isBroken = true
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(
          warnings(lines)
            .map(({ annotations }) => [annotations.lockId, annotations.reason])
            .sort(),
          [
            ["a", "Schema"],
            ["b", "Permission"]
          ]
        )
      })
    )
  )
})

describe("a hold that is lost", () => {
  it.effect("because an operator took it away, is told once", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { locks } = yield* process
        const lock = yield* locks.acquire("foo")
        yield* locks.forceRelease("foo", { token: lock.token, when: "now" })
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(
          warnings(lines).map(({ annotations }) => [annotations.lockId, annotations.reason]),
          [["foo", "Forced"]]
        )
      })
    )
  )

  it.effect("because its layer was closed, is no warning", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { close, locks } = yield* process
        yield* locks.acquire("foo")
        const closing = yield* Effect.forkChild(close)
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.await(closing)
        assert.deepStrictEqual(warnings(lines), [])
        assert.deepStrictEqual(
          infos(lines).map(({ annotations }) => [annotations.lockId, annotations.reason]),
          [["foo", "Closed"]]
        )
      })
    )
  )
})

it.effect("a hold that lives and ends in order says nothing", () =>
  heard(
    (lines) =>
      Effect.gen(function* () {
        const { locks } = yield* process
        const fiber = yield* Effect.forkChild(locks.withLock(() => Effect.sleep("1 minute"), "foo"))
        yield* TestClock.adjust("2 minutes")
        yield* Fiber.await(fiber)
        assert.deepStrictEqual(lines, [])
      }),
    "All"
  )
)

describe("a lock that cannot be given back", () => {
  const done = (locks: StorageLock.Service, lockId: string) => locks.withLock(() => Effect.succeed("done"), lockId)
  const broken: Faulty.Fault = { before: Faulty.failure("Permission", "no", false) }

  it.effect(
    "for good is warned of at once and once, with until when it blocks; and once more when it could be after all",
    () =>
      heard((lines) =>
        Effect.gen(function* () {
          const { link, locks } = yield* process
          yield* link.set(["release"], broken)
          assert.strictEqual(yield* done(locks, "foo"), "done")
          yield* TestClock.adjust("1 millis")
          assert.strictEqual(warnings(lines).length, 1)
          assert.match(
            warnings(lines)[0]!.message,
            /not given back, and may keep others out.*"foo" of web-1 pid 7 \(lease until 1970-01-01T00:00:03\.000Z\)\. Permission: a Permission made by the test/
          )
          assert.deepInclude(warnings(lines)[0]!.annotations, {
            lockId: "foo",
            ownerLabel: "web-1 pid 7",
            leaseEnd: "1970-01-01T00:00:03.000Z",
            reason: "Permission"
          })
          yield* TestClock.adjust("1500 millis")
          assert.deepStrictEqual(infos(lines), [])
          yield* link.set(["release"], undefined)
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(warnings(lines).length, 1)
          assert.deepStrictEqual(
            infos(lines).map(({ annotations }) => annotations.lockId),
            ["foo"]
          )
          assert.match(infos(lines)[0]!.message, /given back after all/)
        })
      )
  )

  it.effect("until its lease has ended, is warned of once", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { link, locks } = yield* process
        yield* link.set(["release"], broken)
        yield* done(locks, "foo")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(
          warnings(lines).map(({ annotations }) => annotations.lockId),
          ["foo"]
        )
        assert.deepStrictEqual(infos(lines), [])
      })
    )
  )

  for (const [name, fault] of Object.entries({
    refused: Faulty.refuse,
    hanging: Faulty.hang,
    "hanging, in a driver that cannot be interrupted": { ...Faulty.slow("20 seconds"), uninterruptible: true }
  })) {
    it.effect(`${name}: is warned of after a third of the lease, and not if it could be given back before`, () =>
      heard((lines) =>
        Effect.gen(function* () {
          const { link, locks } = yield* process
          yield* link.set(["release"], fault)
          const short = yield* Effect.forkChild(done(locks, "short"))
          yield* TestClock.adjust("900 millis")
          yield* link.set(["release"], undefined)
          yield* TestClock.adjust("30 seconds")
          yield* Fiber.await(short)
          assert.deepStrictEqual(warnings(lines), [])
          yield* link.set(["release"], fault)
          const long = yield* Effect.forkChild(done(locks, "long"))
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual(yield* Effect.map(Fiber.await(long), (exit) => exit._tag), "Success")
          assert.deepStrictEqual(
            warnings(lines).map(({ annotations }) => annotations.lockId),
            ["long"]
          )
        })
      )
    )

    it.effect(`${name}: is warned of when its layer closes`, () =>
      heard((lines) =>
        Effect.gen(function* () {
          const { close, link, locks } = yield* process
          yield* link.set(["release"], fault)
          const body = yield* Effect.forkChild(done(locks, "foo"))
          yield* TestClock.adjust("100 millis")
          const closing = yield* Effect.forkChild(close)
          yield* TestClock.adjust("1 minute")
          yield* Fiber.await(closing)
          yield* Fiber.await(body)
          assert.deepStrictEqual(
            warnings(lines).map(({ annotations }) => annotations.lockId),
            ["foo"]
          )
        })
      )
    )
  }

  it.effect("and was never had: a claim whose reply was lost", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { link, locks } = yield* process
        yield* link.set(["claim"], Faulty.loseReply)
        yield* link.set(["release"], broken)
        const failing = yield* Effect.forkChild(
          Effect.flip(Effect.scoped(locks.acquire("foo", { acquireTimeout: "1 second" })))
        )
        yield* TestClock.adjust("1 minute")
        yield* Fiber.await(failing)
        assert.deepStrictEqual(
          warnings(lines).map(({ annotations }) => [annotations.lockId, annotations.reason]),
          [["foo", "Permission"]]
        )
      })
    )
  )

  it.effect("since the storage is out, is no more news where the loss of the hold was told and its lease is over", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { link, locks } = yield* process
        yield* locks.acquire("foo")
        yield* link.set(["renew", "release"], Faulty.refuse)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(warnings(lines).length, 2)
        assert.isFalse(warnings(lines).some(({ message }) => message.includes("given back")))
      })
    )
  )

  it.live("of hundreds, fills no log", () =>
    heard(
      (lines) =>
        VirtualTime.run(
          Effect.scoped(
            Effect.gen(function* () {
              const { link, locks } = yield* process
              yield* link.set(["release"], broken)
              for (let i = 0; i < 500; i++) {
                yield* done(locks, `lock ${i}`)
                if (i % 20 === 0) yield* Effect.sleep("40 millis")
              }
              yield* Effect.sleep("1 minute")
              assert.isAtMost(lines.length, 6)
              assert.strictEqual(
                warnings(lines).reduce(
                  (sum, { annotations }) => sum + (typeof annotations.locks === "number" ? annotations.locks : 1),
                  0
                ),
                500
              )
            })
          )
        ),
      "Info"
    )
  )
})
