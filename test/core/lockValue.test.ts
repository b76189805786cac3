/** A lock as a value, and the service without a layer. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Process from "../support/process.js"

it.effect("a lock is pipeable, and is known by its type id", () =>
  Effect.gen(function* () {
    const { locks } = yield* Process.make(yield* MemoryStorage.make())
    const lock = yield* locks.acquire("foo", "me")
    assert.strictEqual(
      lock.pipe(
        (self) => self.ownerId,
        (ownerId) => ownerId.length
      ),
      2
    )
    assert.strictEqual(lock[StorageLock.LockTypeId], StorageLock.LockTypeId)
    assert.isTrue(StorageLock.isLock(lock))
    for (const other of [undefined, null, "foo", {}, { ...lock }, { lockId: "foo", token: 1 }, locks])
      assert.isFalse(StorageLock.isLock(other))
  })
)

it.effect("make gives the service for as long as a scope lasts", () =>
  Effect.gen(function* () {
    const storage = yield* MemoryStorage.make()
    const other = yield* Process.make(storage)
    const scope = yield* Scope.make()
    const locks = yield* StorageLock.make({ leaseExpireAfter: "10 seconds" }).pipe(
      Effect.provideService(Storage.Storage, storage),
      Scope.provide(scope)
    )
    const lock = yield* locks.acquire("foo", "me")
    assert.strictEqual(lock.unsafeRemainingMillis(), 9500)
    assert.isTrue(yield* other.locks.isLocked("foo"))
    yield* Effect.andThen(lock.release, Scope.close(scope, Exit.void))
    assert.strictEqual((yield* Effect.flip(locks.get("foo")))._tag, "StorageError")
    assert.isTrue(Option.isSome(yield* other.locks.tryAcquire("foo")))
  })
)

it.effect("make refuses options that make no sense, and has defaults for all", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(StorageLock.make({ leaseExpireAfter: 0 }))
    assert.strictEqual(error.field, "leaseExpireAfter")
    yield* (yield* StorageLock.make()).acquire("foo")
  }).pipe(Effect.provide(MemoryStorage.layer))
)
