/** Spans of acquires and holds: where somebody looks, and nowhere else. */
import { assert, describe, it } from "#harness/vitest"
import * as tracers from "#harness/tracers"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Fiber from "#effect/Fiber"
import * as Option from "#effect/Option"
import * as TestClock from "#harness/testing/TestClock"
import type * as Tracer from "effect/Tracer"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as Faulty from "../support/faulty.js"
import { at, heard } from "../support/logged.js"
import * as Process from "../support/process.js"

const setup = Effect.gen(function* () {
  const storage = yield* MemoryStorage.make()
  const link = Faulty.make(storage)
  const { locks } = yield* Process.make(link.storage, { leaseExpireAfter: "30 seconds", ownerLabel: "the test" })
  return { link, locks, there: (yield* Process.make(storage, { ownerLabel: "another" })).locks }
})

const named = (spans: ReadonlyArray<Tracer.Span>, name: string) => spans.filter((span) => span.name === name)

const only = (spans: ReadonlyArray<Tracer.Span>, name: string): Tracer.Span => {
  const found = named(spans, name)
  assert.lengthOf(found, 1, name)
  return found[0]!
}

const succeeded = ({ status }: Tracer.Span): boolean => {
  assert(status._tag === "Ended", "the span has ended")
  return Exit.isSuccess(status.exit)
}

const get = (span: Tracer.Span, name: string) => span.attributes.get(`storage_lock.${name}`)

const parentOf = (span: Tracer.Span) => Option.getOrUndefined(span.parent)?.spanId

describe("spans", () => {
  it.effect("of an acquire and its hold, beneath the program's; the body is beneath the hold", () =>
    tracers.recording((spans) =>
      Effect.gen(function* () {
        const { locks } = yield* setup
        yield* Effect.withSpan(
          locks.withLock(() => Effect.withSpan(TestClock.adjust("1 second"), "body"), "foo", "ada"),
          "program"
        )
        const acquire = only(spans, "StorageLock.acquire")
        const hold = only(spans, "StorageLock.hold")
        const program = only(spans, "program")
        assert.deepStrictEqual([acquire, hold, only(spans, "body")].map(parentOf), [
          program.spanId,
          program.spanId,
          hold.spanId
        ])
        assert.isTrue(succeeded(acquire) && succeeded(hold))
        assert.deepStrictEqual(
          ["lock_id", "owner_id", "owner_label", "storage", "outcome", "attempts"].map((name) => get(acquire, name)),
          ["foo", "ada", "the test", "MemoryStorage", "Acquired", 1]
        )
        assert.strictEqual(get(hold, "token"), get(acquire, "token"))
      })
    )
  )

  it.effect("without a span of the program they have no parent", () =>
    tracers.recording((spans) =>
      Effect.gen(function* () {
        const { locks } = yield* setup
        yield* Effect.scoped(locks.acquire("foo"))
        assert.strictEqual(parentOf(only(spans, "StorageLock.acquire")), undefined)
        assert.isTrue(succeeded(only(spans, "StorageLock.hold")))
      })
    )
  )

  it.effect("a time-out is a failure and names the holder; a try that is refused is none", () =>
    tracers.recording((spans) =>
      Effect.gen(function* () {
        const { locks, there } = yield* setup
        yield* Effect.withTracerEnabled(there.acquire("foo", "them"), false)
        assert.lengthOf(spans, 0)
        const waiting = yield* Effect.forkChild(
          Effect.exit(Effect.scoped(locks.acquire("foo", { acquireTimeout: "1 second" })))
        )
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(Exit.isFailure(yield* Fiber.join(waiting)))
        const timedOut = only(spans, "StorageLock.acquire")
        assert.isFalse(succeeded(timedOut))
        const names = ["outcome", "waited_ms", "token", "namespace", "holder.owner_id", "holder.owner_label"]
        const told = (span: Tracer.Span) => names.map((name) => get(span, name))
        assert.deepStrictEqual(told(timedOut), ["TimedOut", 1_000, undefined, undefined, "them", "another"])
        yield* Effect.scoped(locks.tryAcquire("foo"))
        const [, refused] = named(spans, "StorageLock.acquire")
        assert.isTrue(succeeded(refused!))
        assert.deepStrictEqual(told(refused!), ["Refused", undefined, undefined, undefined, "them", "another"])
        assert.lengthOf(named(spans, "StorageLock.hold"), 0)
      })
    )
  )

  it.effect("name the namespace, where there is one", () =>
    tracers.recording((spans) =>
      Effect.gen(function* () {
        const { locks } = yield* Process.make(yield* MemoryStorage.make(), { namespace: "orders" })
        yield* Effect.scoped(locks.acquire("foo"))
        for (const name of ["StorageLock.acquire", "StorageLock.hold"])
          assert.strictEqual(get(only(spans, name), "namespace"), "orders")
      })
    )
  )

  it.effect("a loss is the failure of its hold", () =>
    tracers.recording((spans) =>
      Effect.gen(function* () {
        const { link, locks } = yield* setup
        yield* locks.acquire("foo")
        yield* link.set(["renew"], Faulty.refuse)
        yield* TestClock.adjust("40 seconds")
        const { status } = only(spans, "StorageLock.hold")
        assert(status._tag === "Ended" && Exit.isFailure(status.exit))
        assert.include(JSON.stringify(status.exit), "LockLost")
      })
    )
  )

  it.effect("an acquire that is interrupted ends its span", () =>
    tracers.recording((spans) =>
      Effect.gen(function* () {
        const { locks, there } = yield* setup
        yield* Effect.withTracerEnabled(there.acquire("foo", "them"), false)
        const waiting = yield* Effect.forkChild(Effect.scoped(locks.acquire("foo")))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(waiting)
        assert.strictEqual(get(only(spans, "StorageLock.acquire"), "outcome"), "Interrupted")
        assert.strictEqual(only(spans, "StorageLock.acquire").status._tag, "Ended")
      })
    )
  )

  const fault = () => {
    throw new Error("the tracer is broken")
  }
  const broken: Record<string, (span: Tracer.Span) => void> = {
    "begin one": fault,
    "note anything": (span) => Object.assign(span, { attribute: fault, event: fault }),
    "end one": (span) => Object.assign(span, { end: fault })
  }
  for (const [what, spoil] of Object.entries(broken)) {
    it.effect(`a tracer that cannot ${what} harms no hold, and is told of`, () =>
      heard((lines) =>
        tracers.recording(
          () =>
            Effect.gen(function* () {
              const { link, locks } = yield* setup
              yield* Effect.scoped(locks.acquire("foo"))
              const lock = yield* locks.acquire("foo")
              const told = yield* Effect.forkChild(Effect.flip(lock.lost))
              yield* link.set(["renew"], Faulty.refuse)
              yield* TestClock.adjust("40 seconds")
              assert.strictEqual((yield* Fiber.join(told)).reason, "Expired")
              yield* link.set(["renew"], undefined)
              assert.isTrue(Option.isSome(yield* Effect.scoped(locks.tryAcquire("foo"))))
              const errors = at(lines, "Error")
              assert.isNotEmpty(errors)
              for (const { message } of errors) assert.match(message, /tracer/)
            }),
          spoil
        )
      )
    )
  }
})
