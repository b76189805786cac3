/** What the write of a claim judges for itself, when another connection came between its read and it. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Connection from "../../src/backends/sqlite/connection.js"
import * as Sqlite from "../../src/backends/sqlite/storage.js"
import type * as LockRecord from "../../src/LockRecord.js"

const id = (name: string) => name.padEnd(22, "x")
const claim = (ownerId: string, holdId: string, lease = 30_000_000): LockRecord.Claim => ({
  lockId: "foo",
  ownerId,
  holdId: id(holdId),
  lease
})

/** A storage whose next write is preceded by what another one does. */
const contest = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "sqlite-races-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const open = Connection.open(
    {
      filename: join(directory, "locks.db"),
      table: "storage_lock",
      setup: true,
      synchronous: "normal",
      timeoutMillis: 5000
    },
    "SqliteStorage"
  )
  const handle = yield* open
  const other = Sqlite.make(yield* open, "storage_lock", Stream.empty)
  let before: Effect.Effect<unknown, unknown> = Effect.void
  const storage = Sqlite.make(
    {
      ...handle,
      write: <Row>(operation: string, text: string, params?: Readonly<Record<string, unknown>>) => {
        const first = before
        before = Effect.void
        return Effect.andThen(Effect.orDie(first), handle.write<Row>(operation, text, params))
      },
      atOnce: {
        ...handle.atOnce,
        write: (text, params, done, otherwise) => {
          const first = before
          before = Effect.void
          void Effect.runPromise(first).then(() => handle.atOnce.write(text, params, done, otherwise))
        }
      }
    },
    "storage_lock",
    Stream.empty
  )
  return {
    other,
    /** The claim reads, then the other acts, then the claim writes. */
    raced: (request: LockRecord.Claim, act: Effect.Effect<unknown, unknown>) =>
      Effect.suspend(() => {
        before = act
        return storage.claim(request)
      })
  }
})

describe("a SQLite claim that was overtaken between its read and its write", () => {
  it.live("by another owner: is told who holds it", () =>
    Effect.gen(function* () {
      const { other, raced } = yield* contest
      const outcome = yield* raced(claim("a", "one"), other.claim(claim("b", "two")))
      assert(outcome._tag === "Held")
      assert.strictEqual(outcome.holder?.ownerId, "b")
    })
  )

  it.live("by an owner whose name differs in case or padding only: is told so too", () =>
    Effect.gen(function* () {
      for (const owner of ["A", "a ", " a", "á", "a\u0301"]) {
        const { other, raced } = yield* contest
        const outcome = yield* raced(claim("a", "one"), other.claim(claim(owner, "two")))
        assert(outcome._tag === "Held", JSON.stringify(owner))
        assert.strictEqual(outcome.holder?.ownerId, owner)
      }
    })
  )

  it.live("by its own first application, whose reply was lost: changes nothing", () =>
    Effect.gen(function* () {
      const { other, raced } = yield* contest
      const first = yield* other.claim(claim("a", "one", 30_000_000))
      const again = yield* raced(claim("a", "one", 90_000_000), Effect.void)
      assert(first._tag === "Claimed" && again._tag === "Claimed")
      assert.deepStrictEqual(again.record, first.record)

      yield* other.release({ lockId: "foo", holdId: id("one") })
      let overtaken: LockRecord.ClaimOutcome | undefined
      const raced_ = yield* raced(
        claim("a", "three", 90_000_000),
        Effect.map(other.claim(claim("a", "three", 30_000_000)), (outcome) => {
          overtaken = outcome
        })
      )
      assert(overtaken?._tag === "Claimed" && raced_._tag === "Claimed")
      assert.deepStrictEqual(raced_.record, overtaken.record)
      assert.isAtMost(raced_.validFor, 30_000_000)
    })
  )

  it.live("by a sibling: deepens it, with its token and begin", () =>
    Effect.gen(function* () {
      const { other, raced } = yield* contest
      let sibling: LockRecord.ClaimOutcome | undefined
      const outcome = yield* raced(
        claim("a", "one", 1_000_000),
        Effect.map(other.claim(claim("a", "two")), (claimed) => {
          sibling = claimed
        })
      )
      assert(sibling?._tag === "Claimed" && outcome._tag === "Claimed")
      assert.deepStrictEqual(outcome.record, {
        ...sibling.record,
        holds: [id("two"), id("one")],
        version: sibling.record.version + 1
      })
    })
  )

  it.live("by a release of who held it: takes it, with a greater token", () =>
    Effect.gen(function* () {
      const { other, raced } = yield* contest
      const first = yield* other.claim(claim("a", "one"))
      // Its read must not find it held: expired by then.
      const outcome = yield* raced(claim("a", "two"), other.release({ lockId: "foo", holdId: id("one") }))
      assert(first._tag === "Claimed" && outcome._tag === "Claimed")
      assert.deepStrictEqual(outcome.record.holds, [id("two")])
      assert.isAbove(outcome.record.token, first.record.token)
    })
  )
})
