/** What all SQL storages have in common, over a dialect that is made by hand. */
import { assert, describe, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Result from "#effect/Result"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import type { Answer, Executor } from "../../src/backends/sql/executor.js"
import type { Row } from "../../src/backends/sql/record.js"
import * as sql from "../../src/backends/sql/storage.js"
import { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Conformance from "../../src/testing/index.js"
import * as Hand from "../support/handDialect.js"
import { skip } from "../mutation/withoutLife.js"

const settings: sql.Settings = {
  operationTimeout: 5_000,
  versionMissRetry: Schedule.recurs(3),
  wakeUps: undefined
}

const start = 1_700_000_000_000_000

const hold = (n: number) => String(n).padStart(22, "h")

const setup = (more: Partial<sql.Dialect<Hand.Statement>> = {}, width = 10) => {
  const clock = { now: start }
  const { dialect, records } = Hand.make()
  const { executor, sent } = Hand.executor(() => clock.now, width)
  return { clock, dialect, records, sent, ...sql.make(executor, { ...dialect, ...more }, settings) }
}

/** Whose answers are given in advance, one after the other; the last one again and again. */
const answering = (...answers: ReadonlyArray<Answer | ReadonlyArray<Row>>) => {
  const sent: Array<Hand.Sent> = []
  const executor: Executor<Hand.Statement> = {
    width: 1,
    run: (operation, { values }, millis, done) => {
      const answer = answers[Math.min(sent.length, answers.length - 1)]!
      sent.push({ operation, values, millis })
      done("_tag" in answer ? answer : Result.succeed(answer))
    }
  }
  return { sent, executor }
}

const over = (
  answers: ReadonlyArray<Answer | ReadonlyArray<Row>>,
  more: Partial<sql.Dialect<Hand.Statement>> = {},
  given: Partial<sql.Settings> = {}
) => {
  const { executor, sent } = answering(...answers)
  return { sent, ...sql.make(executor, { ...Hand.make().dialect, ...more }, { ...settings, ...given }) }
}

const record: LockRecord.LockRecord = {
  lockId: "a",
  kind: "exclusive",
  format: 1,
  ownerId: "me",
  ownerLabel: "the night shift",
  holds: [hold(1)],
  token: 7,
  version: 9,
  lockBeginTime: start,
  leaseExpireTime: start + 30_000_000,
  data: ""
}
const row = Hand.rowOf(record, start + 1)
const mine: LockRecord.Claim = { lockId: "a", ownerId: "me", holdId: hold(1), lease: 30_000_000 }

describe("by hand", () => {
  let now = start
  const { dialect } = Hand.make()
  const made = sql.make(Hand.executor(() => (now += 7)).executor, dialect, settings)
  const hooks = {
    advance: (span: Duration.Duration) => Effect.sync(() => void (now += Duration.toMillis(span) * 1000))
  }
  const versioned = Layer.succeed(VersionedStore.VersionedStore, made.versioned)
  Conformance.suite({
    name: "the storage",
    layer: Layer.succeed(Storage.Storage, made.storage),
    versioned,
    hooks,
    skip,
    seed: 42,
    sequences: 5
  })
  Conformance.versionedSuite({ name: "the smaller port", layer: versioned })
})

describe("a claim", () => {
  it.effect("is answered by the record as it is now, and for how long", () =>
    Effect.gen(function* () {
      const { storage } = over([[row]])
      assert.deepStrictEqual(yield* storage.claim(mine), { _tag: "Claimed", record, validFor: 29_999_999 })
      for (const other of [
        { ...mine, ownerId: "you" },
        { ...mine, holdId: hold(2) }
      ])
        assert.deepStrictEqual(yield* storage.claim(other), { _tag: "Held", holder: record, retryAfter: 29_999_999 })
      const kind = over([[{ ...row, kind: "shared" }]]).storage
      assert.strictEqual((yield* kind.claim(mine))._tag, "Held")
    })
  )

  it.effect("that is answered without a row fails", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(over([[]]).storage.claim(mine))
      assert.deepInclude(error, {
        reason: "Unknown",
        operation: "HandStorage.claim",
        isRetryable: false,
        applied: "unknown"
      })
      assert.match(error.message, /answered a claim without a row: .* something between changes statements/)
    })
  )

  it.effect("is sent in groups where it waits for a connection, and so is a release", () =>
    Effect.gen(function* () {
      const { sent, storage } = setup({}, 1)
      const ids = ["a", "b", "c", "d"]
      const claims = yield* Effect.forEach(ids, (lockId) => storage.claim({ ...mine, lockId }), {
        concurrency: "unbounded"
      })
      assert.isTrue(claims.every(({ _tag }) => _tag === "Claimed"))
      const releases = yield* Effect.forEach(ids, (lockId) => storage.release({ lockId, holdId: hold(1) }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        releases,
        ids.map(() => ({ _tag: "Released", remaining: 0 }))
      )
      assert.deepStrictEqual(
        sent.map(({ operation, values }) => [operation, ...values]),
        [
          ["claim", "one"],
          ["claim", "many"],
          ["release", "one"],
          ["release", "many"]
        ]
      )
    })
  )
})

describe("renewals", () => {
  const requests = [mine, { ...mine, holdId: hold(2) }]

  it.effect("of nothing are not asked", () =>
    Effect.gen(function* () {
      const { sent, storage } = setup()
      assert.deepStrictEqual(yield* storage.renew([]), [])
      assert.deepStrictEqual(sent, [])
    })
  )

  it.effect("need an answer each", () =>
    Effect.gen(function* () {
      const { storage } = over([[{ t: start, renewed: start + 5 }]])
      const error = yield* Effect.flip(storage.renew(requests))
      assert.strictEqual(error.reason, "Unknown")
      assert.include(error.message, "1 rows for 2 renewals")
    })
  )

  it.effect("tell what is there instead, but not a record that still says the hold is live", () =>
    Effect.gen(function* () {
      const taken = { ...record, ownerId: "you", holds: [hold(5)] }
      const rows = [
        { t: `${start}`, renewed: `${start + 5}` },
        { lock_id: null, t: start, renewed: null },
        { ...Hand.rowOf(taken, start), renewed: null },
        { ...row, renewed: null },
        { ...Hand.rowOf(record, record.leaseExpireTime), renewed: null }
      ]
      const { storage } = over([rows])
      assert.deepStrictEqual(yield* storage.renew(rows.map(() => mine)), [
        { _tag: "Renewed", leaseExpireTime: start + 5, validFor: 5 },
        { _tag: "NotHeld" },
        { _tag: "NotHeld", current: taken },
        { _tag: "NotHeld", current: undefined },
        { _tag: "NotHeld", current: record }
      ])
    })
  )

  it.effect("of a record that is newer than this library fail by themselves, and together only where all do", () =>
    Effect.gen(function* () {
      const newer = { ...row, format: 2, renewed: null }
      const [first, second] = yield* over([[newer, { t: start, renewed: start + 5 }]]).storage.renew(requests)
      assert.strictEqual(first?._tag, "StorageError")
      assert.strictEqual(second?._tag, "Renewed")
      const error = yield* Effect.flip(over([[newer, newer]]).storage.renew(requests))
      assert.deepInclude(error, { reason: "Schema", operation: "HandStorage.renew" })
    })
  )
})

describe("a record that is newer than this library", () => {
  const newer = { ...record, format: 99 }

  it.effect("is nobody's to touch", () =>
    Effect.gen(function* () {
      const { records, storage } = setup()
      records.set("a", newer)
      for (const [operation, call] of [
        ["claim", storage.claim(mine)],
        ["release", storage.release(mine)],
        ["revoke", storage.revoke({ lockId: "a", token: 7, when: "now" })],
        ["get", storage.get("a")]
      ] as ReadonlyArray<readonly [string, Effect.Effect<unknown, StorageError>]>) {
        const error = yield* Effect.flip(call)
        assert.deepInclude(error, {
          reason: "Schema",
          operation: `HandStorage.${operation}`,
          isRetryable: false,
          applied: "no"
        })
        assert.include(error.message, 'the record of "a" has format 99, newer than 1: update effect-storage-lock')
      }
      assert.deepStrictEqual(Array.from(records.values()), [newer])
      yield* over([[Hand.rowOf({ ...record, format: 1 }, start)]]).storage.get("a")
    })
  )
})

describe("a write", () => {
  it.effect("tells what it left", () =>
    Effect.gen(function* () {
      const { storage } = setup()
      assert.deepStrictEqual(yield* storage.release(mine), { _tag: "NotHeld" })
      yield* storage.claim(mine)
      yield* storage.claim({ ...mine, holdId: hold(2) })
      assert.deepStrictEqual(yield* storage.release(mine), { _tag: "Released", remaining: 1 })
      const token = Option.getOrThrow(yield* storage.get("a")).record.token
      assert.deepStrictEqual(yield* storage.revoke({ lockId: "a", token: 1, when: "now" }), { _tag: "NotHeld" })
      assert.deepStrictEqual(yield* storage.revoke({ lockId: "a", token, when: "leaseEnd" }), { _tag: "Revoked" })
      assert.deepStrictEqual(Option.getOrThrow(yield* storage.get("a")).record.holds, ["*".repeat(22)])
      assert.deepStrictEqual(yield* storage.revoke({ lockId: "a", token, when: "now" }), { _tag: "Revoked" })
      assert.isTrue(Option.isNone(yield* storage.get("a")))
    })
  )
})

it.effect("what marks the holds of a revoked record is sent with a comma, and nothing where it is freed", () =>
  Effect.gen(function* () {
    const given: Array<string> = []
    const revoke = (_lockId: string, _token: number, holds: string) => {
      given.push(holds)
      return { statement: () => [], values: [] }
    }
    const { storage } = over([[]], { revoke })
    yield* storage.revoke({ lockId: "a", token: 1, when: "now" })
    yield* storage.revoke({ lockId: "a", token: 1, when: "leaseEnd" })
    assert.deepStrictEqual(given, ["", `,${"*".repeat(22)}`])
  })
)

describe("a row that stands for one that may be hidden", () => {
  const hides = { statement: () => [], values: ["hides"] }
  const calls: ReadonlyArray<
    readonly [string, ReadonlyArray<Row>, (ports: ReturnType<typeof over>) => Effect.Effect<unknown, StorageError>]
  > = [
    ["release", [{ holds: null, info: null }], ({ storage }) => storage.release(mine)],
    ["revoke", [{ holds: null, info: null }], ({ storage }) => storage.revoke({ lockId: "a", token: 1, when: "now" })],
    ["get", [{ lock_id: null }], ({ storage }) => storage.get("a")],
    ["list", [row, { lock_id: null }], ({ storage }) => Stream.runCollect(storage.list)],
    ["get", [{ lock_id: null }], ({ versioned }) => versioned.get("a")],
    ["list", [row, { lock_id: null }], ({ versioned }) => Stream.runCollect(versioned.list)]
  ]
  for (const [operation, rows, call] of calls)
    it.effect(`fails ${operation} where the server hides rows, and is none where it does not`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(call(over([rows, [{ hides: "yes" }]], { hides })))
        assert.deepInclude(error, {
          reason: "Permission",
          operation: `HandStorage.${operation}`,
          isRetryable: false,
          applied: "no"
        })
        assert.match(error.message, /row-level security hides rows .* may look free: switch it off .* for all rows\)$/)
        for (const answer of [[{ hides: "no" }], []]) {
          const ports = over([rows, answer], { hides })
          const seen = yield* call(ports)
          assert.deepStrictEqual(
            ports.sent.map(({ operation }) => operation),
            [operation, operation]
          )
          if (operation === "list") assert.lengthOf(Array.from(seen as Iterable<unknown>), 1)
          else if (operation === "get") assert.isTrue(Option.isNone(seen as Option.Option<unknown>))
          else assert.deepStrictEqual(seen, { _tag: "NotHeld" })
        }
        yield* call(over([rows]))
        if (operation !== "list") return
        const seen = over([[row]], { hides })
        yield* call(seen)
        assert.lengthOf(seen.sent, 1, "nothing is asked where all rows are seen")
      })
    )
})

describe("an answer that cannot be read", () => {
  const calls: ReadonlyArray<
    readonly [string, (ports: ReturnType<typeof over>) => Effect.Effect<unknown, StorageError>]
  > = [
    ["claim", ({ storage }) => storage.claim(mine)],
    ["renew", ({ storage }) => storage.renew([mine])],
    ["release", ({ storage }) => storage.release(mine)],
    ["revoke", ({ storage }) => storage.revoke({ lockId: "a", token: 1, when: "now" })],
    ["get", ({ storage }) => storage.get("a")],
    ["list", ({ storage }) => Stream.runDrain(storage.list)],
    ["purge", ({ storage }) => storage.purge("1 day")],
    ["get", ({ versioned }) => versioned.get("a")],
    ["list", ({ versioned }) => Stream.runDrain(versioned.list)],
    ["time", ({ versioned }) => versioned.time!]
  ]
  for (const [operation, call] of calls)
    it.effect(`fails ${operation}, and does no more`, () =>
      Effect.gen(function* () {
        const ports = over([[{ holds: 7, lock_id: 7 }]])
        const error = yield* Effect.flip(call(ports))
        assert.strictEqual(ports.sent[0]?.operation, operation)
        assert.deepInclude(error, {
          reason: "Unknown",
          operation: `HandStorage.${operation}`,
          isRetryable: false,
          applied: "unknown"
        })
        assert.instanceOf(error.cause, Error)
        assert.include(
          error.message,
          `the server's answer cannot be read (${error.cause.message}): something between changes statements or answers`
        )
      })
    )
})

describe("beaten by somebody at the same time", () => {
  const failed = (reason: StorageError["reason"], applied: "no" | "unknown" = "no"): Answer =>
    Result.fail(new StorageError({ reason, operation: "x", isRetryable: true, applied, message: `it was ${reason}` }))

  it.live("it is tried again, as often as the schedule says", () =>
    Effect.gen(function* () {
      const { sent, storage } = over([failed("Conflict"), failed("Conflict"), [row]])
      assert.strictEqual((yield* storage.claim(mine))._tag, "Claimed")
      assert.deepStrictEqual(
        sent.map(({ operation }) => operation),
        ["claim", "claim", "claim"]
      )
      const always = over([failed("Conflict")])
      assert.strictEqual((yield* Effect.flip(always.storage.get("a"))).reason, "Conflict")
      assert.lengthOf(always.sent, 4)
    })
  )

  it.live("nothing else is tried again", () =>
    Effect.gen(function* () {
      for (const reason of ["Connection", "Timeout", "Unknown"] as const) {
        const { sent, storage } = over([failed(reason), [row]])
        assert.strictEqual((yield* Effect.flip(storage.get("a"))).reason, reason)
        assert.lengthOf(sent, 1)
        const second = over([failed("Conflict"), failed(reason), [row]])
        assert.strictEqual((yield* Effect.flip(second.storage.get("a"))).reason, reason)
        assert.lengthOf(second.sent, 2)
      }
    })
  )

  it.live("it is tried again within its time only, and what is told then is that it was beaten", () =>
    Effect.gen(function* () {
      const versionMissRetry = Schedule.spaced("20 millis")
      const { sent, storage } = over([failed("Conflict")], {}, { versionMissRetry, operationTimeout: 50 })
      assert.strictEqual((yield* Effect.flip(storage.get("a"))).reason, "Conflict")
      assert.isAtLeast(sent.length, 2)
      assert.isAtMost(sent.length, 4)
      for (const [i, { millis }] of sent.entries()) {
        assert.isAtMost(millis, i === 0 ? 50 : 35)
        assert.isAtLeast(millis, 0)
      }
      for (const [applied, reason] of [
        ["no", "Conflict"],
        ["unknown", "Timeout"]
      ] as const) {
        const none = over(
          [failed("Conflict"), failed("Timeout", applied)],
          {},
          { versionMissRetry, operationTimeout: 10 }
        )
        assert.strictEqual((yield* Effect.flip(none.storage.get("a"))).reason, reason)
        assert.lengthOf(none.sent, 2)
      }
      const gone = over([failed("Conflict"), failed("Connection")], {}, { versionMissRetry, operationTimeout: 10 })
      assert.strictEqual((yield* Effect.flip(gone.storage.get("a"))).reason, "Connection")
    })
  )

  it.live("a call has the time that its caller gives, but not more than the layer does", () =>
    Effect.gen(function* () {
      const { sent, storage } = over([[row]])
      yield* storage.get("a")
      yield* Effect.provideService(storage.claim(mine), Storage.TimeLimit, Duration.millis(70))
      yield* Effect.provideService(storage.claim(mine), Storage.TimeLimit, Duration.minutes(1))
      assert.deepStrictEqual(
        sent.map(({ millis }) => millis),
        [5_000, 70, 5_000]
      )
    })
  )
})

describe("many records", () => {
  const many = (count: number) => {
    const made = setup()
    for (let i = 0; i < count; i++) {
      const lockId = `lock ${String(i).padStart(5, "0")}`
      made.records.set(lockId, { ...record, lockId, holds: i % 2 === 0 ? record.holds : [] })
    }
    return made
  }

  it.effect("are listed page by page: the live ones, or all of them", () =>
    Effect.gen(function* () {
      const { clock, records, sent, storage, versioned } = many(2_100)
      clock.now = start + 10
      const listed = Array.from(yield* Stream.runCollect(storage.list))
      const ids = Array.from(records.keys())
      assert.deepStrictEqual(
        listed.map(({ record }) => record.lockId),
        ids.filter((_, i) => i % 2 === 0)
      )
      assert.isTrue(listed.every(({ validFor }) => validFor === 29_999_990))
      assert.lengthOf(sent, 3)
      const all = Array.from(yield* Stream.runCollect(versioned.list))
      assert.deepStrictEqual(
        all.map(({ lockId }) => lockId),
        ids
      )
      assert.lengthOf(sent, 8)
      assert.isTrue(sent.every(({ operation }) => operation === "list"))
    })
  )

  it.effect("and a page that is full is followed by another, if only an empty one", () =>
    Effect.gen(function* () {
      const { sent, storage } = many(1_000)
      assert.lengthOf(Array.from(yield* Stream.runCollect(storage.list)), 500)
      assert.lengthOf(sent, 2)
    })
  )

  it.effect("are purged page by page, and how many is told", () =>
    Effect.gen(function* () {
      const { clock, records, sent, storage } = many(1_199)
      records.set("A", { ...record, lockId: "A" })
      records.set("young", { ...record, lockId: "young", leaseExpireTime: start + 3_000_000_000 })
      clock.now = start + 30_000_000 + 3_600_000_000 + 1
      assert.strictEqual(yield* storage.purge("1 hour"), 1_200)
      assert.deepStrictEqual(Array.from(records.keys()), ["young"])
      assert.deepStrictEqual(
        sent.map(({ operation }) => operation),
        ["purge", "purge", "purge"]
      )
      assert.strictEqual(yield* storage.purge("1 hour"), 0)
      assert.strictEqual(yield* storage.purge(Duration.infinity), 0)
      assert.lengthOf(sent, 4)
    })
  )
})

describe("the smaller port", () => {
  it.effect("tells the record, live or not, and the time", () =>
    Effect.gen(function* () {
      const { clock, records, versioned } = setup()
      assert.isTrue(Option.isNone(yield* versioned.get("a")))
      records.set("a", record)
      clock.now = record.leaseExpireTime + 5
      assert.deepStrictEqual(Option.getOrThrow(yield* versioned.get("a")), record)
      assert.strictEqual(yield* versioned.time!, clock.now)
    })
  )

  it.effect("writes only over the version that is expected", () =>
    Effect.gen(function* () {
      const { records, sent, versioned } = setup()
      const { lockId: _, ...fields } = record
      const missed = <A>(self: Effect.Effect<A, unknown>) => Effect.flip(self)
      yield* versioned.create("a", 3, { ...record, lockId: "other" })
      assert.deepStrictEqual(records.get("a"), { ...record, version: 3 })
      assert.deepStrictEqual(
        yield* missed(versioned.create("a", 3, record)),
        new VersionedStore.VersionMiss({ lockId: "a" })
      )
      yield* missed(versioned.update("a", 4, record))
      yield* versioned.update("a", 3, { ...fields, lockId: "other" })
      assert.deepStrictEqual(records.get("a"), record)
      yield* missed(versioned.delete("a", 8))
      yield* versioned.delete("a", 9)
      assert.strictEqual(records.size, 0)
      assert.deepStrictEqual(
        sent.map(({ operation }) => operation),
        ["create", "create", "update", "update", "delete", "delete"]
      )
    })
  )

  it.effect("has the guarantees of the storage without its clock, and its hints", () =>
    Effect.gen(function* () {
      const { storage, versioned } = setup()
      assert.strictEqual(versioned.guarantees.name, "HandStorage.versioned")
      assert.notProperty(versioned.guarantees, "clock")
      assert.strictEqual(versioned.guarantees.longestId, storage.guarantees.longestId)
      assert.isUndefined(versioned.wakeUps)
      assert.lengthOf(Array.from(yield* Stream.runCollect(storage.wakeUps)), 0)
      const hinting = over([[]], {}, { wakeUps: Stream.make("a", "b") })
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(hinting.storage.wakeUps)), ["a", "b"])
      assert.strictEqual(hinting.versioned.wakeUps, hinting.storage.wakeUps)
    })
  )
})
