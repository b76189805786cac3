/** What a reader asks of the table of an audit: pages of a bounded size, and of what it knows only the end once more. */
import { assert, describe, it } from "#harness/vitest"
import * as DateTime from "#effect/DateTime"
import * as Effect from "#effect/Effect"
import * as Stream from "#effect/Stream"
import * as TestClock from "#harness/testing/TestClock"
import type { PageQuery, Written } from "../../src/AuditStore.js"
import * as MemoryStorage from "../../src/backends/memory/MemoryStorage.js"
import * as LockAudit from "../../src/LockAudit.js"

const entry = (id: string, writtenAt: number): Written => ({
  id,
  writtenAt,
  at: writtenAt,
  event: "Acquired",
  namespace: "",
  lockId: "foo",
  ownerId: "me",
  ownerLabel: "",
  token: 1,
  host: "h",
  pid: 1,
  detail: "{}"
})

/** A table of what is in `rows`, in pages of two at most, that tells what it was asked for. */
const table = (rows: Array<Written>) =>
  Effect.gen(function* () {
    const memory = yield* MemoryStorage.make()
    const asked: Array<PageQuery> = []
    const audit = yield* LockAudit.reader({
      ...memory,
      audit: () =>
        Effect.succeed({
          append: () => Effect.void,
          drop: () => Effect.void,
          page: (query: PageQuery) =>
            Effect.sync(() => {
              asked.push(query)
              const { after = "", limit, since = 0 } = query
              const some = rows.filter(({ id, writtenAt }) => id > after && writtenAt >= since)
              const page = some.slice(0, Math.min(limit, 2))
              return { rows: page, next: page.length < some.length ? page.at(-1)!.id : undefined }
            })
        })
    })
    return { asked, audit }
  })

/** What is told from now on. */
const following = (audit: Pick<LockAudit.Service, "read">, query: LockAudit.Query = {}) =>
  Effect.gen(function* () {
    const told: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(audit.read({ ...query, follow: true }), ({ id }) => Effect.sync(() => void told.push(id)))
    )
    yield* TestClock.adjust("0 millis")
    return told
  })

describe("a reader", () => {
  it.effect("asks for 500 entries at a time, and for no more than are wanted", () =>
    Effect.gen(function* () {
      const { asked, audit } = yield* table([])
      for (const query of [{}, { limit: 3 }, { limit: 2_000 }]) yield* Stream.runDrain(audit.read(query))
      assert.deepStrictEqual(
        asked.map(({ limit }) => limit),
        [500, 3, 500]
      )
    })
  )

  it.effect("reads one page after the other without a pause, and ends", () =>
    Effect.gen(function* () {
      const { asked, audit } = yield* table(["a", "b", "c", "d", "e"].map((id, i) => entry(id, i)))
      const entries = yield* Stream.runCollect(audit.read())
      assert.deepStrictEqual(
        Array.from(entries, ({ id }) => id),
        ["a", "b", "c", "d", "e"]
      )
      assert.deepStrictEqual(
        asked.map(({ after }) => after),
        [undefined, "b", "d"]
      )
    })
  )

  it.effect("that follows reads the last fifteen seconds once more each time, and tells each entry once", () =>
    Effect.gen(function* () {
      const rows = [entry("a", 1_000), entry("b", 2_000), entry("c", 17_000)]
      const { asked, audit } = yield* table(rows)
      const told = yield* following(audit)
      assert.deepStrictEqual(told, ["a", "b", "c"])
      // Of another process, and seen after what was written later.
      rows.splice(2, 0, entry("b2", 16_000))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(told, ["a", "b", "c", "b2"])
      rows.push(entry("d", 40_000))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(told, ["a", "b", "c", "b2", "d"])
      const sinces = asked.filter(({ after }) => after === undefined).map(({ since }) => since)
      assert.deepStrictEqual([...new Set(sinces)], [undefined, 2_000, 25_000])
    })
  )

  it.effect("that follows goes on from where it was told to begin, while there is nothing yet and after that", () =>
    Effect.gen(function* () {
      const rows: Array<Written> = []
      const { asked, audit } = yield* table(rows)
      const told = yield* following(audit, { since: DateTime.makeUnsafe(20_000) })
      yield* TestClock.adjust("2 seconds")
      rows.push(entry("a", 21_000))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(told, ["a"])
      assert.deepStrictEqual([...new Set(asked.map(({ since }) => since))], [20_000])
    })
  )
})
