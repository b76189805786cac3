/** Storages that are asked by a callback: what the core makes of their answers, of none, and of too many. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Scope from "#effect/Scope"
import * as TestClock from "#harness/testing/TestClock"
import * as settling from "#harness/settling"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as direct from "../../src/common/direct.js"
import { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as Process from "../support/process.js"

const settled = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: settling.turns }
)

type Claim = Parameters<direct.Direct["claim"]>

/** Memory, whose claims and releases are answered as the test wishes, by callbacks alone. */
const setup = Effect.gen(function* () {
  const memory = yield* MemoryStorage.make()
  const claims: Array<Claim> = []
  const state = { waits: false, effects: 0 }
  const counted =
    <Request, A>(use: (request: Request) => Effect.Effect<A, StorageError>) =>
    (request: Request) =>
      Effect.suspend(() => {
        state.effects++
        return use(request)
      })
  const storage = Storage.Storage.of({ ...memory, claim: counted(memory.claim), release: counted(memory.release) })
  const claimed = (request: LockRecord.Claim) => Effect.runSync(memory.claim(request))
  direct.offer(storage, {
    claim: (request, millis, done, clock) => {
      if (state.waits) claims.push([request, millis, done, clock])
      else done(Effect.succeed(claimed(request)))
    },
    release: (request, _, done) => done(Exit.succeed(Effect.runSync(memory.release(request))))
  })
  return { memory, storage, claims, claimed, state }
})

const refused = new StorageError({
  reason: "Permission",
  operation: "test.claim",
  isRetryable: false,
  applied: "no",
  message: "not you"
})

describe("a storage that answers by a callback", () => {
  it.effect("is asked by no effect, and the lock goes round", () =>
    Effect.gen(function* () {
      const { memory, state, storage } = yield* setup
      const { locks } = yield* Process.make(storage)
      const tokens: Array<number> = []
      for (let i = 0; i < 3; i++)
        yield* Effect.scoped(Effect.map(locks.acquire("a"), ({ token }) => void tokens.push(token)))
      assert.strictEqual(new Set(tokens).size, 3)
      assert.isTrue((yield* memory.get("a"))._tag === "None")
      assert.strictEqual(state.effects, 0)
    })
  )

  it.effect("is told how long it has, and may answer later", () =>
    Effect.gen(function* () {
      const { claimed, claims, state, storage } = yield* setup
      const { locks } = yield* Process.make(storage, { leaseExpireAfter: "9 seconds" })
      state.waits = true
      const acquiring = yield* Effect.forkChild(Effect.scoped(Effect.map(locks.acquire("a"), ({ token }) => token)))
      yield* settled
      const [[request, millis, done]] = claims as [Claim]
      assert.isAbove(millis, 0)
      assert.isAtMost(millis, 9_000)
      done(Effect.succeed(claimed(request)))
      // A second answer is none.
      done(Effect.fail(refused))
      assert.isAbove(yield* Fiber.join(acquiring), 0)
    })
  )

  it.effect("may answer with what must be done first, which is bounded as any call", () =>
    Effect.gen(function* () {
      const { claimed, claims, state, storage } = yield* setup
      const { locks } = yield* Process.make(storage)
      state.waits = true
      const acquiring = yield* Effect.forkChild(Effect.exit(Effect.scoped(locks.acquire("a"))))
      yield* settled
      const [[request, , done]] = claims as [Claim]
      done(
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => claimed(request))
        )
      )
      yield* settled
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(acquiring)))
    })
  )

  it.effect("fails with its own error, and with one of ours where it throws or answers nonsense", () =>
    Effect.gen(function* () {
      const { memory } = yield* setup
      const fails = (ask: direct.Direct["claim"]) =>
        Effect.gen(function* () {
          const storage = Storage.Storage.of({ ...memory })
          direct.offer(storage, { claim: ask, release: (_, __, done) => done(Effect.succeed({ _tag: "NotHeld" })) })
          const { locks } = yield* Process.make(storage)
          return yield* Effect.flip(Effect.scoped(locks.tryAcquire("a")))
        })
      assert.deepInclude(yield* fails((_, __, done) => done(Effect.fail(refused))), { reason: "Permission" })
      const thrown = yield* fails(() => {
        throw new Error("a driver of the test")
      })
      assert.deepInclude(thrown, { _tag: "StorageError", reason: "Unknown", applied: "unknown" })
      assert.include(thrown.message, "a driver of the test")
      const odd = yield* fails((_, __, done) => done(Effect.succeed({ _tag: "Sometimes" } as never)))
      assert.deepInclude(odd, { _tag: "StorageError", reason: "Unknown" })
    })
  )

  it.effect("that does not answer is given up, and what it answers later is given back", () =>
    Effect.gen(function* () {
      const { claimed, claims, memory, state, storage } = yield* setup
      const { locks } = yield* Process.make(storage)
      state.waits = true
      const trying = yield* Effect.forkChild(Effect.flip(Effect.scoped(locks.tryAcquire("a"))))
      yield* settled
      const [[request, , done]] = claims as [Claim]
      // It was applied, and nobody hears of it.
      const outcome = claimed(request)
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(yield* Fiber.join(trying), { _tag: "StorageError", reason: "Timeout", applied: "unknown" })
      done(Effect.succeed(outcome))
      yield* settled
      yield* TestClock.adjust("40 seconds")
      assert.isTrue((yield* memory.get("a"))._tag === "None")
    })
  )

  it.effect("does not keep its layer from closing", () =>
    Effect.gen(function* () {
      const { claims, state, storage } = yield* setup
      const scope = yield* Scope.make()
      const { locks } = yield* Scope.provide(Process.make(storage), scope)
      state.waits = true
      const acquiring = yield* Effect.forkChild(Effect.exit(Effect.scoped(locks.acquire("a"))))
      yield* settled
      assert.lengthOf(claims, 1)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settled
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(acquiring)))
    })
  )
})
