/** What a row of a SQL table is taken for, and what is said in the same words by all SQL backends. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as errors from "../../src/backends/sql/errors.js"
import { longestTimer, runQuery } from "../../src/backends/sql/executor.js"
import * as options from "../../src/backends/sql/options.js"
import * as record from "../../src/backends/sql/record.js"
import type { LockRecord } from "../../src/LockRecord.js"

describe("a column", () => {
  it("is a text, or the row is not read", () => {
    assert.strictEqual(record.text("a"), "a")
    assert.strictEqual(record.text(""), "")
    assert.throws(() => record.text(null), /^a text is null$/)
    assert.throws(() => record.text(7), /^a text is of type number$/)
  })

  it("is a whole number, whatever a driver makes of a bigint, or the row is not read", () => {
    for (const value of [0, 7, 7n, "7", 2 ** 53 - 1, "9007199254740991"])
      assert.strictEqual(record.integer(value), Number(value))
    for (const value of ["", "x", 1.5, Number.NaN, 2 ** 53, true, [7], new Date(7)])
      assert.throws(() => record.integer(value), `a number is of type ${typeof value}`)
    assert.throws(() => record.integer(null), /^a number is null$/)
  })

  it("of holds has each behind a comma", () => {
    for (const [holds, text] of [
      [[], ""],
      [["a"], ",a"],
      [["a", "b"], ",a,b"]
    ] as const) {
      assert.strictEqual(record.textOf(holds), text)
      assert.deepStrictEqual(record.holdsOf(text), holds)
    }
  })
})

describe("a record", () => {
  const given: LockRecord = {
    lockId: "a",
    kind: "exclusive",
    format: 1,
    ownerId: "me",
    ownerLabel: "the night shift",
    holds: ["h", "i"],
    token: 7,
    version: 8,
    lockBeginTime: 9,
    leaseExpireTime: 10,
    data: "d"
  }
  const { ownerLabel: _, ...rest } = given
  const unlabelled: LockRecord = rest

  it("is what it was after it went through its columns", () => {
    for (const one of [given, unlabelled]) {
      const values = record.valuesOf(one)
      const row = Object.fromEntries(record.columnNames.map((name, i) => [name, values[i]]))
      assert.deepStrictEqual(row, {
        lock_id: "a",
        kind: "exclusive",
        format: 1,
        owner_id: "me",
        holds: ",h,i",
        token: 7,
        version: 8,
        began: 9,
        expires: 10,
        data: "d",
        owner_label: one.ownerLabel ?? ""
      })
      assert.deepStrictEqual(record.recordOf(row), one)
    }
  })

  it("of a table without labels is told how to get them", () => {
    assert.strictEqual(
      record.withoutLabels("locks", "ALTER TABLE x"),
      "the table locks is of a version before owner labels: run ALTER TABLE x, or set `setup: true`"
    )
  })
})

describe("options of a table", () => {
  const { common, ddl } = options.make({
    place: "schema",
    nameFault: (name) => (name === "bad" ? "bad" : undefined),
    nameRule: "good",
    qualified: (table, place) => `${place}/${table}`
  })
  const refused = (given: object) => Effect.map(Effect.flip(common(given, {})), ({ message }) => message)

  it.effect("have defaults", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* common({}, {}), {
        table: "storage_lock",
        place: undefined,
        qualified: "undefined/storage_lock",
        setup: true,
        operationTimeout: 5_000
      })
      assert.deepInclude(yield* common({ table: "t", schema: "s", setup: false, operationTimeout: "1 second" }, {}), {
        table: "t",
        place: "s",
        qualified: "s/t",
        setup: false,
        operationTimeout: 1_000
      })
      assert.strictEqual(
        ddl((table) => `CREATE ${table}`, { table: "t", schema: "s" }),
        "CREATE s/t"
      )
    })
  )

  it.effect("are refused by their names", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* refused({ table: "bad" }), "table must be good, but is bad")
      assert.strictEqual(yield* refused({ schema: "bad" }), "schema must be good, but is bad")
      assert.include(yield* refused({ setup: "yes" }), "setup must be")
      assert.include(yield* refused({ operationTimeout: 0 }), "operationTimeout must be")
      assert.throws(() => ddl((table) => table, { table: "bad" }), "table must be good, but is bad")
    })
  )
})

describe("an error", () => {
  const made = errors.make("XStorage", "X", "the statement")

  it("says where it was, whether it was applied, and what may be the cause", () => {
    assert.deepInclude(made.plain("claim", "Conflict", true, "no", "beaten"), {
      reason: "Conflict",
      operation: "XStorage.claim",
      isRetryable: true,
      applied: "no"
    })
    const none = made.noConnection("claim", 99.6)
    assert.deepInclude(none, { reason: "Timeout", operation: "XStorage.claim", isRetryable: true, applied: "no" })
    assert.match(
      none.message,
      /no connection was free within 100 ms: .* or the pool is full, or the caller's own transaction .* connection beside it\)$/
    )
    const unanswered = made.noAnswer("claim", 99.6)
    assert.deepInclude(unanswered, { reason: "Timeout", isRetryable: true, applied: "unknown" })
    assert.include(unanswered.message, "X did not answer within 100 ms; the statement may have been applied")
    const closed = made.closed("claim")
    assert.deepInclude(closed, { reason: "Closed", isRetryable: false, applied: "no" })
    assert.include(closed.message, "the layer of XStorage is closed")
    const schema = made.schema("setup", "no table")
    assert.deepInclude(schema, { reason: "Schema", operation: "XStorage.setup", isRetryable: false, applied: "no" })
    assert.include(schema.message, "no table")
  })
})

it("the longest timer is the longest that a timer may be", () => {
  assert.strictEqual(longestTimer, 2_147_483_647)
})

it.effect("one query is an effect that gives its rows or its failure", () =>
  Effect.gen(function* () {
    const failure = errors.make("XStorage", "X", "it").closed("get")
    const run = (answer: Parameters<Parameters<Parameters<typeof runQuery>[0]["run"]>[3]>[0]) =>
      runQuery<string>(
        {
          width: 1,
          run: (operation, query, millis, done) => {
            assert.deepStrictEqual([operation, query, millis], ["get", { statement: "s", values: [1] }, 7])
            done(answer)
          }
        },
        "get",
        { statement: "s", values: [1] },
        7
      )
    assert.deepStrictEqual(yield* run(Result.succeed([{ t: 1 }])), [{ t: 1 }])
    assert.strictEqual(yield* Effect.flip(run(Result.fail(failure))), failure)
  })
)
