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
import { DirectCalls } from "../../src/core/directCalls.js"
import { callsInARow } from "../../src/core/workers.js"
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

describe("calls by a callback", () => {
  const unanswered = new StorageError({
    reason: "Timeout",
    operation: "test.claim",
    isRetryable: true,
    applied: "unknown",
    message: "stopped"
  })
  /** What they were asked to do, told and came to. */
  const setup = () => {
    const told: Array<string> = []
    const works: Array<{ readonly limit: number; readonly end: (exit: Exit.Exit<never, StorageError>) => void }> = []
    const calls = new DirectCalls(
      (operation, _, limit, ended) => {
        works.push({ limit, end: ended })
        return () => void told.push(`${operation} interrupted`)
      },
      () => unanswered,
      () => void told.push("idle")
    )
    const start = (operation: string, ask: Parameters<typeof calls.start<number>>[1], limit = 1_000) =>
      calls.start<number>(operation, ask, limit, (exit) =>
        told.push(Exit.isSuccess(exit) ? `${operation} ${exit.value}` : `${operation} failed`)
      )
    return { calls, start, told: () => told.splice(0), works }
  }

  it("end once, within the call or later, and it is told when none is open", () => {
    const { calls, start, told } = setup()
    const stop = start("a", (_, done) => {
      done(Exit.succeed(1))
      done(Exit.succeed(2))
    })
    assert.deepStrictEqual(told(), ["a 1", "idle"])
    stop()
    let later: ((answer: Effect.Effect<number, StorageError>) => void) | undefined
    start("b", (_, done) => void (later = done))
    start("c", (_, done) => done(Exit.succeed(3)))
    assert.deepStrictEqual([told(), calls.size], [["c 3"], 1])
    later!(Exit.succeed(4))
    later!(Exit.succeed(5))
    assert.deepStrictEqual([told(), calls.size], [["b 4", "idle"], 0])
  })

  it("that were stopped end without an answer, and what comes later is none", () => {
    const { calls, start, told, works } = setup()
    const answers = ["claim", "release", "claim"].map((operation) => {
      let answer: (() => void) | undefined
      start(operation, (_, done) => void (answer = () => done(Effect.sync(() => 1))))
      return () => answer!()
    })
    calls.stop("claim")
    assert.deepStrictEqual([told(), calls.size], [["claim failed", "claim failed"], 1])
    for (const answer of answers) answer()
    assert.lengthOf(works, 1, "of the release alone")
    calls.stop(undefined)
    assert.deepStrictEqual(told(), ["release interrupted"])
    works[0]!.end(Exit.fail(unanswered))
    assert.deepStrictEqual([told(), calls.size], [["release failed", "idle"], 0])
  })

  it("have for what must be done first what is left of their time, and a millisecond at least", () => {
    const { start, works } = setup()
    for (const limit of [1_000, 2])
      start(
        "a",
        (_, done) => {
          const began = performance.now()
          while (performance.now() - began < 5);
          done(Effect.sync(() => 1))
        },
        limit
      )
    assert.isAtMost(works[0]!.limit, 995)
    assert.isAbove(works[0]!.limit, 1)
    assert.strictEqual(works[1]!.limit, 1)
  })

  it("let others have the event loop, once of so many that were answered within the call", () => {
    const { start, works } = setup()
    for (let i = 1; i <= 2 * callsInARow; i++) {
      start("a", (_, done) => done(Exit.succeed(i)))
      let later: (() => void) | undefined
      start("b", (_, done) => void (later = () => done(Exit.succeed(i))))
      later!()
      assert.lengthOf(works, Math.floor(i / callsInARow))
    }
  })
})
