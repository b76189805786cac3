/** Claims and releases that wait for a connection travel together, and none of them knows. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Result from "#harness/Result"
import * as Fiber from "#effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import * as fibers from "#effect/fibers"
import Pg from "pg"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import type { Executor, Query, Answer } from "../../src/backends/sql/executor.js"
import * as grouping from "../../src/backends/sql/grouping.js"
import { StorageError } from "../../src/LockError.js"
import * as Shared from "../harness/shared.js"
import { describeServer } from "../harness/server.js"

const hold = (n: number) => String(n).padStart(22, "h")
const lease = 30_000_000

interface Sent {
  readonly statement: string
  readonly ids: ReadonlyArray<string>
  readonly millis: number
  readonly answer: (result: Answer) => void
}

const setup = (width: number) => {
  const sent: Array<Sent> = []
  const executor: Executor<string> = {
    width,
    run: (_operation, { statement, values }: Query<string>, millis, answer) => {
      sent.push({ statement, ids: values as ReadonlyArray<string>, millis, answer })
    }
  }
  const results = new Map<string, Answer>()
  const submit = grouping.make<string, { readonly lockId: string }>(
    "claim",
    executor,
    "Test",
    ({ lockId }) => ({ statement: "one", values: [lockId] }),
    (requests) => ({ statement: "many", values: requests.map(({ lockId }) => lockId) })
  )
  return {
    sent,
    results,
    ask: (lockId: string, name = lockId, millis = 60_000) =>
      submit({ lockId }, millis, (result) => results.set(name, result))
  }
}

const rows = (...ids: ReadonlyArray<string>): Answer => Result.succeed(ids.map((lock_id) => ({ lock_id })))
const error = (reason: StorageError["reason"], applied: "no" | "unknown") =>
  new StorageError({ reason, operation: "Test.claim", isRetryable: true, applied, message: "test" })

describe("grouping", () => {
  it("sends at once and alone while a connection is free", () => {
    const { ask, sent } = setup(2)
    ask("a")
    ask("b")
    assert.deepStrictEqual(
      sent.map(({ ids, statement }) => [statement, ...ids]),
      [
        ["one", "a"],
        ["one", "b"]
      ]
    )
  })

  it("sends what has gathered when a connection comes free, each lock once", () => {
    const { ask, results, sent } = setup(1)
    ask("a")
    for (const [id, name] of [
      ["b", "b1"],
      ["c", "c"],
      ["b", "b2"]
    ] as const)
      ask(id, name)
    sent[0]!.answer(rows("a"))
    assert.deepStrictEqual(sent[1]!.ids, ["b", "c"])
    sent[1]!.answer(rows("c", "b"))
    assert.deepStrictEqual([sent[2]!.statement, ...sent[2]!.ids], ["one", "b"])
    sent[2]!.answer(rows("b"))
    assert.deepStrictEqual([...results.keys()], ["a", "b1", "c", "b2"])
    assert.isTrue([...results.values()].every(Result.isSuccess))
  })

  it("asks alone for what the group left out", () => {
    const { ask, results, sent } = setup(1)
    for (const id of ["a", "b", "c"]) ask(id)
    sent[0]!.answer(rows("a"))
    sent[1]!.answer(rows("c"))
    assert.deepStrictEqual([...results.keys()], ["a", "c"])
    assert.deepStrictEqual([sent[2]!.statement, ...sent[2]!.ids], ["one", "b"])
    sent[2]!.answer(Result.succeed([]))
    assert.isTrue(results.has("b"))
  })

  it("lets one that fails a group not fail the others, where nothing was applied", () => {
    const { ask, results, sent } = setup(1)
    for (const id of ["a", "b", "c"]) ask(id)
    sent[0]!.answer(rows("a"))
    sent[1]!.answer(Result.fail(error("Conflict", "no")))
    assert.deepStrictEqual(
      sent.slice(2).map(({ ids, statement }) => [statement, ...ids]),
      [
        ["one", "b"],
        ["one", "c"]
      ]
    )
    sent[2]!.answer(rows("b"))
    sent[3]!.answer(Result.fail(error("Permission", "no")))
    assert.isTrue(Result.isSuccess(results.get("b")!))
    assert.isTrue(Result.isFailure(results.get("c")!))
  })

  it("tells all of a group of unknown fate that it is unknown", () => {
    for (const reason of ["Connection", "Timeout"] as const) {
      const { ask, results, sent } = setup(1)
      for (const id of ["a", "b", "c"]) ask(id)
      sent[0]!.answer(rows("a"))
      sent[1]!.answer(Result.fail(error(reason, "unknown")))
      assert.lengthOf(sent, 2)
      for (const id of ["b", "c"])
        assert.deepInclude(Result.getOrThrow(Result.flip(results.get(id)!)), { applied: "unknown" })
    }
  })

  it("goes on after a connection came free with nobody waiting", () => {
    const { ask, results, sent } = setup(1)
    ask("a")
    sent[0]!.answer(rows("a"))
    ask("b")
    sent[1]!.answer(rows("b"))
    assert.deepStrictEqual([...results.keys()], ["a", "b"])
  })

  it("counts what is under way: who comes later waits for it, sent alone or in a group", () => {
    const { ask, sent } = setup(1)
    ask("a")
    ask("b")
    sent[0]!.answer(rows("a"))
    assert.deepStrictEqual([sent[1]!.statement, ...sent[1]!.ids], ["one", "b"])
    ask("c")
    ask("d")
    assert.lengthOf(sent, 2)
    sent[1]!.answer(rows("b"))
    assert.deepStrictEqual([sent[2]!.statement, ...sent[2]!.ids], ["many", "c", "d"])
    ask("e")
    assert.lengthOf(sent, 3)
    sent[2]!.answer(rows("c", "d"))
    assert.deepStrictEqual(sent[3]!.ids, ["e"])
    sent[3]!.answer(rows("e"))
    ask("f")
    ask("g")
    assert.lengthOf(sent, 5)
  })

  it("takes 64 along at once, and gives a group the time of the one who has most", () => {
    const { ask, sent } = setup(1)
    ask("a")
    assert.strictEqual(sent[0]!.millis, 60_000)
    for (let i = 0; i < 70; i++) ask(`b${i}`, undefined, i === 5 ? 90_000 : 1_000)
    sent[0]!.answer(rows("a"))
    assert.lengthOf(sent[1]!.ids, 64)
    assert.isAbove(sent[1]!.millis, 80_000)
    assert.isAtMost(sent[1]!.millis, 90_000)
    sent[1]!.answer(rows(...sent[1]!.ids))
    assert.lengthOf(sent[2]!.ids, 6)
    assert.isAtMost(sent[2]!.millis, 1_000)
  })

  it.live("answers each in its own time, and says whether it was sent", () =>
    Effect.gen(function* () {
      const { ask, results, sent } = setup(1)
      const told = (name: string) =>
        Effect.repeat(
          Effect.delay(
            Effect.sync(() => results.has(name)),
            "5 millis"
          ),
          { until: (is) => is }
        )
      ask("a")
      ask("waits", "waits", 20)
      yield* told("waits")
      const never = Result.getOrThrow(Result.flip(results.get("waits")!))
      assert.deepInclude(never, { reason: "Timeout", operation: "Test.claim", isRetryable: true, applied: "no" })
      assert.include(never.message, "no connection was free within 20 ms: the server does not answer, or is overloaded")
      ask("b", "b", 20)
      ask("c")
      sent[0]!.answer(rows("a"))
      assert.deepStrictEqual(sent[1]!.ids, ["b", "c"])
      yield* told("b")
      const unknown = Result.getOrThrow(Result.flip(results.get("b")!))
      assert.deepInclude(unknown, { reason: "Timeout", operation: "Test.claim", isRetryable: true, applied: "unknown" })
      assert.include(unknown.message, "no answer within 20 ms; the statement may have been applied")
      ask("d", "d", 20)
      sent[1]!.answer(rows("b", "c"))
      assert.isTrue(Result.isSuccess(results.get("c")!))
      assert.isTrue(Result.isFailure(results.get("b")!), "an answer that came too late changes nothing")
      assert.deepStrictEqual(sent[2]!.ids, ["d"])
      yield* told("d")
      assert.strictEqual(Result.getOrThrow(Result.flip(results.get("d")!)).applied, "unknown")
      ask("e", "e", 20)
      yield* told("e")
      sent[2]!.answer(rows("d"))
      assert.lengthOf(sent, 3, "nothing is sent for those who do not wait any more")
      assert.isTrue(Result.isFailure(results.get("d")!))
      ask("f", "f", 1)
      assert.lengthOf(sent, 4)
    })
  )

  it.live("what a group left out is not sent again for who does not wait any more", () =>
    Effect.gen(function* () {
      const { ask, results, sent } = setup(1)
      ask("a")
      ask("b", "b", 10)
      ask("c", "c", 10)
      sent[0]!.answer(rows("a"))
      yield* Effect.repeat(
        Effect.delay(
          Effect.sync(() => results.size),
          "5 millis"
        ),
        { until: (size) => size === 3 }
      )
      sent[1]!.answer(rows())
      assert.lengthOf(sent, 2)
      ask("d")
      ask("e", "e", 10)
      ask("f", "f", 10)
      sent[2]!.answer(rows("d"))
      yield* Effect.repeat(
        Effect.delay(
          Effect.sync(() => results.size),
          "5 millis"
        ),
        { until: (size) => size === 6 }
      )
      sent[3]!.answer(Result.fail(error("Conflict", "no")))
      assert.lengthOf(sent, 4)
    })
  )

  it("takes whatever is no row of anybody for none, and asks alone", () => {
    for (const odd of [undefined, [undefined, { lock_id: 7 }, {}]]) {
      const { ask, sent } = setup(1)
      for (const id of ["a", "b", "c"]) ask(id)
      sent[0]!.answer(rows("a"))
      sent[1]!.answer(Result.succeed(odd as never))
      assert.deepStrictEqual(
        sent.slice(2).map(({ ids, statement }) => [statement, ...ids]),
        [
          ["one", "b"],
          ["one", "c"]
        ]
      )
    }
  })

  it("asks nobody alone where the connection, or the layer, is gone", () => {
    for (const reason of ["Connection", "Closed"] as const) {
      const { ask, results, sent } = setup(1)
      for (const id of ["a", "b", "c"]) ask(id)
      sent[0]!.answer(rows("a"))
      sent[1]!.answer(Result.fail(error(reason, "no")))
      assert.lengthOf(sent, 2)
      assert.strictEqual(results.size, 3)
    }
  })

  it("is not done for a storage that cannot", () => {
    const sent: Array<string> = []
    const submit = grouping.make<string, { readonly lockId: string }>(
      "claim",
      { width: 1, run: (_operation, { values }) => void sent.push(String(values[0])) },
      "Test",
      ({ lockId }) => ({ statement: "one", values: [lockId] }),
      undefined
    )
    for (const lockId of ["a", "b", "c"]) submit({ lockId }, 1_000, () => {})
    assert.deepStrictEqual(sent, ["a", "b", "c"])
  })
})

await describeServer("groups on PostgreSQL", Shared.postgres, (server) => {
  const fresh = (poolSize: number, notify = false) =>
    Effect.gen(function* () {
      const url = yield* server.freshDatabase
      const { storage } = yield* PostgresStorage.make({ url: Redacted.make(url), poolSize, notify })
      const admin = new Pg.Pool({ connectionString: url, max: 1 })
      yield* Effect.addFinalizer(() => Effect.promise(() => admin.end()))
      return { url, storage, query: (text: string) => Effect.promise(() => admin.query(text)) }
    })

  it.live("need far fewer statements than there are claims and releases, and one claim alone is one", () =>
    Effect.gen(function* () {
      const { query, storage } = yield* fresh(2)
      const calls = (kind: string) =>
        Effect.map(
          query(
            `SELECT coalesce(sum(calls), 0)::int AS calls FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query LIKE '%${kind}%' AND query NOT LIKE '%pg_stat%'`
          ),
          ({ rows }) => rows[0].calls as number
        )
      if (!server.countsStatements) return
      yield* storage.claim({ lockId: "alone", ownerId: "a", holdId: hold(0), lease })
      assert.strictEqual(yield* calls("SKIP LOCKED"), 0)
      const requests = Array.from({ length: 400 }, (_, i) => ({
        lockId: `lock ${i}`,
        ownerId: "a",
        holdId: hold(i),
        lease
      }))
      const outcomes = yield* Effect.forEach(requests, storage.claim, { concurrency: "unbounded" })
      assert.isTrue(outcomes.every(({ _tag }) => _tag === "Claimed"))
      assert.deepStrictEqual(
        outcomes.map((outcome) => (outcome._tag === "Claimed" ? outcome.record.holds : [])),
        requests.map(({ holdId }) => [holdId])
      )
      const released = yield* Effect.forEach(requests, storage.release, { concurrency: "unbounded" })
      assert.isTrue(released.every((outcome) => outcome._tag === "Released" && outcome.remaining === 0))
      const grouped = yield* calls("SKIP LOCKED")
      assert.isAbove(grouped, 10)
      assert.isBelow(grouped, 60)
    })
  )

  for (const notify of [false, true])
    it.live(`do to each lock what the transition says, whatever is beside it (notify: ${notify})`, () =>
      Effect.gen(function* () {
        const { query, storage } = yield* fresh(1, notify)
        const before = (lockId: string, ownerId: string, n: number, span = lease) =>
          storage.claim({ lockId, ownerId, holdId: hold(n), lease: span })
        yield* before("other's", "b", 1)
        yield* before("ours", "a", 2)
        yield* before("repeated", "a", 3)
        yield* before("over", "b", 4, 1_000)
        yield* before("newer", "b", 5)
        yield* before("free", "b", 6)
        yield* storage.release({ lockId: "free", holdId: hold(6) })
        yield* query(`UPDATE storage_lock SET format = 99 WHERE lock_id = 'newer'`)
        yield* query("SELECT pg_sleep(0.01)")
        const claim = (lockId: string, n: number) =>
          Effect.result(storage.claim({ lockId, ownerId: "a", holdId: hold(n), lease }))
        const outcomes = yield* Effect.all(
          {
            busy: claim("busy", 10),
            "other's": claim("other's", 11),
            ours: claim("ours", 12),
            repeated: claim("repeated", 3),
            over: claim("over", 13),
            newer: claim("newer", 14),
            free: claim("free", 15),
            absent: claim("absent", 16),
            twice: claim("absent", 17)
          },
          { concurrency: "unbounded" }
        )
        const shown = Object.fromEntries(
          Object.entries(outcomes).map(([name, outcome]) => [
            name,
            Result.isFailure(outcome)
              ? outcome.failure.reason
              : outcome.success._tag === "Claimed"
                ? outcome.success.record.holds
                : `held by ${outcome.success.holder?.ownerId}`
          ])
        )
        assert.deepStrictEqual(shown, {
          busy: [hold(10)],
          "other's": "held by b",
          ours: [hold(2), hold(12)],
          repeated: [hold(3)],
          over: [hold(13)],
          newer: "Schema",
          free: [hold(15)],
          absent: [hold(16)],
          twice: [hold(16), hold(17)]
        })
        const releases = yield* Effect.forEach(
          [
            ["busy", 10],
            ["ours", 2],
            ["other's", 11],
            ["absent", 16],
            ["nowhere", 1],
            ["newer", 5]
          ] as const,
          ([lockId, n]) => Effect.result(storage.release({ lockId, holdId: hold(n) })),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          releases.map((each) => (Result.isFailure(each) ? each.failure.reason : each.success)),
          [
            { _tag: "Released", remaining: 0 },
            { _tag: "Released", remaining: 1 },
            { _tag: "NotHeld" },
            { _tag: "Released", remaining: 1 },
            { _tag: "NotHeld" },
            "Schema"
          ]
        )
      })
    )

  it.live("tell other processes of each lock that they free, and of no other", () =>
    Effect.gen(function* () {
      const { storage, url } = yield* fresh(2, true)
      const other = yield* PostgresStorage.make({ url: Redacted.make(url) })
      const heard: Array<string> = []
      yield* other.storage.wakeUps.pipe(
        Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
        Effect.forkScoped
      )
      const requests = Array.from({ length: 200 }, (_, i) => ({
        lockId: `lock ${i}`,
        ownerId: "a",
        holdId: hold(i),
        lease
      }))
      yield* Effect.forEach(requests, storage.claim, { concurrency: "unbounded" })
      // A second hold: the release of the first frees nothing.
      const deep = requests.filter((_, i) => i % 10 === 0)
      yield* Effect.forEach(deep, (request, i) => storage.claim({ ...request, holdId: hold(1000 + i) }), {
        concurrency: "unbounded"
      })
      // The first hint says that somebody listens.
      yield* Effect.repeat(
        Effect.delay(
          Effect.sync(() => heard.length),
          "10 millis"
        ),
        { until: (length) => length > 0 }
      )
      yield* Effect.forEach(requests, storage.release, { concurrency: "unbounded" })
      yield* storage.claim({ lockId: "last", ownerId: "a", holdId: hold(5000), lease })
      yield* storage.release({ lockId: "last", holdId: hold(5000) })
      // Notifications come in the order of commits.
      yield* Effect.repeat(
        Effect.delay(
          Effect.sync(() => heard.includes("last")),
          "10 millis"
        ),
        { until: (said) => said }
      )
      const freed = requests.filter((request) => !deep.includes(request)).map(({ lockId }) => lockId)
      assert.deepStrictEqual(heard.filter((hint) => hint !== "all" && hint !== "last").sort(), freed.sort())
    })
  )

  it.live("do not wait for a row that somebody has locked: only its own claim does", () =>
    Effect.gen(function* () {
      const { query, storage } = yield* fresh(3)
      yield* storage.claim({ lockId: "stuck", ownerId: "b", holdId: hold(1), lease: 1_000 })
      yield* query("BEGIN")
      yield* query("SELECT 1 FROM storage_lock WHERE lock_id = 'stuck' FOR UPDATE")
      const claim = (lockId: string, n: number) => storage.claim({ lockId, ownerId: "a", holdId: hold(n), lease })
      // The connections are busy with these, so that the others gather.
      const first = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], (n) => claim(`first ${n}`, n), { concurrency: "unbounded" })
      )
      yield* Effect.yieldNow
      const stuck = yield* Effect.forkChild(claim("stuck", 4))
      const others = yield* Effect.forkChild(
        Effect.forEach([5, 6, 7, 8], (n) => claim(`other ${n}`, n), { concurrency: "unbounded" })
      )
      yield* Fiber.join(first)
      assert.isTrue((yield* Fiber.join(others)).every(({ _tag }) => _tag === "Claimed"))
      assert.isUndefined(fibers.exitOf(stuck))
      yield* query("ROLLBACK")
      assert.strictEqual((yield* Fiber.join(stuck))._tag, "Claimed")
    })
  )
})
