/** Calls to a storage by themselves: what they end in, when they are overdue, and what runs on in the background. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Deferred from "#effect/Deferred"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Result from "#effect/Result"
import * as fibers from "#effect/fibers"
import * as settling from "#harness/settling"
import type { Timers } from "../../src/core/timers.js"
import { type Answer, make } from "../../src/core/calls.js"
import { Events } from "../../src/core/events.js"
import type { Timeline } from "../../src/core/timeline.js"
import type { StorageError } from "../../src/LockError.js"
import * as Faulty from "../support/faulty.js"
import { heard } from "../support/logged.js"

const settled = Effect.repeat(
  Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
  { times: settling.turns }
)

const setup = Effect.gen(function* () {
  const waitingTimers = new Set<{ readonly due: number; readonly ring: () => void }>()
  const timers = {
    set: (due: number, ring: () => void) => {
      const timer = { due, ring }
      waitingTimers.add(timer)
      return { cancel: () => void waitingTimers.delete(timer) }
    }
  } as unknown as Timers
  const state = { quiet: 0 }
  const calls = make(
    "test",
    yield* Effect.context<never>(),
    yield* fibers.run,
    yield* Effect.clockWith(Effect.succeed),
    { now: () => 5_000 } as Timeline,
    timers,
    new Events(yield* Effect.clockWith(Effect.succeed), { now: () => 5_000 } as Timeline, () => {}),
    () => void state.quiet++
  )
  yield* Effect.addFinalizer(() => calls.close)
  const answers: Array<Answer<unknown>> = []
  const overdue: Array<StorageError> = []
  const start = (self: Effect.Effect<unknown, any>, limit = 100, operation = "get") =>
    Effect.sync(() =>
      calls.start(operation, self, limit, {
        answered: (answer) => void answers.push(answer),
        overdue: (error) => void overdue.push(error)
      })
    )
  const answerTo = (self: Effect.Effect<unknown, any>, operation = "other") =>
    Effect.gen(function* () {
      yield* start(self, 100, operation)
      yield* settled
      return answers.pop()!
    })
  return { calls, waitingTimers, state, answers, overdue, start, answerTo }
})

describe("a call", () => {
  it.live("ends in what the storage answered, or how it failed", () =>
    Effect.gen(function* () {
      const { answerTo, calls } = yield* setup
      const error = Faulty.failure("Timeout", "no")
      assert.deepStrictEqual(yield* answerTo(Effect.fail(error)), Result.fail(error))
      assert.isFalse(calls.hasAnswered())
      assert.deepStrictEqual(yield* answerTo(Effect.succeed(7)), Result.succeed(7))
      assert.isTrue(calls.hasAnswered())
      const left = (answer: Answer<unknown>) => {
        assert(Result.isFailure(answer))
        return [answer.failure.reason, answer.failure.operation, answer.failure.message]
      }
      assert.deepStrictEqual(left(yield* answerTo(Effect.fail("text"))), [
        "Unknown",
        "test.other",
        "test threw in other: text"
      ])
      assert.deepStrictEqual(left(yield* answerTo(Effect.die(new Error("text")))), [
        "Unknown",
        "test.other",
        "test threw in other: text"
      ])
      assert.deepStrictEqual(left(yield* answerTo(Effect.interrupt)), [
        "Timeout",
        "test.other",
        "no answer from test within 100 ms"
      ])
      assert.deepStrictEqual(
        left(
          yield* answerTo(
            Effect.failCause(Cause.combine(Cause.fail("text"), Cause.interrupt({ _tag: "None" } as never)))
          )
        ),
        ["Unknown", "test.other", "test threw in other: text"]
      )
      assert.strictEqual(left(yield* answerTo(Effect.succeed(7), "get"))[1], "test.get")
      const strange = {
        get _tag(): string {
          throw new Error("do not look")
        }
      }
      assert.deepStrictEqual(left(yield* answerTo(Effect.succeed(strange), "release")), [
        "Unknown",
        "test.release",
        "test threw in release: do not look"
      ])
    })
  )

  it.live("is overdue a little after its limit: a twentieth of it, but 20 ms; then it is interrupted", () =>
    Effect.gen(function* () {
      const { answers, calls, overdue, start, waitingTimers } = yield* setup
      yield* start(Effect.never, 100)
      yield* start(Effect.never, 1_000)
      assert.deepStrictEqual(
        [...waitingTimers].map(({ due }) => due),
        [5_120, 6_050]
      )
      const [first] = waitingTimers
      first!.ring()
      assert.strictEqual(overdue[0]!.message, "no answer from test within 100 ms")
      yield* settled
      assert.deepStrictEqual([answers.length, waitingTimers.size], [1, 1])
      assert.isFalse(calls.isIdle())
      yield* calls.abort("other")
      yield* settled
      assert.strictEqual(answers.length, 1)
      yield* calls.abort("get")
      yield* settled
      assert.deepStrictEqual([answers.length, waitingTimers.size], [2, 0])
      assert.isTrue(calls.isIdle())
    })
  )

  it.live("that has ended by then has no limit, and needs nobody who is told that it is overdue", () =>
    Effect.gen(function* () {
      const { calls, start, waitingTimers } = yield* setup
      yield* start(Effect.succeed(1))
      yield* settled
      assert.strictEqual(waitingTimers.size, 0)
      calls.start("get", Effect.never, 100, { answered: () => {} })
      for (const { ring } of waitingTimers) ring()
      yield* settled
      assert.isTrue(calls.isIdle())
    })
  )

  it.live("that is asked is waited for, until it is overdue", () =>
    Effect.gen(function* () {
      const { calls, waitingTimers } = yield* setup
      assert.strictEqual(yield* calls.ask("other", Effect.succeed(7), 100), 7)
      const error = Faulty.failure("Timeout", "no")
      assert.strictEqual(yield* Effect.flip(calls.ask("other", Effect.fail(error), 100)), error)
      const fiber = yield* Effect.forkChild(Effect.flip(calls.ask("other", Effect.uninterruptible(Effect.never), 100)))
      yield* settled
      for (const { ring } of waitingTimers) ring()
      assert.strictEqual((yield* Fiber.join(fiber)).message, "no answer from test within 100 ms")
    })
  )
})

describe("work in the background", () => {
  it.live("is counted, and it is quiet when the last has ended; a defect of it is logged", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { calls, state } = yield* setup
        const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()] as const
        for (const gate of gates) calls.background(Deferred.await(gate))
        assert.deepStrictEqual([calls.counts().inBackground, calls.isIdle()], [2, false])
        yield* Deferred.succeed(gates[0], undefined)
        yield* settled
        assert.deepStrictEqual([calls.counts().inBackground, state.quiet], [1, 0])
        yield* Deferred.succeed(gates[1], undefined)
        yield* settled
        assert.deepStrictEqual([calls.counts().inBackground, state.quiet, calls.isIdle()], [0, 1, true])
        calls.background(Effect.die("broken"))
        yield* settled
        assert.deepStrictEqual(
          lines.map(({ level, message }) => `${level} ${message}`),
          ["Error effect-storage-lock: work in the background failed broken"]
        )
      })
    )
  )

  it.live("and calls end when it closes", () =>
    Effect.gen(function* () {
      const { answers, calls, start } = yield* setup
      calls.background(Effect.never)
      yield* start(Effect.never)
      yield* calls.close
      yield* settled
      assert.deepStrictEqual([answers.length, calls.counts().inBackground, calls.isIdle()], [1, 0, true])
    })
  )
})
