/** What is an answer and what is none, by its shape alone; and what is said of one that is none. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import {
  faultOf,
  guarded,
  isRecord,
  isRenewAnswer,
  isStorageError,
  odd,
  thrown
} from "../../src/core/checkedAnswers.js"
import type { LockRecord } from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import * as Faulty from "../support/faulty.js"

const record: LockRecord = {
  lockId: "foo",
  kind: "exclusive",
  format: 1,
  ownerId: "me",
  holds: [],
  token: 7,
  version: 3,
  lockBeginTime: 0,
  leaseExpireTime: 8.64e18,
  data: ""
}

const notObjects = [undefined, null, 7, "text", true, () => record]

describe("a record", () => {
  it("has all that is read of it, each of its kind", () => {
    assert.isTrue(isRecord(record))
    assert.isTrue(isRecord({ ...record, ownerLabel: "somebody" }))
    for (const value of notObjects) assert.isFalse(isRecord(value), String(value))
    const broken: ReadonlyArray<object> = [
      { lockId: 1 },
      { ownerId: 1 },
      { ownerLabel: 1 },
      { holds: "h" },
      { token: "7" },
      { token: Number.NaN },
      { version: Number.POSITIVE_INFINITY },
      { lockBeginTime: "0" },
      { lockBeginTime: -8.65e18 },
      { leaseExpireTime: 8.65e18 },
      { leaseExpireTime: Number.NaN }
    ]
    for (const part of broken) assert.isFalse(isRecord({ ...record, ...part }), JSON.stringify(part))
    assert.isTrue(isRecord({ ...record, lockBeginTime: -8.64e18 }))
  })
})

describe("an error of a storage", () => {
  it("is known by its fields", () => {
    const { applied, isRetryable, message, operation, reason } = Faulty.failure("Timeout", "no")
    const error = { _tag: "StorageError", applied, isRetryable, message, operation, reason }
    assert.isTrue(isStorageError(error))
    assert.isTrue(isStorageError({ ...error, applied: "unknown" }))
    for (const value of notObjects) assert.isFalse(isStorageError(value), String(value))
    for (const part of [
      { _tag: "Other" },
      { reason: "Other" },
      { operation: 1 },
      { isRetryable: 1 },
      { applied: "yes" },
      { message: 1 }
    ]) {
      assert.isFalse(isStorageError({ ...error, ...part }), JSON.stringify(part))
    }
  })
})

const odds = [...notObjects, {}, [], { _tag: "Other" }]

const right: Record<string, ReadonlyArray<unknown>> = {
  claim: [
    { _tag: "Claimed", record, validFor: 1 },
    { _tag: "Held", holder: record, retryAfter: undefined },
    { _tag: "Held", holder: undefined, retryAfter: 5 }
  ],
  renew: [[], [1]],
  release: [{ _tag: "NotHeld" }, { _tag: "Released", remaining: 0 }],
  revoke: [{ _tag: "Revoked" }, { _tag: "NotHeld" }],
  get: [Option.none(), Option.some({ record })],
  another: odds
}

const wrong: Record<string, ReadonlyArray<unknown>> = {
  claim: [
    ...odds,
    { _tag: "Claimed", record: {}, validFor: 1 },
    { _tag: "Claimed", record, validFor: "1" },
    { _tag: "Held", holder: {}, retryAfter: undefined },
    { _tag: "Held", holder: undefined, retryAfter: "5" },
    { _tag: "NotHeld" }
  ],
  renew: odds.filter((value) => !Array.isArray(value)),
  release: [...odds, { _tag: "Released" }, { _tag: "Released", remaining: Number.NaN }, { _tag: "Revoked" }],
  revoke: [...odds, { _tag: "Released", remaining: 0 }],
  get: [
    ...odds,
    Option.some(undefined),
    Option.some(null),
    Option.some({}),
    Option.some({ record: {} }),
    Option.some(record)
  ]
}

describe("an answer", () => {
  for (const [operation, values] of Object.entries(right)) {
    it(`to ${operation} is one`, () => {
      for (const value of values) assert.isUndefined(faultOf("test", operation, value), JSON.stringify(value))
    })
  }
  for (const [operation, values] of Object.entries(wrong)) {
    it(`to ${operation} is none`, () => {
      for (const value of values)
        assert.strictEqual(faultOf("test", operation, value)?.operation, `test.${operation}`, JSON.stringify(value))
    })
  }

  it("to a single renewal is a time, what there is in its place, or an error", () => {
    for (const value of [
      { _tag: "Renewed", leaseExpireTime: 0, validFor: 1 },
      { _tag: "NotHeld", current: undefined },
      { _tag: "NotHeld", current: record },
      Faulty.failure("Timeout", "no")
    ])
      assert.isTrue(isRenewAnswer(value), JSON.stringify(value))
    for (const value of [
      ...odds,
      { _tag: "Renewed", leaseExpireTime: "0", validFor: 1 },
      { _tag: "Renewed", leaseExpireTime: 0, validFor: "1" },
      { _tag: "NotHeld", current: {} }
    ])
      assert.isFalse(isRenewAnswer(value), JSON.stringify(value))
  })

  it("that is none is described, and is a fault that no other try mends", () => {
    const said = (value: unknown) => odd("test", "claim", value).message
    const error = odd("test", "claim", undefined)
    assert.deepInclude(
      { ...error },
      { reason: "Unknown", operation: "test.claim", isRetryable: false, applied: "unknown" }
    )
    assert.strictEqual(
      error.message,
      "test answered claim with nothing, which is no answer to it: this is a fault of that storage"
    )
    assert.include(said([]), "with an array,")
    assert.include(said({ _tag: "Held" }), "with a Held of another shape,")
    assert.match(said(7), /with a value /)
    assert.match(said(null), /with a value /)
  })

  it("that was thrown is told with what was thrown", () => {
    const cause = new Error("no such table")
    const error = thrown("test", "get", cause)
    assert.deepInclude(
      { ...error },
      { reason: "Unknown", operation: "test.get", isRetryable: false, applied: "unknown" }
    )
    assert.strictEqual(error.cause, cause)
    assert.strictEqual(error.message, "test threw in get: no such table")
    assert.strictEqual(thrown("test", "get", "text").message, "test threw in get: text")
    const shy = {
      toString: () => {
        throw new Error("never")
      }
    }
    assert.strictEqual(thrown("test", "get", shy).message, "test threw in get: something that cannot be shown")
  })
})

describe("a storage that is guarded", () => {
  const fails = () => {
    throw new Error("thrown by the method")
  }
  const methods = {
    claim: fails,
    renew: fails,
    release: fails,
    revoke: fails,
    get: fails,
    purge: fails,
    guarantees: { name: "test" }
  }
  const storage = {
    ...methods,
    get list(): Stream.Stream<never> {
      return fails()
    },
    get wakeUps(): Stream.Stream<never> {
      return fails()
    }
  } as unknown as Storage.Service

  it("is one, however often it is asked for", () => {
    assert.strictEqual(guarded(storage), guarded(storage))
    assert.notStrictEqual(guarded(storage), guarded({ guarantees: storage.guarantees } as Storage.Service))
    assert.strictEqual(guarded(storage).guarantees, storage.guarantees)
  })

  it.effect("throws nothing: its effects fail", () =>
    Effect.gen(function* () {
      const service = guarded(storage) as unknown as Record<string, (input: unknown) => Effect.Effect<unknown>>
      for (const name of ["claim", "renew", "release", "revoke", "get", "purge"]) {
        const exit = yield* Effect.exit(service[name]!(undefined))
        assert.strictEqual(exit._tag, "Failure", name)
      }
      assert.strictEqual((yield* Effect.exit(Stream.runDrain(guarded(storage).wakeUps)))._tag, "Failure")
    })
  )

  it.effect(
    "has a list that ends in an error of its own kind, or in that of the storage, and passes on what is right",
    () =>
      Effect.gen(function* () {
        const listed = (list: Stream.Stream<unknown, unknown>) =>
          Effect.result(
            Stream.runCollect(guarded({ ...methods, wakeUps: Stream.empty, list } as unknown as Storage.Service).list)
          )
        const all = yield* listed(Stream.make({ record }, { record }))
        assert(Result.isSuccess(all))
        assert.deepStrictEqual(all.success, [{ record }, { record }] as ReadonlyArray<unknown>)
        const strange = yield* listed(Stream.make({ record }, { record: {} }))
        assert(Result.isFailure(strange))
        assert.strictEqual(
          strange.failure.message,
          "test answered list with a value of type object, which is no answer to it: this is a fault of that storage"
        )
        const own = Faulty.failure("Connection", "no")
        assert.deepStrictEqual(yield* listed(Stream.fail(own)), Result.fail(own))
        for (const failing of [Stream.fail(new Error("text")), Stream.die(new Error("text"))]) {
          const other = yield* listed(failing)
          assert(Result.isFailure(other))
          assert.deepInclude({ ...other.failure }, { reason: "Unknown", operation: "test.list" })
          assert.strictEqual(other.failure.message, "test threw in list: text")
        }
        const exit = yield* Effect.exit(
          Stream.runDrain(
            guarded({
              ...methods,
              wakeUps: Stream.empty,
              list: Stream.fromEffect(Effect.interrupt)
            } as unknown as Storage.Service).list
          )
        )
        assert.isTrue(exit._tag === "Failure" && Cause.hasInterruptsOnly(exit.cause))
      })
  )
})
