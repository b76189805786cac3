/** What `withLock` and its like give, to the letter: looked at by the compiler, and called once. */
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import type { LockLost } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Layer from "#effect/Layer"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(answer: Same<A, B>): void => assert.isTrue(answer)

class Prefix extends Context.Service<Prefix, { readonly text: string }>()("test/Prefix") {}

const work: Effect.Effect<number, "e", Prefix> = Effect.map(Prefix, ({ text }) => text.length)
type Errors = StorageLock.AcquireError | LockLost
type Needs = Prefix | StorageLock.StorageLock
type Locked = Effect.Effect<number, "e" | Errors, Needs>

/** Programs that are generic in what they run, and in their ids. */
const ofAny = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Errors, R | StorageLock.StorageLock> =>
  StorageLock.withLock(self, "id")
const ofBody = <A, E, R>(self: StorageLock.Body<A, E, R>): Effect.Effect<A, E | Errors, R | StorageLock.StorageLock> =>
  StorageLock.withLock(self, "id", {})
const ofSome = <B extends Effect.Effect<number, "e", Prefix>>(self: B): Locked => StorageLock.withLock(self, "id")
const ofId = <Id extends string>(id: Id): Locked => work.pipe(StorageLock.withLock(id, { acquireTimeout: "1 second" }))
const ofIdFirst = <Id extends string>(id: Id): Locked => StorageLock.withLock(work, id)
const ofArgs = (args: StorageLock.AcquireArgs): Locked => work.pipe(StorageLock.withLock(...args))

describe("types of withLock", () => {
  it.effect("errors, needs and values are exactly those of the body and of the lock, in each form", () => {
    const first = StorageLock.withLock(work, "id")
    same<typeof first, Locked>(true)
    const ofLock = StorageLock.withLock((lock) => Effect.as(work, lock.token), "id", { acquireTimeout: "1 second" })
    same<typeof ofLock, Locked>(true)
    const last = work.pipe(StorageLock.withLock("id", "me", { retry: undefined }))
    same<typeof last, Locked>(true)
    const lastOfLock = StorageLock.withLock("id")((lock) => Effect.as(work, lock.token))
    same<typeof lastOfLock, Locked>(true)
    const ofTemplate = StorageLock.withLock(work, `order-${"4711" as string}`)
    same<typeof ofTemplate, Locked>(true)
    const tried = StorageLock.withLockIfAvailable(work, "id")
    type Tried = Effect.Effect<Option.Option<number>, "e" | StorageLock.TryError | LockLost, Needs>
    same<typeof tried, Tried>(true)
    const triedLast = work.pipe(StorageLock.withLockIfAvailable("id", { ownerId: "me" }))
    same<typeof triedLast, Tried>(true)
    const endless = StorageLock.withLock(Effect.never, "id")
    assert.isTrue(Effect.isEffect(endless))
    same<typeof endless, Effect.Effect<never, Errors, StorageLock.StorageLock>>(true)

    // What is asked for goes into the body.
    const wanted: Effect.Effect<"a" | "b", unknown, unknown> = StorageLock.withLock(() => Effect.succeed("a"), "id")
    const all: ReadonlyArray<Effect.Effect<unknown, unknown, Needs>> = [
      first,
      ofLock,
      last,
      lastOfLock,
      ofTemplate,
      tried,
      triedLast,
      wanted as Effect.Effect<unknown, unknown, Needs>,
      ofAny(work),
      ofBody(() => work),
      ofSome(work),
      ofId("id"),
      ofIdFirst("id"),
      ofArgs(["id", { acquireTimeout: "1 second" }])
    ]
    return Effect.gen(function* () {
      const values = yield* Effect.forEach(all, (one) => one)
      assert.deepStrictEqual(values.slice(0, 1), [3])
      assert.strictEqual(Option.getOrThrow(values[5] as Option.Option<unknown>), 3)
      assert.strictEqual(values[7], "a")
      for (const value of values.slice(8)) assert.strictEqual(value, 3)
    }).pipe(
      Effect.provideService(Prefix, { text: "abc" }),
      Effect.provide(Layer.provide(StorageLock.layer(), MemoryStorage.layer))
    )
  })
})
