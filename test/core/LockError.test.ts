import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as LockError from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Process from "../support/process.js"

const invalid = { field: "lockId", kind: "empty", rule: "a string" }
const errors: ReadonlyArray<LockError.LockError> = [
  new LockError.LockTimeout({ lockId: "foo", ownerId: "me", waitedMillis: 1 }),
  new LockError.LockLost({ lockId: "foo", ownerId: "me", token: 1, reason: "Taken" }),
  new LockError.NotLocked({ lockId: "foo", ownerId: "me" }),
  new LockError.InvalidLockId(invalid),
  new LockError.InvalidOptions(invalid),
  new LockError.StorageError({
    reason: "Timeout",
    operation: "test",
    isRetryable: true,
    applied: "no",
    message: "slow"
  })
]

describe("isLockError", () => {
  it("knows every error of this library", () => {
    for (const error of errors) assert.isTrue(LockError.isLockError(error), error._tag)
  })

  it("knows no other", () => {
    for (const other of [
      undefined,
      null,
      "LockLost",
      {},
      { _tag: "LockLost" },
      new Error("LockLost"),
      new Error("NoSuchElement")
    ]) {
      assert.isFalse(LockError.isLockError(other))
    }
  })
})

describe("orDieIfInvalid", () => {
  it.effect("makes defects of a bad id and of bad options, and leaves all else typed", () =>
    Effect.gen(function* () {
      for (const error of errors) {
        const exit: Exit.Exit<
          never,
          Exclude<LockError.LockError, LockError.InvalidLockId | LockError.InvalidOptions>
        > = yield* Effect.exit(LockError.orDieIfInvalid(Effect.fail(error)))
        assert(Exit.isFailure(exit))
        assert.strictEqual(Cause.squash(exit.cause), error)
        const isInvalid = error._tag === "InvalidLockId" || error._tag === "InvalidOptions"
        assert.strictEqual(Option.isNone(Cause.findErrorOption(exit.cause)), isInvalid)
      }
      assert.strictEqual(yield* LockError.orDieIfInvalid(Effect.succeed(1)), 1)
    })
  )

  it.effect("leaves nothing typed of `get` but what the storage does", () =>
    Effect.gen(function* () {
      const { run } = yield* Process.make(yield* MemoryStorage.make())
      const typed: Effect.Effect<unknown, LockError.StorageError, StorageLock.StorageLock> = StorageLock.get(
        "foo"
      ).pipe(LockError.orDieIfInvalid)
      yield* run(typed)
      const exit = yield* Effect.exit(run(StorageLock.get("").pipe(LockError.orDieIfInvalid)))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )
})

describe("LockLost", () => {
  const because = {
    Expired: "its lease could not be renewed in time",
    Taken: "another owner has it",
    Forced: "it was released by force",
    Vanished: "the storage has no record of it any more: its data was flushed, evicted, restored, replaced or hidden",
    HeldTooLong: "it was held for as long as `holdAtMost` allows",
    Closed: "the StorageLock layer was closed",
    Released: "it was given back"
  } satisfies Record<LockError.LostReason, string>

  for (const [reason, words] of Object.entries(because))
    it(`says in words what ${reason} means`, () => {
      const error = new LockError.LockLost({
        lockId: "foo",
        ownerId: "me",
        token: 1,
        reason: reason as LockError.LostReason
      })
      assert.include(error.message, words)
    })
})
