/** When a change of a shared lock turns from compare-and-set to `modify`, with stores in memory. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { semaphore } from "../../src/kinds/semaphore.js"
import * as VersionedStore from "../../src/VersionedStore.js"

/** A store in which others are faster, at each compare-and-set. `modify` misses as often as it is told to. */
const setup = (options: MemoryStorage.VersionedOptions = {}) =>
  Effect.gen(function* () {
    const inner = yield* MemoryStorage.makeVersioned(options)
    const asked: Array<string> = []
    const hands = { isFast: false, misses: 0 }
    const beaten = <A, E>(name: string, lockId: string, self: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | VersionedStore.VersionMiss> => {
        asked.push(name)
        return hands.isFast ? new VersionedStore.VersionMiss({ lockId }) : self
      })
    const store: VersionedStore.Service = {
      ...inner,
      create: (lockId, version, record) => beaten("create", lockId, inner.create(lockId, version, record)),
      update: (lockId, version, record) => beaten("update", lockId, inner.update(lockId, version, record)),
      modify: (lockId, transition) =>
        Effect.gen(function* () {
          asked.push("modify")
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
      asked: () => asked.splice(0)
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

  it.live("goes by modify after a few misses: what keeps and frees after one, and a claim after three", () =>
    Effect.gen(function* () {
      const { asked, hands, storage } = yield* setup()
      yield* storage.claim(request("ada"))
      hands.isFast = true
      asked()
      assert.strictEqual((yield* storage.renew([request("ada")]))[0]!._tag, "Renewed")
      assert.deepStrictEqual(asked(), ["update", "modify"])
      assert.strictEqual((yield* storage.claim(request("bob")))._tag, "Claimed")
      assert.deepStrictEqual(asked(), ["update", "update", "update", "modify"])
      assert.strictEqual((yield* storage.release(request("ada")))._tag, "Released")
      assert.deepStrictEqual(asked(), ["update", "modify"])
    })
  )

  it.live("is tried again by modify, where that misses, too", () =>
    Effect.gen(function* () {
      const { asked, hands, storage } = yield* setup()
      hands.isFast = true
      hands.misses = 2
      assert.strictEqual((yield* storage.claim(request("ada")))._tag, "Claimed")
      assert.deepStrictEqual(asked(), ["create", "create", "create", "modify", "modify", "modify"])
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
