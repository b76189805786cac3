/** Schedules that run once in a fleet, in virtual time: whatever the starts and clocks of its processes, and whatever becomes of them. */
import { assert, describe, it } from "#harness/vitest"
import * as clocks from "#effect/clocks"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import { eventLoop } from "#effect/fibers"
import * as Fiber from "#effect/Fiber"
import * as Scope from "#effect/Scope"
import * as TestClock from "#harness/testing/TestClock"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { plan } from "../../src/fleet/runner.js"
import * as ticks from "../../src/fleet/ticks.js"
import * as FleetSchedule from "../../src/FleetSchedule.js"
import { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as VersionedStore from "../../src/VersionedStore.js"

const second = { every: "1 second" } as const

/** A process: its schedule runs until it is killed. One that is cut off reaches the storage no more. */
const process = (store: VersionedStore.Service, ahead = 0) =>
  Effect.gen(function* () {
    const link = { cut: false, losesAnswer: (_record: LockRecord.LockRecord) => false }
    const cutOff = (applied: "no" | "unknown") =>
      new StorageError({
        reason: "Connection",
        operation: "Memory.call",
        isRetryable: true,
        applied,
        message: "cut off"
      })
    const over = <A, E>(self: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | StorageError> => (link.cut ? Effect.fail(cutOff("no")) : self))
    /** What was written is written, and nobody says so. */
    const written = <A, E>(record: LockRecord.LockRecord, self: Effect.Effect<A, E>) =>
      Effect.flatMap(over(self), (answer) =>
        link.losesAnswer(record) ? Effect.fail(cutOff("unknown")) : Effect.succeed(answer)
      )
    const linked: VersionedStore.Service = {
      ...store,
      create: (...args) => written(args[2], store.create(...args)),
      update: (...args) => written(args[2], store.update(...args)),
      get: (lockId) => over(store.get(lockId)),
      ...(store.time === undefined ? {} : { time: over(store.time) })
    }
    const own = yield* Effect.clockWith((clock) =>
      Effect.succeed(
        clocks.make({
          wallMillis: () => clocks.wallMillis(clock) + ahead,
          monotonicNanos: () => clocks.monotonicNanos(clock),
          sleep: (duration) => clock.sleep(duration)
        })
      )
    )
    const scope = yield* Scope.make()
    const schedules = yield* FleetSchedule.make({ leaseExpireAfter: "5 seconds" }).pipe(
      Effect.provideService(VersionedStore.VersionedStore, linked),
      Effect.provideService(Scope.Scope, scope),
      (self) => clocks.withClock(self, own)
    )
    return {
      schedules,
      link,
      cut: Effect.sync(() => {
        link.cut = true
      }),
      mend: Effect.sync(() => {
        link.cut = false
      }),
      run: <E>(
        name: string,
        when: FleetSchedule.When,
        task: FleetSchedule.Task<E, never>,
        options?: FleetSchedule.Options
      ) => Effect.forkChild(clocks.withClock(Effect.orDie(schedules.run(name, when, task, options)), own)),
      close: Scope.close(scope, Exit.void)
    }
  })

const elapse = (seconds: number) =>
  Effect.forEach(
    Array.from({ length: seconds }),
    // On Effect 4 a fiber that is woken goes on in a later turn of the event loop.
    () => Effect.andThen(Effect.andThen(eventLoop, eventLoop), TestClock.adjust("1 second")),
    { discard: true }
  )

/** Shortly before the next tick of so many minutes. */
const untilTick = (minutes: number) =>
  Effect.flatMap(Effect.clockWith(Effect.succeed), (clock) =>
    TestClock.adjust(minutes * 60_000 - 1_000 - (clocks.wallMillis(clock) % (minutes * 60_000)))
  )

/** How often each tick was begun. */
const counter = () => {
  const times = new Map<number, number>()
  let inside = 0
  let together = 0
  const task = (millis: number) => (tick: FleetSchedule.Tick) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const time = DateTime.toEpochMillis(tick.time)
        times.set(time, (times.get(time) ?? 0) + 1)
        together = Math.max(together, ++inside)
      }),
      () => (millis === 0 ? Effect.void : Effect.sleep(millis)),
      () => Effect.sync(() => inside--)
    )
  return { times, task, together: () => together }
}

const history = (schedules: FleetSchedule.Service, name: string) =>
  Effect.map(schedules.history(name), (runs) => runs.map(({ outcome }) => outcome))

describe("a schedule in a fleet", () => {
  for (const time of [undefined, "none"] as const)
    it.effect(
      `each tick of five processes runs once, ${time === undefined ? "by the storage's clock" : "by clocks that are seconds apart"}, however their starts are skewed`,
      () =>
        Effect.gen(function* () {
          const clock = yield* Effect.clockWith(Effect.succeed)
          // The one clock of all, not that of whoever asks.
          const ofStore = Effect.sync(() => Math.floor(clocks.wallMillis(clock) * 1000))
          const store = yield* MemoryStorage.makeVersioned({ time: time ?? ofStore })
          const { task, times, together } = counter()
          const fibers = []
          for (const ahead of [0, 2_500, -5_000, 1_300, 5_000]) {
            const each = yield* process(store, ahead)
            fibers.push(yield* each.run("report", second, task(100)))
            yield* TestClock.adjust("400 millis")
          }
          yield* elapse(120)
          assert.isTrue(Array.from(times.values()).every((count) => count === 1))
          assert.strictEqual(together(), 1)
          const all = Array.from(times.keys()).sort((a, b) => a - b)
          // None is left out.
          assert.isAtLeast(all.length, 115)
          all.forEach((tick, n) => assert.strictEqual(tick, all[0]! + n * 1_000))
          yield* Effect.forEach(fibers, Fiber.interrupt)
        })
    )

  it.effect("what runs longer than a period has the next ticks passed over, or queued", () =>
    Effect.gen(function* () {
      for (const overlap of ["skip", "queue"] as const) {
        const store = yield* MemoryStorage.makeVersioned()
        const { task, times, together } = counter()
        const [a, b] = [yield* process(store), yield* process(store)]
        const fibers = [
          yield* a.run("report", second, task(2_500), { overlap, missed: "all" }),
          yield* b.run("report", second, task(2_500), { overlap, missed: "all" })
        ]
        yield* elapse(30)
        assert.strictEqual(together(), 1)
        assert.isTrue(Array.from(times.values()).every((count) => count === 1))
        const all = Array.from(times.keys()).sort((x, y) => x - y)
        const outcomes = yield* history(a.schedules, "report")
        if (overlap === "skip") {
          assert.isAtLeast(all[1]! - all[0]!, 3_000)
          assert.include(outcomes, "skipped")
        } else {
          assert.strictEqual(all[1]! - all[0]!, 1_000)
          assert.notInclude(outcomes, "skipped")
        }
        yield* Effect.forEach(fibers, Fiber.interrupt)
      }
    })
  )

  it.effect("a tick whose process died is told of; another runs it again only where that was asked for", () =>
    Effect.gen(function* () {
      for (const runs of ["atMostOnce", "atLeastOnce"] as const) {
        const store = yield* MemoryStorage.makeVersioned()
        const { task, times } = counter()
        const again: Array<boolean> = []
        const [a, b] = [yield* process(store), yield* process(store)]
        const first = yield* a.run("report", { every: "1 minute" }, task(60_000), { runs })
        yield* elapse(61)
        assert.strictEqual(times.size, 1)
        yield* a.cut
        const second = yield* b.run(
          "report",
          { every: "1 minute" },
          (tick) => Effect.sync(() => again.push(tick.isAgain)),
          { runs }
        )
        yield* elapse(62)
        assert.deepStrictEqual(again, runs === "atMostOnce" ? [false] : [true, false])
        const outcomes = yield* history(b.schedules, "report")
        assert.deepStrictEqual(outcomes, runs === "atMostOnce" ? ["done", "died"] : ["done", "done", "died"])
        yield* Effect.forEach([first, second], Fiber.interrupt)
      }
    })
  )

  it.effect("what its program ends is run again where that was asked for, at once, by whoever is there", () =>
    Effect.gen(function* () {
      for (const runs of ["atMostOnce", "atLeastOnce"] as const) {
        yield* untilTick(10)
        const store = yield* MemoryStorage.makeVersioned()
        const { task, times, together } = counter()
        const [a, b] = [yield* process(store), yield* process(store)]
        const options = { runs, missed: "all" } as const
        const first = yield* a.run("report", { every: "10 minutes" }, task(100_000), options)
        yield* elapse(2)
        assert.strictEqual(times.size, 1)
        const again: Array<boolean> = []
        const second = yield* b.run(
          "report",
          { every: "10 minutes" },
          (tick) =>
            Effect.andThen(
              Effect.sync(() => again.push(tick.isAgain)),
              task(30_000)(tick)
            ),
          options
        )
        yield* elapse(30)
        assert.deepStrictEqual(again, [])
        yield* Fiber.interrupt(first)
        // Well before the next tick, and before a lease would be over.
        yield* elapse(4)
        assert.deepStrictEqual(again, runs === "atMostOnce" ? [] : [true])
        assert.strictEqual(
          (yield* history(b.schedules, "report"))[1],
          runs === "atMostOnce" ? undefined : "interrupted"
        )
        // The same process, when it is there again.
        yield* Fiber.interrupt(second)
        const third = yield* b.run("report", { every: "10 minutes" }, task(30_000), options)
        yield* elapse(32)
        assert.strictEqual(
          (yield* history(b.schedules, "report")).join(),
          runs === "atMostOnce" ? "interrupted" : "done,interrupted,interrupted"
        )
        assert.strictEqual(together(), 1)
        yield* Fiber.interrupt(third)
      }
    })
  )

  it.effect("what its process leaves by dying in the midst of a long run is run again when its lease is over", () =>
    Effect.gen(function* () {
      yield* untilTick(10)
      const store = yield* MemoryStorage.makeVersioned()
      const [a, b] = [yield* process(store), yield* process(store)]
      const again: Array<boolean> = []
      const seen = (tick: FleetSchedule.Tick) =>
        Effect.andThen(
          Effect.sync(() => again.push(tick.isAgain)),
          Effect.sleep("3 minutes")
        )
      const fibers = [
        yield* a.run("report", { every: "10 minutes" }, seen, { runs: "atLeastOnce" }),
        yield* b.run("report", { every: "10 minutes" }, seen, { runs: "atLeastOnce" })
      ]
      yield* elapse(91)
      assert.deepStrictEqual(again, [false])
      // Whoever runs has lost the lock, and so has it for good. The other is the one who waits.
      yield* a.cut
      yield* elapse(10)
      yield* a.mend
      yield* b.cut
      yield* elapse(10)
      yield* b.mend
      yield* elapse(10)
      assert.isTrue(again.length >= 2 && again.slice(1).every((isAgain) => isAgain))
      yield* elapse(185)
      const runs = yield* b.schedules.history("report")
      assert.strictEqual(runs[0]!.outcome, "done")
      assert.isTrue(runs.every(({ time }) => DateTime.toEpochMillis(time) === DateTime.toEpochMillis(runs[0]!.time)))
      yield* Effect.forEach(fibers, Fiber.interrupt)
    })
  )

  it.effect("a task that takes longer than it may, or interrupts itself, has failed, and is not run again", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStorage.makeVersioned()
      const a = yield* process(store)
      let n = 0
      const fiber = yield* a.run(
        "report",
        { every: "1 minute" },
        Effect.suspend(() => (++n === 1 ? Effect.sleep("20 seconds") : n === 2 ? Effect.interrupt : Effect.void)),
        { runs: "atLeastOnce", holdAtMost: "10 seconds" }
      )
      yield* elapse(181)
      assert.deepStrictEqual(yield* history(a.schedules, "report"), ["done", "failed", "failed"])
      yield* Fiber.interrupt(fiber)
    })
  )

  it.effect(
    "a tick is run though the answer to the write that begins it was lost, and an answer that is lost begins none twice",
    () =>
      Effect.gen(function* () {
        for (const runs of ["atMostOnce", "atLeastOnce"] as const) {
          const store = yield* MemoryStorage.makeVersioned()
          const [a, b] = [yield* process(store), yield* process(store)]
          const { task, times } = counter()
          let written = 0
          for (const { link } of [a, b])
            link.losesAnswer = ({ data, lockId }) =>
              lockId.endsWith("#ticks") && data.includes('"running"') && written++ % 3 === 0
          const running = yield* Effect.forEach([a, b], ({ run }) =>
            run("report", { every: "1 minute" }, task(1000), { runs })
          )
          yield* elapse(60 * 5 + 30)
          assert.isAtLeast(written, 5)
          const begun = Array.from(times.keys())
          assert.isAtLeast(begun.length, 5)
          assert.deepStrictEqual(
            begun,
            begun.map((_, i) => begun[0]! + i * 60_000)
          )
          assert.isTrue(Array.from(times.values()).every((count) => count === 1))
          // The newest may be under way.
          assert.isTrue((yield* history(a.schedules, "report")).slice(1).every((outcome) => outcome === "done"))
          yield* Effect.forEach(running, Fiber.interrupt)
        }
      })
  )

  it.effect("what was run to its end is not run again because the storage was away when that was to be written", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStorage.makeVersioned()
      const all = [yield* process(store), yield* process(store)] as const
      const { task, times } = counter()
      const running = yield* Effect.forEach(all, ({ cut, run }) =>
        run("report", { every: "1 minute" }, (tick) => Effect.andThen(task(1000)(tick), cut), { runs: "atLeastOnce" })
      )
      for (let minute = 0; minute < 4; minute++) {
        yield* untilTick(1)
        yield* elapse(5)
        yield* Effect.forEach(all, ({ mend }) => mend)
        yield* elapse(30)
      }
      assert.isAtLeast(times.size, 3)
      assert.isTrue(Array.from(times.values()).every((count) => count === 1))
      assert.isTrue((yield* history(all[0].schedules, "report")).every((outcome) => outcome === "done"))
      yield* Effect.forEach(running, Fiber.interrupt)
    })
  )

  it.effect("a task that fails ends its tick, and not the schedule; one that is ended says so", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStorage.makeVersioned()
      const a = yield* process(store)
      let n = 0
      const fiber = yield* a.run(
        "report",
        second,
        Effect.suspend(() =>
          ++n === 1 ? Effect.fail("no") : n === 2 ? Effect.die("never") : n === 3 ? Effect.void : Effect.never
        )
      )
      yield* elapse(5)
      assert.deepStrictEqual(yield* history(a.schedules, "report"), ["running", "done", "failed", "failed"])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(yield* history(a.schedules, "report"), ["interrupted", "done", "failed", "failed"])
    })
  )

  it.effect(
    "a storage that is away for a while ends nothing; what was missed is passed over, run once, or run whole",
    () =>
      Effect.gen(function* () {
        for (const [missed, expected] of [
          ["skip", 0],
          ["latest", 1],
          ["all", 20]
        ] as const) {
          const store = yield* MemoryStorage.makeVersioned()
          const { task, times } = counter()
          const a = yield* process(store)
          const fiber = yield* a.run("report", second, task(0), { missed, missedAfter: "100 millis" })
          yield* elapse(3)
          const before = times.size
          yield* a.cut
          yield* elapse(20)
          assert.strictEqual(times.size, before)
          // Between two ticks, so that none is due just now.
          yield* TestClock.adjust("500 millis")
          yield* Fiber.interrupt(fiber)
          yield* a.mend
          const again = yield* a.run("report", second, task(0), { missed, missedAfter: "100 millis" })
          yield* TestClock.adjust("100 millis")
          // Twenty ticks take many turns of the event loop on Effect 4, and a process that has a lock so often pauses for others now and then.
          for (let turn = 1; turn <= 3_000 && times.size - before < expected; turn++)
            yield* turn % 10 === 0 ? TestClock.adjust("1 millis") : eventLoop
          assert.strictEqual(times.size - before, expected)
          yield* elapse(3)
          assert.isAtLeast(times.size - before, expected + 2)
          assert.isTrue(Array.from(times.values()).every((count) => count === 1))
          yield* Fiber.interrupt(again)
        }
      })
  )

  it.effect("the memory of the last tick outlives a purge", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStorage.makeVersioned()
      const a = yield* process(store)
      const fiber = yield* a.run("report", { every: "1 minute" }, Effect.void)
      yield* elapse(61)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("2 days")
      yield* VersionedStore.toStorage(store).purge("1 hour")
      assert.deepStrictEqual(yield* history(a.schedules, "report"), ["done"])
    })
  )

  it.effect("what is no schedule is refused by name, before anything is asked", () =>
    Effect.gen(function* () {
      const a = yield* process(yield* MemoryStorage.makeVersioned())
      yield* a.cut
      for (const [field, when, task, options] of [
        ["when", "not a cron", Effect.void, {}],
        ["when", 5, Effect.void, {}],
        ["when.every", { every: "0 millis" }, Effect.void, {}],
        ["when.every", { every: "soon" }, Effect.void, {}],
        ["task", second, 5, {}],
        ["overlap", second, Effect.void, { overlap: "both" }],
        ["missed", second, Effect.void, { missed: "some" }],
        ["runs", second, Effect.void, { runs: "once" }],
        ["missedAfter", second, Effect.void, { missedAfter: 0 }],
        ["ownerId", second, Effect.void, { ownerId: "me" }],
        ["options", second, Effect.void, 5]
      ] as const) {
        const error = yield* Effect.flip<never, object, never>(
          a.schedules.run("report", when as never, task as never, options as never)
        )
        assert.deepInclude<object>({ ...error }, { _tag: "InvalidOptions", field })
      }
      const error = yield* Effect.flip(a.schedules.run("", second, Effect.void))
      assert.strictEqual(error._tag, "InvalidLockId")
    })
  )
})

describe("ticks", () => {
  it("of a period are the same for everybody", () => {
    const made = ticks.make({ every: "10 minutes" }) as ticks.Ticks
    const time = Date.parse("2026-03-01T10:04:05Z")
    assert.strictEqual(new Date(made.after(time)).toISOString(), "2026-03-01T10:10:00.000Z")
    assert.strictEqual(made.after(made.after(time)) - made.after(time), 600_000)
  })

  it("of a Cron come once a day across both changes of the clocks", () => {
    for (const [hour, begin] of [
      ["30 2 * * *", "2026-03-27T12:00:00Z"],
      ["30 2 * * *", "2026-10-23T12:00:00Z"],
      ["0 12 * * *", "2026-03-27T00:00:00Z"]
    ] as const) {
      const made = ticks.make(hour) as ticks.Ticks
      let time = Date.parse(begin)
      const seen: Array<number> = []
      for (let day = 0; day < 5; day++) seen.push((time = made.after(time)))
      seen.forEach((tick, n) => n > 0 && assert.isAbove(tick, seen[n - 1]!))
      assert.isAtMost(seen[4]! - seen[0]!, 4 * 86_400_000 + 3_600_000)
    }
  })

  it("that are due are planned by what is asked for", () => {
    const due = [1_000, 2_000, 3_000, 4_000]
    const planned = (missed: "skip" | "latest" | "all", missedAfter: number) =>
      plan(due, 4_500, { missed, missedAfter })
    assert.deepStrictEqual(planned("all", 1), due)
    assert.deepStrictEqual(planned("skip", 1), [])
    assert.deepStrictEqual(planned("latest", 1), [4_000])
    assert.deepStrictEqual(planned("skip", 2_000), [3_000, 4_000])
    assert.deepStrictEqual(planned("latest", 2_000), [3_000, 4_000])
  })
})
