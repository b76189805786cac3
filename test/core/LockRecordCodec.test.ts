import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Schema from "#harness/Schema"
import * as LockRecord from "../../src/LockRecord.js"

const claim = { _tag: "Claim", lockId: "foo", ownerId: "me", holdId: "h".repeat(22), lease: 30_000_000 } as const
const labelled = LockRecord.step(undefined, { ...claim, ownerLabel: "the night shift" }, 1_700_000_000_000_000).record!
const plain = LockRecord.step(undefined, claim, 1_700_000_000_000_000).record!
const free = LockRecord.release(plain, claim).record!

describe("the codec of a record, for those who write a backend", () => {
  it.effect("brings it back from JSON as it was", () =>
    Effect.gen(function* () {
      for (const record of [labelled, plain, free]) {
        const text = yield* Schema.encodeEffect(LockRecord.fromJson)(record)
        assert.deepStrictEqual(yield* Schema.decodeEffect(LockRecord.fromJson)(text), record)
        assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(LockRecord.LockRecord)(JSON.parse(text)), record)
      }
    })
  )

  it.effect("refuses what is no record", () =>
    Effect.gen(function* () {
      const odd = [
        null,
        {},
        { ...plain, token: "1" },
        { ...plain, token: 2 ** 53 },
        { ...plain, version: 1.5 },
        { ...plain, holds: "h" },
        { ...plain, leaseExpireTime: undefined },
        { ...plain, ownerLabel: 7 }
      ]
      for (const value of odd)
        assert.isTrue(
          Exit.isFailure(yield* Effect.exit(Schema.decodeUnknownEffect(LockRecord.LockRecord)(value))),
          JSON.stringify(value)
        )
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Schema.decodeEffect(LockRecord.fromJson)("{"))))
    })
  )
})
