/** The audit is written in the background: bounded, counted, once each, and never in the way of a lock. */
import { assert, describe, it } from "#harness/vitest"
import * as Cause from "#effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import type { AuditStore, Row } from "../../src/AuditStore.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import { Backlog } from "../../src/core/backlog.js"
import * as LockAudit from "../../src/LockAudit.js"
import { InvalidOptions, StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"
import * as Faulty from "../support/faulty.js"
import * as Logged from "../support/logged.js"

type Append = AuditStore["append"]

/** A memory storage whose audit can be made to fail. */
const setup = Effect.map(MemoryStorage.make(), (memory) => {
  const state = {
    append: (rows: ReadonlyArray<Row>, append: Append) => append(rows),
    drops: 0,
    batches: [] as Array<ReadonlyArray<Row>>
  }
  const storage: Storage.Service = {
    ...memory,
    audit: (options) =>
      Effect.map(memory.audit!(options), (store) => ({
        ...store,
        append: (rows) =>
          Effect.suspend(() => {
            state.batches.push(rows)
            return state.append(rows, store.append)
          }),
        drop: (olderThan) =>
          Effect.suspend(() => {
            state.drops++
            return store.drop(olderThan)
          })
      }))
  }
  return { state, storage }
})

/** A process: its locks, and their audit. */
const begin = (storage: Storage.Service, options?: LockAudit.Options, lockOptions?: StorageLock.Options) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(
      LockAudit.layer(options).pipe(
        Layer.provideMerge(StorageLock.layer({ leaseExpireAfter: "30 seconds", ...lockOptions })),
        Layer.provide(Layer.succeed(Storage.Storage, storage))
      ),
      scope
    )
    return {
      audit: Context.get(context, LockAudit.LockAudit),
      locks: Context.get(context, StorageLock.StorageLock),
      close: Scope.close(scope, Exit.void)
    }
  })

const read = (audit: LockAudit.Service) => Effect.map(Stream.runCollect(audit.read()), (all) => [...all])
const tags = (entries: ReadonlyArray<LockAudit.Entry>) => entries.map(({ event }) => event._tag)
const use = (locks: StorageLock.Service, times: number) =>
  Effect.forEach(
    Array.from({ length: times }, (_, i) => `lock ${i}`),
    (id) => locks.withLock(Effect.void, id),
    {
      discard: true
    }
  )

const failed = Faulty.failure("Connection", "unknown")

describe("a backlog", () => {
  it("keeps the newest, in order, and counts the others, however it is filled and emptied", () => {
    const backlog = new Backlog<number>(5)
    const told: Array<number> = []
    let added = 0
    let gone = 0
    for (let round = 0; round < 200; round++) {
      for (let i = 0; i < (round * 7) % 13; i++) backlog.add(added++)
      assert.isAtMost(backlog.size, 5)
      gone += backlog.takeGone()
      told.push(...backlog.take((round * 3) % 6))
    }
    told.push(...backlog.take(Number.POSITIVE_INFINITY))
    assert.strictEqual(told.length + gone, added)
    assert.deepStrictEqual(
      told,
      [...told].sort((a, b) => a - b)
    )
    assert.strictEqual(new Set(told).size, told.length)
  })
})

describe("LockAudit", () => {
  it.effect("writes in batches, and no renewals unless they are asked for", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      const { audit, locks } = yield* begin(storage, { batch: 10 })
      const all = yield* begin(storage, { name: "all", events: ["Renewed"] })
      yield* use(locks, 25)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* audit.counts, { waiting: 0, written: 50, dropped: 0 })
      assert.isTrue(state.batches.length <= 6, `${state.batches.length} batches`)
      assert.isTrue(state.batches.every(({ length }) => length <= 10))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* locks.acquire("held")
          yield* all.locks.acquire("also held")
          yield* TestClock.adjust("65 seconds")
        })
      )
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(tags(yield* read(audit)).includes("Renewed"))
      const renewed = tags(yield* read(all.audit))
      assert.isAbove(renewed.length, 2)
      assert.isTrue(renewed.every((tag) => tag === "Renewed"))
    })
  )

  it.effect("writes a batch that is full at once, and what is left with what comes next", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      const { audit, locks } = yield* begin(storage, { batch: 10, every: "1 hour" })
      const written = Effect.gen(function* () {
        yield* TestClock.adjust(0)
        return (yield* audit.counts).written
      })
      yield* use(locks, 5)
      assert.strictEqual(yield* written, 10)
      yield* use(locks, 4)
      assert.strictEqual(yield* written, 10)
      yield* use(locks, 1)
      assert.strictEqual(yield* written, 20)
      yield* use(locks, 14)
      assert.strictEqual(yield* written, 40)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* written, 48)
      const ids = state.batches.flat().map(({ id }) => id)
      assert.deepStrictEqual(ids, [...ids].sort())
      assert.strictEqual(new Set(ids.map((id) => id.length)).size, 1)
    })
  )

  it.effect("waits longer each time for a table that fails, and says what is the matter", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const { state, storage } = yield* setup
        const { locks } = yield* begin(storage)
        const times: Array<number> = []
        state.append = () =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            times.push(now)
            return Effect.never
          })
        yield* use(locks, 1)
        yield* TestClock.adjust("20 minutes")
        const [warning] = Logged.at(lines, "Warning")
        assert.match(
          warning!.message,
          /cannot be written into the audit of MemoryStorage: the storage did not answer within \S+\. It is tried again; \d+ events wait at most/
        )
        const between = times.slice(1).map((time, i) => time - times[i]!)
        // Beside the time that each of them was given.
        const [first, last] = [between[0]! - 10_000, between.at(-1)! - 10_000]
        assert.isBelow(first, 1_000)
        assert.isAbove(last, 2_000)
        assert.isAtMost(last, 15_000)
        state.append = () => Effect.die("a fault of the storage")
        yield* TestClock.adjust("2 minutes")
        yield* TestClock.adjust("2 minutes")
        state.append = (rows, append) => append(rows)
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(Logged.at(lines, "Warning").length, 2)
      })
    )
  )

  it.effect("says that old entries pile up, if they cannot be dropped", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const memory = yield* MemoryStorage.make()
        const { audit } = yield* begin(
          {
            ...memory,
            audit: (options) => Effect.map(memory.audit!(options), (store) => ({ ...store, drop: () => failed }))
          },
          { keep: "1 day" }
        )
        yield* TestClock.adjust("1 day")
        assert.strictEqual((yield* audit.counts).written, 0)
        assert.isTrue(
          Logged.at(lines, "Warning").some(({ message }) =>
            message.startsWith(
              "effect-storage-lock: old entries of the audit of MemoryStorage could not be dropped, and pile up until they can: "
            )
          )
        )
      })
    )
  )

  it.effect(
    "a table that is stuck holds up nobody: so many events wait, the oldest go, and an entry tells how many",
    () =>
      Effect.gen(function* () {
        const { state, storage } = yield* setup
        state.append = () => Effect.never
        const { audit, locks } = yield* begin(storage, { capacity: 100, batch: 20 })
        yield* use(locks, 10)
        yield* TestClock.adjust("2 seconds")
        yield* use(locks, 500)
        const stuck = yield* audit.counts
        assert.isAtMost(stuck.waiting, 120)
        assert.strictEqual(stuck.written, 0)
        assert.strictEqual(stuck.waiting + stuck.dropped, 1_020)
        state.append = (rows, append) => append(rows)
        yield* TestClock.adjust("1 minute")
        const after = yield* audit.counts
        assert.strictEqual(after.waiting, 0)
        assert.strictEqual(after.dropped, stuck.dropped)
        assert.deepInclude(
          state.batches.flat().find(({ event }) => event === "Dropped"),
          { lockId: "", ownerId: "", ownerLabel: "", token: 0 }
        )
        const entries = yield* read(audit)
        const lost = entries.flatMap(({ event }) => (event._tag === "Dropped" ? [event.count] : []))
        assert.strictEqual(
          lost.reduce((a, b) => a + b, 0),
          stuck.dropped
        )
        assert.strictEqual(entries.length - lost.length + stuck.dropped, 1_020)
        // The newest are there, in the order in which they happened.
        const last = entries.flatMap(({ event }) => (event._tag === "Released" ? [event.lockId] : [])).slice(-40)
        assert.deepStrictEqual(
          last,
          Array.from({ length: 40 }, (_, i) => `lock ${460 + i}`)
        )
      })
  )

  it.effect("an outage is one warning, and its end another; what was written without an answer is there once", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const { state, storage } = yield* setup
        const { audit, locks } = yield* begin(storage)
        state.append = (rows, append) => Effect.andThen(append(rows), failed)
        yield* use(locks, 3)
        yield* TestClock.adjust("2 minutes")
        const tried = state.batches.length
        assert.isAbove(tried, 3)
        assert.isTrue(state.batches.every((batch) => batch[0]!.id === state.batches[0]![0]!.id))
        assert.strictEqual(Logged.at(lines, "Warning").length, 1)
        state.append = (rows, append) => append(rows)
        yield* TestClock.adjust("1 minute")
        const warnings = Logged.at(lines, "Warning").map(({ message }) => message)
        assert.strictEqual(warnings.length, 2, warnings.join("\n"))
        assert.match(warnings[1]!, /is written again; 0 events were dropped/)
        assert.strictEqual((yield* read(audit)).length, 6)
        assert.strictEqual((yield* audit.counts).written, 6)
        yield* use(locks, 3)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(Logged.at(lines, "Warning").length, 2)
        state.append = () => failed
        yield* use(locks, 1)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(Logged.at(lines, "Warning").length, 3)
      })
    )
  )

  it.effect("without the rights to write nothing is given up: it goes on when they are there", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      const { audit, locks } = yield* begin(storage)
      state.append = () => Faulty.failure("Permission", "no", false)
      yield* use(locks, 3)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* audit.counts, { waiting: 6, written: 0, dropped: 0 })
      state.append = (rows, append) => append(rows)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* audit.counts, { waiting: 0, written: 6, dropped: 0 })
    })
  )

  it.effect("one entry that the storage cannot take does not keep the others out", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      state.append = (rows, append) =>
        rows.some(({ event, lockId }) => lockId === "lock 3" && event === "Acquired")
          ? Faulty.failure("Unknown", "no", false)
          : append(rows)
      const { audit, locks } = yield* begin(storage)
      yield* use(locks, 6)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* audit.counts, { waiting: 0, written: 12, dropped: 1 })
      const entries = yield* read(audit)
      assert.strictEqual(tags(entries).filter((tag) => tag === "Released").length, 6)
      assert.deepStrictEqual(
        entries.flatMap(({ event }) => (event._tag === "Dropped" ? [event.count] : [])),
        [1]
      )
    })
  )

  it.effect("a storage whose audit throws harms no lock", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const { state, storage } = yield* setup
        state.append = () => {
          throw new Error("a fault of the test")
        }
        const { audit, locks } = yield* begin(storage)
        yield* use(locks, 3)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* audit.counts).waiting, 6)
        assert.include(Logged.at(lines, "Warning")[0]!.message, ": the storage failed: Error: a fault of the test.")
        state.append = (rows, append) => append(rows)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* read(audit)).length, 6)
      })
    )
  )

  it.effect("the end writes what waits, and does not wait long for a table that is stuck", () =>
    Logged.heard((lines) =>
      Effect.gen(function* () {
        const { state, storage } = yield* setup
        const good = yield* begin(storage, { every: "1 hour" })
        yield* use(good.locks, 3)
        yield* good.close
        const reader = yield* LockAudit.reader(storage)
        assert.strictEqual((yield* read(reader)).length, 6)
        assert.strictEqual(lines.length, 0)
        state.append = () => Effect.never
        const stuck = yield* begin(storage, { every: "1 hour" })
        yield* use(stuck.locks, 3)
        yield* stuck.close
        assert.deepStrictEqual(
          Logged.at(lines, "Warning").map(({ message }) => message),
          ["effect-storage-lock: at the end, 6 events could not be written into the audit of MemoryStorage"]
        )
      })
    )
  )

  it.effect("the end writes all that waits, batch by batch", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      state.append = (rows, append) => Effect.andThen(Effect.sleep("100 millis"), append(rows))
      const { close, locks } = yield* begin(storage, { batch: 10 })
      yield* use(locks, 25)
      yield* Effect.forkChild(close)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* read(yield* LockAudit.reader(storage))).length, 50)
    })
  )

  it.effect("a storage that does not take what is left is asked once, and not again when the locks end", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      state.append = () => failed
      const fresh = yield* begin(storage, { every: "1 hour" })
      yield* fresh.locks.lock("kept", "me")
      yield* fresh.close
      assert.strictEqual(state.batches.length, 1)
    })
  )

  it.effect("ends before its locks do, and then hears no more of them", () =>
    Effect.gen(function* () {
      const { storage } = yield* setup
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        Layer.provide(StorageLock.layer(), Layer.succeed(Storage.Storage, storage)),
        scope
      )
      const locks = Context.get(context, StorageLock.StorageLock)
      yield* Effect.scoped(
        Effect.andThen(Layer.build(Layer.provide(LockAudit.layer(), Layer.succeedContext(context))), use(locks, 2))
      )
      yield* use(locks, 2)
      yield* TestClock.adjust("1 minute")
      const reader = yield* LockAudit.reader(storage)
      assert.strictEqual((yield* read(reader)).length, 4)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* read(reader)).length, 4)
    })
  )

  it.effect("old entries are dropped by one process of all", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      const processes = yield* Effect.forEach([1, 2, 3, 4], () => begin(storage, { keep: "10 days" }))
      yield* use(processes[0]!.locks, 2)
      yield* TestClock.adjust("9 days")
      // An interval is 10 hours, and up to half as much more.
      assert.isAbove(state.drops, 10)
      assert.isBelow(state.drops, 23)
      assert.strictEqual((yield* read(processes[1]!.audit)).length, 4)
      yield* TestClock.adjust("2 days")
      assert.strictEqual((yield* read(processes[1]!.audit)).length, 0)
      assert.strictEqual((yield* Stream.runCollect(processes[0]!.locks.list)).length, 0)
      yield* Effect.forEach(processes, ({ close }) => close)
      const { drops } = state
      yield* TestClock.adjust("2 days")
      assert.strictEqual(state.drops, drops)
    })
  )

  it.effect("for ever means for ever", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      const { audit, locks } = yield* begin(storage, { keep: "infinity" })
      yield* use(locks, 1)
      yield* TestClock.adjust("60 days")
      assert.strictEqual(state.drops, 0)
      assert.strictEqual((yield* read(audit)).length, 2)
    })
  )

  it.effect("has none of what drivers say: that may be secret", () =>
    Effect.gen(function* () {
      const { state, storage } = yield* setup
      const link = Faulty.make(storage)
      yield* link.set(["claim"], {
        before: Effect.fail(
          new StorageError({
            reason: "Permission",
            operation: "test",
            isRetryable: false,
            applied: "no",
            message: "x".repeat(5_000),
            cause: new Error("password=hunter2")
          })
        )
      })
      const { locks } = yield* begin(link.storage)
      yield* Effect.exit(use(locks, 1))
      yield* TestClock.adjust("2 seconds")
      const rows = state.batches.flat()
      assert.isTrue(rows.some(({ event }) => event === "AcquireFailed"))
      assert.isFalse(JSON.stringify(rows).includes("hunter2"))
      assert.isTrue(rows.every(({ detail }) => detail.length < 2_000))
    })
  )

  it.effect("an entry of a later version, or changed by hand, is told as one that cannot be read", () =>
    Effect.gen(function* () {
      const { storage } = yield* setup
      const store = yield* storage.audit!({ name: undefined, setup: true, mostEntries: undefined })
      const row: Row = {
        id: "w-1",
        at: 5,
        event: "Promoted",
        namespace: "",
        lockId: "foo",
        ownerId: "",
        ownerLabel: "",
        token: 0,
        host: "h",
        pid: 1,
        detail: "{}"
      }
      yield* store.append([row, { ...row, id: "w-2", event: "Released", detail: "no JSON" }])
      const entries = yield* read(yield* LockAudit.reader(storage))
      assert.deepStrictEqual(
        entries.map(({ event }) => (event._tag === "Unreadable" ? [event.lockId, event.event, event.detail] : [])),
        [
          ["foo", "Promoted", "{}"],
          ["foo", "Released", "no JSON"]
        ]
      )
    })
  )

  it.effect("a storage without a place for it says which have one", () =>
    Effect.gen(function* () {
      const memory = yield* MemoryStorage.make()
      const { audit: _, ...storage } = memory
      const exit = yield* Effect.exit(begin(storage))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.isTrue(error instanceof LockAudit.AuditUnavailable && error.storage === "MemoryStorage")
      assert.match(String((error as Error).message), /PostgresStorage.*MemoryStorage/)
      const reading = yield* Effect.flip(LockAudit.reader(storage))
      assert.instanceOf(reading, LockAudit.AuditUnavailable)
    })
  )

  it.effect("refuses options that make no sense, before any I/O", () =>
    Effect.gen(function* () {
      const { storage } = yield* setup
      for (const options of [
        { capacity: 0 },
        { batch: 1.5 },
        { batch: 5_000 },
        { keep: "5 seconds" },
        { every: "-1 second" },
        { events: ["Aquired"] },
        { name: "" },
        { setup: "yes" },
        { mostEntries: 0 },
        { kep: "1 day" }
      ] as ReadonlyArray<object>) {
        const exit = yield* Effect.exit(begin(storage, options))
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        assert.instanceOf(error, InvalidOptions, JSON.stringify(options))
      }
    })
  )
})
