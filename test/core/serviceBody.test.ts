/** The service takes what its accessors take. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import type { InvalidOptions } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Process from "../support/process.js"

it.effect("the service's withLock and withLockIfAvailable run an effect, or a function of the lock", () =>
  Effect.gen(function* () {
    const { locks } = yield* Process.make(yield* MemoryStorage.make())
    const who = Effect.map(Effect.map(locks.get("foo"), Option.getOrThrow), ({ ownerId }) => ownerId)
    assert.strictEqual(yield* locks.withLock(who, "foo", "me"), "me")
    assert.strictEqual(yield* locks.withLock((lock) => Effect.succeed(lock.ownerId), "foo", { ownerId: "me" }), "me")
    assert.strictEqual(Option.getOrThrow(yield* locks.withLockIfAvailable(who, "foo", "me")), "me")
    assert.strictEqual(
      Option.getOrThrow(yield* locks.withLockIfAvailable((lock) => Effect.succeed(lock.ownerId), "foo", "me")),
      "me"
    )
    // A tag is an effect and a function at once: it is run as the effect that it is.
    const service = yield* Effect.provideService(
      locks.withLock(StorageLock.StorageLock, "foo"),
      StorageLock.StorageLock,
      locks
    )
    assert.strictEqual(service, locks)
  })
)

it.effect("a body that is neither is refused before any I/O", () =>
  Effect.gen(function* () {
    const link = Faulty.make(yield* MemoryStorage.make())
    const { locks, run } = yield* Process.make(link.storage)
    for (const nothing of [undefined, null, 7, "text", {}, Promise.resolve()]) {
      const body = nothing as Effect.Effect<void>
      const all = [
        locks.withLock(body, "foo"),
        locks.withLockIfAvailable(body, "foo"),
        run(StorageLock.withLock("foo")(body)),
        run(StorageLock.withLockIfAvailable("foo")(body))
      ]
      for (const one of all) {
        const error = yield* Effect.flip(one as Effect.Effect<unknown, InvalidOptions>)
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(error.field, "body")
        assert.match(error.message, /^body must be an effect, or a function of the lock that gives one, but is /)
      }
    }
    assert.strictEqual(link.calls.claim, 0)
  })
)
