/** What the adapter asks of its store, write by write: with the store's clock, and without any. */
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import * as clocks from "#effect/clocks"
import * as LockRecord from "../../src/LockRecord.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"

const id = (name: string) => name.padEnd(22, "x")
const claim = (ownerId = "me", lockId = "foo", lease = 10_000_000) => ({ lockId, ownerId, holdId: id(ownerId), lease })
const hold = (ownerId = "me", lockId = "foo") => ({ lockId, holdId: id(ownerId) })

const setup = (kind: "store" | "none") =>
  Effect.gen(function* () {
    /** Microseconds: of the store or of this process, and the wall clock of this process. */
    const hands = { now: 1_000_000_000, wall: 1_700_000_000_000 }
    const inner = yield* MemoryStorage.makeVersioned({ time: kind === "none" ? "none" : Effect.sync(() => hands.now) })
    const writes: Array<string> = []
    const store: VersionedStore.Service = {
      ...inner,
      create: (lockId, version, record) =>
        Effect.andThen(
          Effect.sync(() => writes.push(`create ${version === record.version}`)),
          inner.create(lockId, version, record)
        ),
      update: (lockId, version, record) =>
        Effect.andThen(
          Effect.sync(() => writes.push(`update +${record.version - version}`)),
          inner.update(lockId, version, record)
        ),
      delete: (lockId, version) =>
        Effect.andThen(
          Effect.sync(() => writes.push(`delete ${lockId}`)),
          inner.delete(lockId, version)
        )
    }
    const clock = clocks.make({
      wallMillis: () => hands.wall,
      monotonicNanos: () => BigInt(hands.now) * 1_000n,
      sleep: (duration) => clocks.live.sleep(duration)
    })
    const on = <A, E, R>(self: Effect.Effect<A, E, R>) => clocks.withClock(self, clock)
    const written = () => writes.splice(0)
    const listed = (storage: Storage.Service) => on(Stream.runCollect(storage.list))
    return { hands, inner, store, storage: VersionedStore.toStorage(store), on, written, listed }
  })

describe("by the store's clock", () => {
  it.effect("one write for what changes, and none for what does not", () =>
    Effect.gen(function* () {
      const { storage, written } = yield* setup("store")
      yield* storage.claim(claim())
      assert.deepStrictEqual(written(), ["create true"])
      yield* storage.claim(claim("other"))
      yield* storage.claim(claim())
      assert.deepStrictEqual(written(), [])
      yield* storage.renew([{ ...hold(), lease: 20_000_000 }])
      assert.deepStrictEqual(written(), ["update +1"])
      yield* storage.renew([{ ...hold("other"), lease: 20_000_000 }])
      yield* storage.revoke({ lockId: "nobody's", token: 1, when: "now" })
      assert.deepStrictEqual(written(), [])
      yield* storage.release(hold())
      assert.deepStrictEqual(written(), ["update +1"])
      yield* storage.release(hold())
      assert.deepStrictEqual(written(), [])
      assert.strictEqual(storage.guarantees.clock, "storage")
    })
  )

  it.effect("what is held is shown with what is left of it, and what is over is not", () =>
    Effect.gen(function* () {
      const { hands, listed, storage } = yield* setup("store")
      yield* storage.claim(claim())
      hands.now += 3_000_000
      assert.strictEqual(Option.getOrThrow(yield* storage.get("foo")).validFor, 7_000_000)
      assert.deepStrictEqual(
        (yield* listed(storage)).map(({ validFor }) => validFor),
        [7_000_000]
      )
      assert.isTrue(Option.isNone(yield* storage.get("bar")))
      hands.now += 7_000_000
      assert.isTrue(Option.isNone(yield* storage.get("foo")))
      assert.deepStrictEqual(yield* listed(storage), [])
    })
  )

  it.effect("what ended longer ago than is asked for is dropped, but nothing of the last hour", () =>
    Effect.gen(function* () {
      const { hands, store, storage, written } = yield* setup("store")
      const shortest = Duration.toMillis(Storage.shortestMemory) * 1000
      yield* storage.claim(claim("me", "a"))
      yield* storage.claim(claim("me", "b"))
      hands.now += 10_000_000 + 2 * shortest
      written()
      assert.strictEqual(yield* storage.purge(Duration.millis((2 * shortest) / 1000)), 0)
      hands.now += 1
      const missed = VersionedStore.toStorage({
        ...store,
        delete: (lockId, version) =>
          lockId === "a" ? new VersionedStore.VersionMiss({ lockId }) : store.delete(lockId, version)
      })
      assert.strictEqual(yield* missed.purge(Duration.millis((2 * shortest) / 1000)), 1)
      assert.deepStrictEqual(written(), ["delete b"])
      yield* storage.claim(claim("me", "c"))
      hands.now += 10_000_000 + shortest
      assert.strictEqual(yield* storage.purge(Duration.zero), 1)
      hands.now += 1
      assert.strictEqual(yield* storage.purge(Duration.zero), 1)
    })
  )

  it.effect("a record of a later version of this library is not touched", () =>
    Effect.gen(function* () {
      const { inner, storage, written } = yield* setup("store")
      yield* storage.claim(claim())
      const record = Option.getOrThrow(yield* inner.get("foo"))
      yield* inner.update("foo", record.version, {
        ...record,
        version: record.version + 1,
        format: LockRecord.format + 1
      })
      written()
      const error = yield* Effect.flip(storage.release(hold()))
      assert.deepInclude(
        { ...error },
        { reason: "Schema", operation: `${storage.guarantees.name}.read`, isRetryable: false, applied: "no" }
      )
      assert.strictEqual(
        error.message,
        `the record of "foo" has format ${LockRecord.format + 1}, newer than ${LockRecord.format}: update effect-storage-lock`
      )
      assert.deepStrictEqual(written(), [])
    })
  )

  it.effect("who is always too late says so, of the operation that it was", () =>
    Effect.gen(function* () {
      const { store } = yield* setup("store")
      const first = yield* VersionedStore.toStorage(store).claim(claim())
      assert(first._tag === "Claimed")
      const { token } = first.record
      const miss = (lockId: string) => new VersionedStore.VersionMiss({ lockId })
      const storage = VersionedStore.toStorage(
        { ...store, create: miss, update: miss },
        { versionMissRetry: Schedule.recurs(1) }
      )
      const said = (self: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.flip(self), (error) => [(error as { operation: string }).operation, (error as Error).message])
      const { name } = store.guarantees
      const message = 'gave up on "foo" after too many version misses: too many processes change it at once'
      assert.deepStrictEqual(yield* said(storage.claim({ ...claim(), holdId: id("deeper") })), [
        `${name}.claim`,
        message
      ])
      assert.deepStrictEqual(yield* said(storage.release(hold())), [`${name}.release`, message])
      assert.deepStrictEqual(yield* said(storage.revoke({ lockId: "foo", token, when: "now" })), [
        `${name}.revoke`,
        message
      ])
      assert.deepStrictEqual(yield* said(storage.renew([{ ...hold(), lease: 20_000_000 }])), [`${name}.renew`, message])
      assert.strictEqual(miss('a "b"').message, 'the record of "a \\"b\\"" was changed by somebody else')
    })
  )

  it.effect("hints are those of the store, if it has any", () =>
    Effect.gen(function* () {
      const { store } = yield* setup("store")
      const hints = (wakeUps: Stream.Stream<string> | undefined) =>
        Stream.runCollect(VersionedStore.toStorage({ ...store, wakeUps }).wakeUps)
      assert.deepStrictEqual(yield* hints(Stream.make("foo")), ["foo"])
      assert.deepStrictEqual(yield* hints(undefined), [])
    })
  )

  it.effect("the layer is over the store in the context", () =>
    Effect.gen(function* () {
      const { store } = yield* setup("store")
      const context = yield* Layer.build(
        Layer.provide(VersionedStore.layerStorage(), Layer.succeed(VersionedStore.VersionedStore, store))
      )
      assert.strictEqual((yield* Context.get(context, Storage.Storage).claim(claim()))._tag, "Claimed")
    })
  )
})

describe("without a clock", () => {
  it.effect("a lease is a span, shown as times that this process has seen", () =>
    Effect.gen(function* () {
      const { hands, inner, listed, on, storage } = yield* setup("none")
      const wall = hands.wall * 1_000
      const first = yield* on(storage.claim(claim()))
      assert(first._tag === "Claimed")
      assert.deepStrictEqual(
        [first.validFor, first.record.leaseExpireTime, first.record.lockBeginTime],
        [10_000_000, wall + 10_000_000, wall]
      )
      assert.strictEqual(Option.getOrThrow(yield* inner.get("foo")).leaseExpireTime, 10_000_000)
      hands.now += 4_000_000
      const shown = Option.getOrThrow(yield* on(storage.get("foo")))
      assert.deepStrictEqual(
        [shown.validFor, shown.record.leaseExpireTime, shown.record.lockBeginTime],
        [6_000_000, wall + 6_000_000, wall - 4_000_000]
      )
      assert.deepStrictEqual(
        (yield* listed(storage)).map(({ validFor }) => validFor),
        [6_000_000]
      )
      const [renewed] = yield* on(storage.renew([{ ...hold(), lease: 20_000_000 }]))
      assert.deepInclude({ ...renewed }, { _tag: "Renewed", validFor: 20_000_000, leaseExpireTime: wall + 20_000_000 })
      const [not] = yield* on(storage.renew([{ ...hold("other"), lease: 20_000_000 }]))
      assert.strictEqual(not!._tag, "NotHeld")
      assert.isFalse("leaseExpireTime" in not!)
      assert.strictEqual(storage.guarantees.clock, "observed")
    })
  )

  it.effect("it is over once it was seen unchanged for all of it, and not before", () =>
    Effect.gen(function* () {
      const { hands, listed, on, store, storage, written } = yield* setup("none")
      yield* on(storage.claim(claim()))
      written()
      const waiter = VersionedStore.toStorage(store)
      const asked = yield* on(waiter.claim(claim("other")))
      assert(asked._tag === "Held")
      assert.strictEqual(asked.retryAfter, 10_000_000)
      assert.strictEqual(asked.holder?.leaseExpireTime, hands.wall * 1_000 + 10_000_000)
      hands.now += 9_999_999
      assert.deepInclude({ ...(yield* on(waiter.claim(claim("other")))) }, { _tag: "Held", retryAfter: 1 })
      assert.strictEqual((yield* listed(waiter)).length, 1)
      hands.now += 1
      assert.isTrue(Option.isNone(yield* on(waiter.get("foo"))))
      assert.deepStrictEqual(yield* listed(waiter), [])
      yield* on(waiter.renew([{ ...hold("other"), lease: 1_000_000 }]))
      assert.deepStrictEqual(written(), [], "to see that it is over is no change")
      assert.strictEqual((yield* on(waiter.claim(claim("other"))))._tag, "Claimed")
    })
  )

  it.effect(
    "a repeated claim is written again, or those who have watched its first version would take it too early",
    () =>
      Effect.gen(function* () {
        const { inner, on, storage, written } = yield* setup("none")
        yield* on(storage.claim(claim()))
        const again = yield* on(storage.claim(claim()))
        assert.deepStrictEqual(written(), ["create true", "update +1"])
        assert(again._tag === "Claimed")
        assert.strictEqual(again.record.version, Option.getOrThrow(yield* inner.get("foo")).version)
        yield* on(storage.claim(claim("other")))
        assert.deepStrictEqual(written(), [])
      })
  )

  it.effect("a free record is not shown, nothing is purged, and a list begins to observe", () =>
    Effect.gen(function* () {
      const { hands, listed, on, store, storage, written } = yield* setup("none")
      yield* on(storage.claim(claim("me", "a")))
      yield* on(storage.release(hold("me", "a")))
      assert.isTrue(Option.isNone(yield* on(storage.get("a"))))
      yield* on(storage.claim(claim("me", "b")))
      written()
      hands.now += 1e15
      assert.strictEqual(yield* on(storage.purge(Duration.zero)), 0)
      assert.deepStrictEqual(written(), [])
      const fresh = VersionedStore.toStorage(store)
      assert.deepStrictEqual(
        (yield* listed(fresh)).map(({ validFor }) => validFor),
        [10_000_000]
      )
      hands.now += 10_000_000
      assert.strictEqual((yield* on(fresh.claim(claim("other", "b"))))._tag, "Claimed")
    })
  )
})
