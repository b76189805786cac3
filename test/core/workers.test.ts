/** Fibers that run calls, one at a time each: who is kept for the next call, who ends, and that an interruption hits no other call. */
import { assert, describe, it } from "#harness/vitest"
import * as Deferred from "#effect/Deferred"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import type * as Exit from "#effect/Exit"
import * as fibers from "#effect/fibers"
import { turns } from "#harness/settling"
import type { StorageError } from "../../src/LockError.js"
import { Workers } from "../../src/core/workers.js"
import * as Storage from "../../src/Storage.js"

const settled = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: turns }
)

const setup = Effect.gen(function* () {
  const state = { idle: 0 }
  const workers = new Workers(
    yield* Effect.context<never>(),
    yield* fibers.run,
    yield* Effect.clockWith(Effect.succeed),
    () => void state.idle++
  )
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      workers.interrupt(undefined)
      workers.close()
    })
  )
  const start = (self: Effect.Effect<unknown, StorageError>, limit = 100, operation = "get") => {
    const exits: Array<Exit.Exit<unknown, StorageError>> = []
    return { exits, interrupt: workers.start({ operation, self, limit, ended: (exit) => void exits.push(exit) }) }
  }
  /** A call that ends when the test says so. */
  const gated = (operation = "get", limit = 100) => {
    const gate = Deferred.makeUnsafe<void>()
    const open = Effect.andThen(Deferred.succeed(gate, undefined), settled)
    const call = start(Deferred.await(gate), limit, operation)
    return { ...call, open }
  }
  const counts = () => [workers.counts.busyWorkers, workers.counts.idleWorkers]
  return { workers, state, start, gated, counts }
})

const outcomes = (...calls: ReadonlyArray<{ readonly exits: ReadonlyArray<Exit.Exit<unknown, unknown>> }>) =>
  calls.map(({ exits }) => exits.map(({ _tag }) => _tag).join())

describe("a worker", () => {
  it.live("is kept for the next call, and one more is made only if all are busy", () =>
    Effect.gen(function* () {
      const { counts, gated, start, state, workers } = yield* setup
      assert.deepStrictEqual([counts(), workers.isIdle], [[0, 0], true])
      const [first, second] = [gated(), gated()]
      yield* settled
      assert.deepStrictEqual([counts(), workers.isIdle], [[2, 0], false])
      yield* first.open
      assert.deepStrictEqual([counts(), state.idle], [[1, 1], 0])
      yield* second.open
      assert.deepStrictEqual([counts(), state.idle, workers.isIdle], [[0, 2], 1, true])
      const third = start(Effect.void)
      yield* settled
      assert.deepStrictEqual([counts(), state.idle], [[0, 2], 2])
      assert.deepStrictEqual(outcomes(first, second, third), ["Success", "Success", "Success"])
    }).pipe(Effect.scoped)
  )

  it.live("ends after its call if there are 64 that wait for one", () =>
    Effect.gen(function* () {
      const { counts, gated } = yield* setup
      const calls = Array.from({ length: 66 }, () => gated())
      yield* settled
      assert.deepStrictEqual(counts(), [66, 0])
      for (const { open } of calls) yield* open
      assert.deepStrictEqual(counts(), [0, 64])
    }).pipe(Effect.scoped)
  )

  it.live("tells the storage how much time each of its calls has", () =>
    Effect.gen(function* () {
      const { counts, start } = yield* setup
      const told: Array<number> = []
      const ask = Effect.gen(function* () {
        told.push(Duration.toMillis(yield* Storage.TimeLimit))
      })
      for (const limit of [100, 100, 250, 100]) {
        start(ask, limit)
        yield* settled
      }
      assert.deepStrictEqual(told, [100, 100, 250, 100])
      assert.deepStrictEqual(counts(), [0, 1])
    }).pipe(Effect.scoped)
  )
})

describe("an interruption", () => {
  it.live("ends the call and its worker, and the next call has another", () =>
    Effect.gen(function* () {
      const { counts, gated, start } = yield* setup
      const call = gated()
      yield* settled
      call.interrupt()
      yield* settled
      assert.deepStrictEqual([outcomes(call), counts()], [["Failure"], [0, 0]])
      const next = start(Effect.void)
      yield* settled
      assert.deepStrictEqual([outcomes(next), counts()], [["Success"], [0, 1]])
    }).pipe(Effect.scoped)
  )

  it.live("of a call that cannot be interrupted ends its worker afterwards: no other call is given to it", () =>
    Effect.gen(function* () {
      const { counts, start } = yield* setup
      const gate = yield* Deferred.make<void>()
      const next: Array<string> = []
      // What it does last: as an answer on which the caller asks again at once.
      const last = Effect.sync(() => next.push("ended"))
      const call = start(Effect.uninterruptible(Effect.andThen(Deferred.await(gate), last)))
      yield* settled
      call.interrupt()
      yield* settled
      assert.deepStrictEqual([outcomes(call), counts()], [[""], [1, 0]])
      yield* Deferred.succeed(gate, undefined)
      yield* settled
      assert.deepStrictEqual([next, counts()], [["ended"], [0, 0]])
      const another = start(Effect.void)
      yield* settled
      assert.deepStrictEqual([outcomes(another), counts()], [["Success"], [0, 1]])
    }).pipe(Effect.scoped)
  )

  it.live("that comes in the moment in which its call ends leaves no worker that is about to end", () =>
    Effect.gen(function* () {
      const { counts, start, workers } = yield* setup
      start(Effect.sync(() => workers.interrupt("get")))
      yield* settled
      assert.deepStrictEqual(counts(), [0, 0])
      const next = start(Effect.void)
      yield* settled
      assert.deepStrictEqual([outcomes(next), counts()], [["Success"], [0, 1]])
    }).pipe(Effect.scoped)
  )

  it.live("of a call that has ended does no harm to the next one of its worker", () =>
    Effect.gen(function* () {
      const { counts, gated, start } = yield* setup
      const over = start(Effect.void)
      yield* settled
      const next = gated()
      yield* settled
      over.interrupt()
      yield* settled
      assert.deepStrictEqual(
        [outcomes(over, next), counts()],
        [
          ["Success", ""],
          [1, 0]
        ]
      )
      yield* next.open
      assert.deepStrictEqual(outcomes(next), ["Success"])
    }).pipe(Effect.scoped)
  )

  it.live("of one operation leaves the others alone, and one of all does not", () =>
    Effect.gen(function* () {
      const { gated, workers } = yield* setup
      const [renew, claim] = [gated("renew"), gated("claim")]
      yield* settled
      workers.interrupt("renew")
      yield* settled
      assert.deepStrictEqual(outcomes(renew, claim), ["Failure", ""])
      workers.interrupt(undefined)
      yield* settled
      assert.deepStrictEqual(outcomes(renew, claim), ["Failure", "Failure"])
    }).pipe(Effect.scoped)
  )
})

it.live("closing ends those that wait for a call at once, and the others after theirs", () =>
  Effect.gen(function* () {
    const { counts, gated, start, workers } = yield* setup
    const busy = gated()
    start(Effect.void)
    yield* settled
    assert.deepStrictEqual(counts(), [1, 1])
    workers.close()
    assert.deepStrictEqual(counts(), [1, 0])
    yield* busy.open
    assert.deepStrictEqual([outcomes(busy), counts()], [["Success"], [0, 0]])
  }).pipe(Effect.scoped)
)

it.live("calls that end at once leave the event loop a turn now and then", () =>
  Effect.gen(function* () {
    const { workers } = yield* setup
    let calls = 0
    let seenAfter = Number.POSITIVE_INFINITY
    setImmediate(() => (seenAfter = calls))
    yield* Effect.callback<void>((resume) => {
      const next = () =>
        workers.start({
          operation: "get",
          self: Effect.sync(() => void calls++),
          limit: 100,
          ended: () => (calls < 2000 ? queueMicrotask(next) : resume(Effect.void))
        })
      next()
    })
    assert.isBelow(seenAfter, 1000)
  }).pipe(Effect.scoped)
)
