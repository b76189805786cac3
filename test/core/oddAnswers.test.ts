/** A storage is other people's code: one that throws, or answers with something that is no answer, fails that one call, with a typed error, and nothing else. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import * as Fiber from "#effect/Fiber"
import { StorageError } from "../../src/LockError.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as Process from "../support/process.js"

type Operation = "claim" | "renew" | "release" | "revoke" | "get"

/** A memory storage whose operations can be replaced. */
const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const instead = new Map<Operation | "list", (...args: ReadonlyArray<any>) => unknown>()
  const through = (operation: Operation) => (request: any) =>
    (instead.get(operation) ?? (storage[operation] as (request: any) => unknown))(request) as never
  const odd: Storage.Service = {
    ...storage,
    claim: through("claim"),
    renew: through("renew"),
    release: through("release"),
    revoke: through("revoke"),
    get: through("get"),
    get list() {
      return (instead.get("list")?.() ?? storage.list) as typeof storage.list
    }
  }
  return { storage, instead, a: yield* Process.make(odd, { leaseExpireAfter: "9 seconds" }) }
})

const thrower = {
  get _tag(): string {
    throw new Error("do not look")
  }
}

/** What no operation may answer. */
const nonsense: Record<string, () => unknown> = {
  throws: () => {
    throw new Error("a driver of the test")
  },
  "throws what cannot be shown": () => {
    throw Object.create(null)
  },
  "returns nothing": () => undefined,
  "returns a promise": () => Promise.resolve({ _tag: "Claimed" }),
  "returns a string": () => "OK",
  dies: () => Effect.die(new Error("a driver of the test")),
  "fails with an Error": () => Effect.fail(new Error("a driver of the test")),
  "fails with nothing": () => Effect.fail(undefined),
  "fails with half an error": () => Effect.fail({ _tag: "StorageError" }),
  "fails with an error of another reason": () =>
    Effect.fail({
      ...new StorageError({ reason: "Unknown", operation: "x", isRetryable: true, applied: "no", message: "m" }),
      reason: "Whim"
    }),
  "answers nothing": () => Effect.void,
  "answers null": () => Effect.succeed(null),
  "answers an empty object": () => Effect.succeed({}),
  "answers a number": () => Effect.succeed(1),
  "answers another tag": () => Effect.succeed({ _tag: "Sometimes" }),
  "answers what throws when it is looked at": () => Effect.succeed(thrower)
}

const record = {
  lockId: "foo",
  ownerId: "x",
  holds: ["h"],
  token: 7,
  version: 7,
  lockBeginTime: 1,
  leaseExpireTime: 2,
  format: 1
}

const oddClaims: Record<string, () => unknown> = {
  ...nonsense,
  "answers a list": () => Effect.succeed([]),
  "answers Claimed alone": () => Effect.succeed({ _tag: "Claimed" }),
  "answers Claimed without a time": () => Effect.succeed({ _tag: "Claimed", record, validFor: Number.NaN }),
  "answers Claimed for another": () => Effect.succeed({ _tag: "Claimed", record, validFor: 9_000_000 }),
  "answers Claimed with a token of text": () =>
    Effect.succeed({ _tag: "Claimed", record: { ...record, token: "7" }, validFor: 9_000_000 }),
  "answers Held with half a holder": () => Effect.succeed({ _tag: "Held", holder: { ownerId: "x" } }),
  "answers Held with a time that no date can tell": () =>
    Effect.succeed({ _tag: "Held", holder: { ...record, leaseExpireTime: 1e30 } }),
  "answers Held until never": () => Effect.succeed({ _tag: "Held", retryAfter: Number.NaN })
}

const isTyped = (error: unknown): boolean =>
  error instanceof StorageError &&
  error.reason === "Unknown" &&
  error.applied === "unknown" &&
  !error.isRetryable &&
  error.message.includes("MemoryStorage")

describe("a storage that answers oddly fails that call alone", () => {
  for (const [name, answer] of Object.entries(oddClaims)) {
    it.effect(`claim ${name}`, () =>
      Effect.gen(function* () {
        const { a, instead, storage } = yield* setup
        const other = yield* a.locks.acquire("other")
        instead.set("claim", answer)
        for (const locks of [
          Effect.asVoid(a.locks.acquire("foo")),
          Effect.asVoid(a.locks.tryAcquire("foo")),
          a.locks.withLock(() => Effect.void, "foo")
        ]) {
          const error = yield* Effect.flip(Effect.scoped<void, unknown, any>(locks))
          assert.isTrue(isTyped(error), String(error))
        }
        instead.clear()
        yield* Effect.scoped(a.locks.acquire("foo"))
        yield* other.check
        yield* TestClock.adjust("30 seconds")
        yield* other.check
        assert.isTrue(Option.isNone(yield* storage.get("foo")))
      })
    )
  }

  const oddRenewals: Record<string, (requests: ReadonlyArray<unknown>) => unknown> = {
    ...nonsense,
    "answers fewer": () => Effect.succeed([]),
    "answers with holes": (requests) => Effect.succeed(new Array(requests.length)),
    "answers Renewed without a time": (requests) =>
      Effect.succeed(requests.map(() => ({ _tag: "Renewed", leaseExpireTime: Number.NaN, validFor: Number.NaN }))),
    "answers NotHeld with half a record": (requests) =>
      Effect.succeed(requests.map(() => ({ _tag: "NotHeld", current: { token: 1 } }))),
    "answers half an error": (requests) => Effect.succeed(requests.map(() => ({ _tag: "StorageError" })))
  }
  for (const [name, answer] of Object.entries(oddRenewals)) {
    it.effect(`renew ${name}: the hold stays while its lease lasts, and is renewed by the next answer`, () =>
      Effect.gen(function* () {
        const { a, instead } = yield* setup
        const lock = yield* a.locks.acquire("foo")
        const other = yield* a.locks.acquire("bar")
        instead.set("renew", answer)
        assert.isTrue(isTyped(yield* Effect.flip(lock.renew)))
        yield* TestClock.adjust("6 seconds")
        yield* Effect.all([lock.check, other.check])
        instead.clear()
        yield* TestClock.adjust("30 seconds")
        yield* Effect.all([lock.check, other.check])
        instead.set("renew", answer)
        yield* TestClock.adjust("12 seconds")
        const lost = yield* Effect.flip(lock.check)
        assert.deepInclude({ ...lost }, { _tag: "LockLost", reason: "Expired" })
      })
    )
  }

  it.effect("renew answers one of three oddly: the others are renewed", () =>
    Effect.gen(function* () {
      const { a, instead, storage } = yield* setup
      const locks = yield* Effect.forEach(["a", "b", "c"], (id) => a.locks.acquire(id))
      instead.set("renew", (requests: ReadonlyArray<{ readonly lockId: string }>) =>
        Effect.map(storage.renew(requests as never), (answers) =>
          answers.map((answer, i) => (requests[i]!.lockId === "b" ? { _tag: "Whim" } : answer))
        )
      )
      yield* TestClock.adjust("20 seconds")
      const checks = yield* Effect.forEach(locks, (lock) => Effect.isSuccess(lock.check))
      assert.deepStrictEqual(checks, [true, false, true])
    })
  )

  for (const [name, answer] of Object.entries({
    ...nonsense,
    "answers Released without a count": () => Effect.succeed({ _tag: "Released" })
  })) {
    it.effect(`release ${name}: it is tried again until the storage answers`, () =>
      Effect.gen(function* () {
        const { a, instead, storage } = yield* setup
        const lock = yield* a.locks.acquire("foo")
        instead.set("release", answer)
        yield* lock.release
        instead.clear()
        yield* TestClock.adjust("1 second")
        assert.isTrue(Option.isNone(yield* storage.get("foo")))
      })
    )
  }

  for (const [name, answer] of Object.entries({
    ...nonsense,
    "answers half a record": () => Effect.succeed(Option.some({ record: { token: 1 } }))
  })) {
    it.effect(`get and revoke: ${name}`, () =>
      Effect.gen(function* () {
        const { a, instead } = yield* setup
        instead.set("get", answer).set("revoke", answer)
        assert.isTrue(isTyped(yield* Effect.flip(a.locks.get("foo"))))
        assert.isTrue(isTyped(yield* Effect.flip(a.locks.isLocked("foo"))))
        assert.isTrue(isTyped(yield* Effect.flip(a.locks.forceRelease("foo", { token: 1, when: "now" }))))
        instead.clear()
        assert.isFalse(yield* a.locks.isLocked("foo"))
      })
    )
  }

  for (const [name, list] of Object.entries<() => unknown>({
    throws: nonsense["throws"]!,
    "is nothing": () => "nothing",
    dies: () => Stream.die(new Error("a driver of the test")),
    "fails with an Error": () => Stream.fail(new Error("a driver of the test")),
    "tells half a record": () => Stream.make({ record: { token: 1 } })
  })) {
    it.effect(`list ${name}`, () =>
      Effect.gen(function* () {
        const { a, instead } = yield* setup
        instead.set("list", list)
        assert.isTrue(isTyped(yield* Effect.flip(Stream.runCollect(a.locks.list))))
      })
    )
  }

  it.effect("an error of another copy of this library is taken at its word", () =>
    Effect.gen(function* () {
      const { a, instead, storage } = yield* setup
      const foreign = {
        _tag: "StorageError",
        reason: "Connection",
        operation: "x",
        isRetryable: true,
        applied: "no",
        message: "away"
      }
      let calls = 0
      instead.set("claim", (request) => (++calls === 1 ? Effect.fail(foreign) : storage.claim(request as never)))
      const lock = yield* Effect.flatMap(Effect.forkChild(a.locks.acquire("foo")), (fiber) =>
        Effect.andThen(TestClock.adjust("1 second"), Fiber.join(fiber))
      )
      assert.strictEqual(calls, 2)
      instead.set("renew", (requests) => Effect.succeed((requests as ReadonlyArray<unknown>).map(() => foreign)))
      const renewed = yield* Effect.result(lock.renew)
      assert.isTrue(
        Result.isFailure(renewed) && renewed.failure._tag === "StorageError" && renewed.failure.reason === "Connection"
      )
    })
  )
})
