/** Hundreds of holds with leases of all lengths: each is renewed in its own time, whatever goes wrong with the statements that they share. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Storage from "../../src/Storage.js"
import type { Renew } from "../../src/LockRecord.js"
import { heard } from "../support/logged.js"
import * as Process from "../support/process.js"
import * as VirtualTime from "../support/virtualTime.js"

/** In milliseconds. */
const leases = [2_000, 3_000, 10_000, 30_000, 60_000]

const lengthOf = (lockId: string): number => Number(lockId.split(" ")[1])

interface Call {
  readonly requests: ReadonlyArray<Renew>
  readonly limit: number
}

/** Notes each call that renews, and lets the test do something before it is applied. */
const setup = (before: (call: Call, n: number) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const calls: Array<Call> = []
    const noted: Storage.Service = {
      ...storage,
      renew: (requests) =>
        Effect.flatMap(Storage.TimeLimit, (limit) => {
          const call = { requests, limit: Duration.toMillis(limit) }
          calls.push(call)
          return Effect.andThen(before(call, calls.length), storage.renew(requests))
        })
    }
    return { storage, calls, a: yield* Process.make(noted) }
  })

/** `count` locks, whose names tell their leases. */
const ids = (count: number) => Array.from({ length: count }, (_, i) => `lock ${leases[i % leases.length]} ${i}`)

const acquireAll = (a: Effect.Success<ReturnType<typeof Process.make>>, count: number) =>
  Effect.forEach(ids(count), (id) => a.locks.acquire(id, { leaseExpireAfter: Duration.millis(lengthOf(id)) }))

/** What a call may take at most for a hold of this lease, which is renewed at every third of it. */
const most = (lease: number): number => Math.min(lease / 3, 10_000)

describe("700 holds of mixed leases", () => {
  it.live("are all renewed, at most a hundred in a statement, each within the time of its most urgent hold", () =>
    VirtualTime.run(
      Effect.scoped(
        Effect.gen(function* () {
          const { a, calls, storage } = yield* setup(() => Effect.sleep("20 millis"))
          const locks = yield* acquireAll(a, 700)
          yield* Effect.sleep("3 minutes")
          for (const lock of locks) {
            yield* lock.check
            assert.isTrue(Option.isSome(yield* storage.get(lock.lockId)))
          }
          for (const { limit, requests } of calls) {
            assert.isAtMost(requests.length, 100)
            assert.isAtMost(limit, Math.min(...requests.map(({ lease }) => most(lease / 1000))) + 1)
          }
          assert.isTrue(calls.some(({ requests }) => requests.length === 100))
          // Some three calls a lease for each hundred of it.
          assert.isBelow(
            calls.length,
            leases.reduce((sum, lease) => sum + (2 * (3 * 180_000)) / lease + 20, 0)
          )
        })
      )
    )
  )

  it.live("though every other statement for each of them hangs, or fails", () =>
    VirtualTime.run(
      heard(() =>
        Effect.scoped(
          Effect.gen(function* () {
            /** Those whose last statement was a failure. */
            const spared = new Set<string>()
            const { a } = yield* setup(({ requests }, n) =>
              Effect.suspend(() => {
                const fails = !requests.some(({ lockId }) => spared.has(lockId))
                for (const { lockId } of requests) {
                  if (fails) spared.add(lockId)
                  else spared.delete(lockId)
                }
                return !fails ? Effect.void : n % 2 === 0 ? Effect.never : Effect.die("of the test")
              })
            )
            const locks = yield* acquireAll(a, 700)
            yield* Effect.sleep("1 minute")
            const lost = (yield* Effect.filter(locks, (lock) => Effect.isFailure(lock.check))).map(
              ({ lockId }) => lockId
            )
            assert.strictEqual(lost.join(), "")
          })
        )
      )
    )
  )

  it.live("a storage that is too slow for a short lease costs the long ones nothing", () =>
    VirtualTime.run(
      heard(() =>
        Effect.scoped(
          Effect.gen(function* () {
            const { a, calls } = yield* setup(() => Effect.sleep("900 millis"))
            const locks = yield* Effect.forEach(ids(50), (id) => a.locks.acquire(id, { leaseExpireAfter: "1 minute" }))
            // Somebody who goes on and on with a lease of two seconds, which the storage cannot renew in time.
            yield* Effect.forkScoped(
              Effect.forever(
                Effect.ignore(a.locks.withLock((lock) => lock.lost, "short", { leaseExpireAfter: "2 seconds" }))
              )
            )
            yield* Effect.sleep("5 minutes")
            for (const lock of locks) yield* lock.check
            // None that has time for it goes with one that has not.
            const mixed = calls.filter(
              ({ requests }) => requests.length > 1 && requests.some(({ lockId }) => lockId === "short")
            )
            assert.strictEqual(mixed.length, 0)
            assert.isTrue(calls.some(({ requests }) => requests.some(({ lockId }) => lockId === "short")))
          })
        )
      )
    )
  )
})
