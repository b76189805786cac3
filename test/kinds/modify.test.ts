/** When a change of a shared lock turns from compare-and-set to `modify`, with stores in memory. */
import { assert, describe, it } from "#harness/vitest"
import * as clocks from "#effect/clocks"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { semaphore } from "../../src/kinds/semaphore.js"
import * as VersionedStore from "../../src/VersionedStore.js"

/** A store in which others are faster, at each compare-and-set. `modify` misses as often as it is told to. */
const setup = (options: MemoryStorage.VersionedOptions = {}) =>
  Effect.gen(function* () {
    const inner = yield* MemoryStorage.makeVersioned(options)
    const asked: Array<string> = []
    /** By the virtual clock, in milliseconds, when each was asked. */
    const times: Array<number> = []
    const hands = { isFast: false, misses: 0, travel: 0 }
    const ask = (name: string) =>
      Effect.andThen(
        Effect.clockWith((clock) =>
          Effect.sync(() => {
            asked.push(name)
            times.push(clocks.wallMillis(clock))
          })
        ),
        hands.travel === 0 ? Effect.void : Effect.sleep(hands.travel)
      )
    const beaten = <A, E>(name: string, lockId: string, self: Effect.Effect<A, E>) =>
      Effect.andThen(
        ask(name),
        Effect.suspend((): Effect.Effect<A, E | VersionedStore.VersionMiss> =>
          hands.isFast ? new VersionedStore.VersionMiss({ lockId }) : self
        )
      )
    const store: VersionedStore.Service = {
      ...inner,
      create: (lockId, version, record) => beaten("create", lockId, inner.create(lockId, version, record)),
      update: (lockId, version, record) => beaten("update", lockId, inner.update(lockId, version, record)),
      modify: (lockId, transition) =>
        Effect.gen(function* () {
          yield* ask("modify")
          if (hands.misses-- > 0) return yield* new VersionedStore.VersionMiss({ lockId })
          const found = Option.getOrUndefined(yield* inner.get(lockId))
          const { outcome, record } = transition(found, yield* inner.time!)
          if (record === undefined || record === found) return outcome
          yield* found === undefined
            ? inner.create(lockId, record.version, record)
            : inner.update(lockId, found.version, record)
          return outcome
        })
    }
    return {
      inner,
      hands,
      storage: VersionedStore.toStorage(store, { kind: semaphore }),
      asked: () => asked.splice(0),
      times: () => times.splice(0)
    }
  })

const request = (name: string) => ({
  lockId: "a",
  ownerId: name,
  holdId: name.padEnd(22, "x"),
  lease: 30_000_000,
  permits: 1,
  limit: 10
})

describe("a change of a shared lock", () => {
  it.live("goes by compare-and-set as long as that is first", () =>
    Effect.gen(function* () {
      const { asked, storage } = yield* setup()
      yield* storage.claim(request("ada"))
      yield* storage.renew([request("ada")])
      yield* storage.release(request("ada"))
      assert.deepStrictEqual(asked(), ["create", "update", "update"])
    })
  )

  it.live("goes by modify after a miss, if it keeps or frees", () =>
    Effect.gen(function* () {
      const { asked, hands, storage } = yield* setup()
      yield* storage.claim(request("ada"))
      hands.isFast = true
      asked()
      assert.strictEqual((yield* storage.renew([request("ada")]))[0]!._tag, "Renewed")
      assert.deepStrictEqual(asked(), ["update", "modify"])
      assert.strictEqual((yield* storage.release(request("ada")))._tag, "Released")
      assert.deepStrictEqual(asked(), ["update", "modify"])
    })
  )

  for (const [travel, most] of [
    [2, 25],
    [60, 1]
  ] as const)
    it.effect(
      `goes by modify when it claims, and has missed for fifty milliseconds, with answers after ${travel}`,
      () =>
        Effect.gen(function* () {
          const { asked, hands, storage, times } = yield* setup()
          Object.assign(hands, { isFast: true, travel })
          const claim = yield* Effect.forkChild(storage.claim(request("ada")))
          for (let n = 0; n < 200; n++) yield* TestClock.adjust("1 millis")
          assert.strictEqual((yield* Fiber.join(claim))._tag, "Claimed")
          const [all, [first, ...more]] = [asked(), times()]
          assert.strictEqual(all.at(-1), "modify")
          assert.isTrue(all.slice(0, -1).every((name) => name === "create"))
          assert.isAtLeast(all.length, 2)
          assert.isAtMost(all.length - 1, most)
          assert.isAtLeast(more.at(-1)! - first!, 50)
          assert.isTrue(more.slice(0, -1).every((time) => time - first! < 50))
        })
    )

  it.live("is tried again by modify, where that misses, too", () =>
    Effect.gen(function* () {
      const { asked, hands, storage } = yield* setup()
      hands.isFast = true
      hands.misses = 2
      assert.strictEqual((yield* storage.claim(request("ada")))._tag, "Claimed")
      const all = asked()
      assert.deepStrictEqual(all.slice(-4), ["create", "modify", "modify", "modify"])
      assert.isTrue(all.slice(0, -4).every((name) => name === "create"))
    })
  )

  it.live("of a record that is newer than this version is refused under the lock, too", () =>
    Effect.gen(function* () {
      const { inner, storage } = yield* setup()
      yield* storage.claim(request("ada"))
      const found = Option.getOrThrow(yield* inner.get("a"))
      // It becomes so between the read of a compare-and-set and its write.
      const swap = inner.update("a", found.version, { ...found, format: 99, version: found.version + 1 })
      const store: VersionedStore.Service = {
        ...inner,
        update: (lockId) => Effect.andThen(swap, new VersionedStore.VersionMiss({ lockId })),
        modify: (_, transition) =>
          Effect.flatMap(inner.get("a"), (record) =>
            Effect.succeed(transition(Option.getOrUndefined(record), 1).outcome)
          )
      }
      const error = yield* Effect.flip(VersionedStore.toStorage(store, { kind: semaphore }).release(request("ada")))
      assert.strictEqual(error.reason, "Schema")
      assert.strictEqual(Option.getOrThrow(yield* inner.get("a")).format, 99)
    })
  )

  it.live("goes by compare-and-set alone where leases are observed: a moment is all that modify tells", () =>
    Effect.gen(function* () {
      const { asked, hands, storage } = yield* setup({ time: "none" })
      yield* storage.claim(request("ada"))
      hands.isFast = true
      const error = yield* Effect.flip(storage.claim(request("bob")))
      assert.strictEqual(error.reason, "Conflict")
      assert.notInclude(asked(), "modify")
    })
  )
})
