/** Who holds a lock, as a value that can be sent, and in the same words wherever it is told. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "#effect/Option"
import * as Schema from "#harness/Schema"
import * as Schedule from "#effect/Schedule"
import * as LockError from "../../src/LockError.js"
import * as LockInformation from "../../src/LockInformation.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Process from "../support/process.js"

describe("LockInformation", () => {
  it.effect("goes through JSON and comes back as it was", () =>
    Effect.gen(function* () {
      const { locks } = yield* Process.make(yield* MemoryStorage.make())
      const lock = yield* locks.acquire("foo", { ownerId: "me", ownerLabel: "the night shift" })
      const info = Option.getOrThrow(yield* locks.get("foo"))
      assert.instanceOf(info, LockInformation.LockInformation)
      const text = JSON.stringify(yield* Schema.encodeEffect(LockInformation.LockInformation)(info))
      assert.deepStrictEqual(JSON.parse(text), {
        lockId: "foo",
        kind: "exclusive",
        ownerId: "me",
        ownerLabel: "the night shift",
        version: info.version,
        token: lock.token,
        lockCount: 1,
        lockBeginTime: "1970-01-01T00:00:00.000Z",
        leaseExpireTime: "1970-01-01T00:00:30.000Z"
      })
      const back = yield* Schema.decodeUnknownEffect(LockInformation.LockInformation)(JSON.parse(text))
      assert.instanceOf(back, LockInformation.LockInformation)
      assert.deepStrictEqual(back, info)
      assert.isTrue(Equal.equals(back, info))
    })
  )

  it("can be sent whatever a storage that counts oddly has answered", () => {
    const record = {
      lockId: "foo",
      kind: "exclusive",
      format: 1,
      ownerId: "",
      holds: [],
      token: 1.5,
      version: -1,
      lockBeginTime: 8.64e18,
      leaseExpireTime: -1,
      data: ""
    }
    const info = LockInformation.fromRecord(record)
    assert.deepStrictEqual(
      Schema.decodeSync(LockInformation.LockInformation)(Schema.encodeSync(LockInformation.LockInformation)(info)),
      info
    )
  })
})

describe("LockTimeout", () => {
  it.effect("names the holder as `get` does", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const [a, b] = [yield* Process.make(storage), yield* Process.make(storage)]
      yield* a.locks.acquire("foo", { ownerId: "me", ownerLabel: "the night shift" })
      const error = yield* Effect.flip(b.locks.acquire("foo", "you", { retry: Schedule.recurs(0) }))
      assert(error._tag === "LockTimeout")
      assert.deepStrictEqual(error.heldBy, Option.getOrThrow(yield* b.locks.get("foo")))
      // And by the names that it had.
      assert.strictEqual(error.holder, "me")
      assert.strictEqual(error.holderLabel, "the night shift")
      assert.strictEqual(error.since, error.heldBy?.lockBeginTime)
      assert.strictEqual(error.until, error.heldBy?.leaseExpireTime)
      // Sent and read elsewhere, it says the same.
      const sent: unknown = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(LockError.LockTimeout)(error)))
      assert.strictEqual((yield* Schema.decodeUnknownEffect(LockError.LockTimeout)(sent)).message, error.message)
    })
  )

  it.effect("knows the lock by the id that the program gave, without the namespace", () =>
    Effect.gen(function* () {
      const storage = yield* MemoryStorage.make()
      const [a, b] = [
        yield* Process.make(storage, { namespace: "mine" }),
        yield* Process.make(storage, { namespace: "mine" })
      ]
      yield* a.locks.acquire("foo", { ownerId: "me", ownerLabel: "" })
      const error = yield* Effect.flip(b.locks.acquire("foo", "you", { retry: Schedule.recurs(0) }))
      assert(error._tag === "LockTimeout")
      assert.strictEqual(error.heldBy?.lockId, "foo")
      assert.isUndefined(error.holderLabel)
    })
  )

  it("of a turn that did not come names nobody", () => {
    const error = new LockError.LockTimeout({ lockId: "foo", ownerId: "me", waitedMillis: 1 })
    assert.deepStrictEqual(
      [error.heldBy, error.holder, error.holderLabel, error.since, error.until],
      [undefined, undefined, undefined, undefined, undefined]
    )
    assert.include(error.message, "its turn in this process did not come")
  })
})
