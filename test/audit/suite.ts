/** What the audit of every storage keeps, and how it is read: run over each of them. */
import { assert, describe, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as DateTime from "#effect/DateTime"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import * as Schema from "#effect/Schema"
import * as Stream from "#effect/Stream"
import { live } from "#effect/clocks"
import type { AuditStore, Row } from "../../src/AuditStore.js"
import { rowOf } from "../../src/core/auditRows.js"
import * as LockAudit from "../../src/LockAudit.js"
import { InvalidLockId, InvalidOptions, LockTimeout, StorageError } from "../../src/LockError.js"
import { LockEvent } from "../../src/LockEvent.js"
import { LockInformation } from "../../src/LockInformation.js"
import * as Storage from "../../src/Storage.js"
import * as StorageLock from "../../src/StorageLock.js"

export interface Setup {
  readonly name: string
  readonly layer: () => Layer.Layer<Storage.Storage, unknown>
  /** A name of an audit that is not there yet. Default: any. */
  readonly nameOf?: (number: number) => string
  /** Until what was written is seen by those who read. */
  readonly seen?: Effect.Effect<void, unknown>
  /** Whether it needs something to be made before. Default `true`. */
  readonly needsSetup?: boolean
  /** Whether it can count entries. Default `false`. */
  readonly counts?: boolean
  /** Makes it by the text that the storage prints. */
  readonly make?: (name: string) => Effect.Effect<unknown, unknown>
  /** Takes the table away under a program that runs. */
  readonly destroy?: (name: string) => Effect.Effect<unknown, unknown>
}

const encode = Schema.encodeSync(LockEvent)

/** As they are in order, and with fields whole. */
const plain = (events: ReadonlyArray<LockEvent | LockAudit.Unreadable>) =>
  events.map((event) => (event._tag === "Unreadable" ? event : encode(event)))

const at = DateTime.makeUnsafe(1_700_000_000_123)

export const hostile: ReadonlyArray<string> = [
  `it's "quoted" \\ \`back\` ; DROP TABLE x; -- %s $1 ? :a @b`,
  "line\nbreak\ttab\u0001\u007f\u2028",
  "ünï©ødé 🔒 \u{10ffff} e\u0301 é",
  " blanks at the ends ",
  "Case",
  "case",
  "a\u001fb",
  "\ud83d\udd12".repeat(127)
]

const holder = new LockInformation({
  lockId: hostile[0]!,
  ownerId: hostile[2]!,
  ownerLabel: hostile[1]!,
  version: 9_007_199_254_740_991,
  token: 9_007_199_254_740_991,
  lockCount: 2,
  lockBeginTime: at,
  leaseExpireTime: at
})

/** One of each kind, with all that it can have. */
export const everyKind = (lockId: string): ReadonlyArray<LockEvent> => {
  const subject = { at, lockId, ownerId: hostile[2]!, ownerLabel: hostile[1]! }
  const hold = { ...subject, token: 9_007_199_254_740_991 }
  const span = Duration.millis(1_234.5)
  const error = new StorageError({
    reason: "Connection",
    operation: "X.claim",
    isRetryable: true,
    applied: "unknown",
    message: "nul \0, lone \ud800, 'quoted'"
  })
  return [
    { _tag: "Waiting", ...subject, holder: Option.some(holder) },
    { _tag: "Refused", ...subject, holder: Option.none() },
    { _tag: "Acquired", ...hold, waited: span, attempts: 3 },
    {
      _tag: "TimedOut",
      ...subject,
      waited: span,
      error: new LockTimeout({ lockId, ownerId: "o", waitedMillis: 1.5, heldBy: holder })
    },
    { _tag: "AcquireFailed", ...subject, waited: span, error },
    { _tag: "Interrupted", ...subject, waited: span },
    { _tag: "Renewed", ...hold, leaseExpireTime: at },
    { _tag: "RenewalFailed", ...hold, error },
    { _tag: "Late", ...hold, remaining: span },
    { _tag: "Lost", ...hold, reason: "Taken", detail: "by somebody", held: span },
    { _tag: "Lost", ...hold, reason: "Expired", held: span },
    { _tag: "Released", ...hold, held: span, confirmed: false },
    { _tag: "Forced", at, lockId, token: 7, when: "leaseEnd" },
    { _tag: "StorageFailing", at, error },
    { _tag: "StorageBack", at, failedFor: span },
    { _tag: "Dropped", at, count: 12 }
  ]
}

let writers = 0

/** As rows of one writer. */
export const rowsOf = (events: ReadonlyArray<LockEvent>, namespace = ""): ReadonlyArray<Row> => {
  const writer = `writer${writers++}-${Math.random().toString(36).slice(2)}`
  return events.map((event, i) =>
    rowOf(event, { id: `${writer}-${String(i).padStart(9, "0")}`, namespace, host: "höst'\"", pid: 4_194_304 })
  )
}

const released = (lockId: string, token: number): LockEvent => ({
  _tag: "Released",
  at,
  lockId,
  ownerId: "o",
  ownerLabel: "",
  token,
  held: Duration.millis(1),
  confirmed: true
})

export const suite = ({
  counts = false,
  destroy,
  layer,
  make,
  name,
  nameOf,
  needsSetup = true,
  seen = Effect.void
}: Setup) => {
  const run = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 6)}`
  let number = 0
  const fresh = () => (nameOf ?? ((n: number) => `audit_${run}_${n}`))(++number)

  const storage = Effect.suspend(() => Effect.map(Layer.build(layer()), (_) => Context.get(_, Storage.Storage)))
  const place = (
    options: LockAudit.PlaceOptions &
      Pick<LockAudit.Options, "mostEntries"> & { readonly of?: Storage.Service | undefined } = {}
  ) =>
    Effect.gen(function* () {
      const service = options.of ?? (yield* storage)
      const called = options.name ?? fresh()
      const store: AuditStore = yield* service.audit!({
        name: called,
        setup: options.setup ?? true,
        mostEntries: options.mostEntries
      })
      const log = (namespace?: string) =>
        LockAudit.reader(service, { name: called, ...(namespace === undefined ? {} : { namespace }) })
      return { service, called, store, log }
    })
  const read = (log: LockAudit.Service, query?: LockAudit.Query) =>
    Effect.andThen(
      seen,
      Effect.map(Stream.runCollect(log.read(query)), (all) => [...all])
    )

  describe(`the audit of ${name}`, () => {
    it.live("keeps every kind of event with its fields whole, whatever its ids", () =>
      Effect.gen(function* () {
        const { log, store } = yield* place()
        const events = hostile.flatMap(everyKind)
        yield* store.append(rowsOf(events))
        const entries = yield* read(yield* log())
        assert.deepStrictEqual(plain(entries.map(({ event }) => event)), plain(events))
        assert.strictEqual(new Set(entries.map(({ id }) => id)).size, events.length)
        assert.isTrue(entries.every(({ host, pid }) => host === "höst'\"" && pid === 4_194_304))
        for (const lockId of hostile) {
          const own = yield* read(yield* log(), { lockId })
          assert.deepStrictEqual(
            plain(own.map(({ event }) => event)),
            plain(everyKind(lockId).filter((event) => "lockId" in event))
          )
        }
      }).pipe(Effect.scoped)
    )

    it.live("has what the locks of a layer did, in order, when the layer has closed", () =>
      Effect.gen(function* () {
        const service = yield* storage
        const called = fresh()
        const lockId = `order ${run}`
        const locks = LockAudit.layer({ name: called, every: "1 hour" }).pipe(
          Layer.provideMerge(StorageLock.layer({ ownerLabel: "tester" })),
          Layer.provide(Layer.succeed(Storage.Storage, service))
        )
        yield* Effect.gen(function* () {
          yield* StorageLock.withLock(
            Effect.scoped(
              Effect.flatMap(StorageLock.tryAcquire(lockId), (other) =>
                Effect.sync(() => assert.isTrue(Option.isNone(other)))
              )
            ),
            lockId,
            { ownerId: "first" }
          )
          // Kept by the layer, which gives it back when it closes.
          yield* StorageLock.lock(lockId, { ownerId: "kept" })
        }).pipe(Effect.provide(locks))
        const entries = yield* read(yield* LockAudit.reader(service, { name: called }))
        const told = entries.map(({ event }) => event)
        assert.deepStrictEqual(
          told.map(({ _tag }) => _tag),
          ["Acquired", "Refused", "Released", "Acquired", "Released"]
        )
        const [acquired, , back] = told
        assert.isTrue(acquired?._tag === "Acquired" && back?._tag === "Released" && acquired.token === back.token)
        assert.isTrue(acquired?._tag === "Acquired" && acquired.ownerId === "first" && acquired.ownerLabel === "tester")
        assert.isTrue(entries.every(({ host, pid }) => host !== "" && pid === process.pid))
      }).pipe(Effect.scoped)
    )

    it.live("has no entry twice that was written twice, whole or in part, at once or later", () =>
      Effect.gen(function* () {
        const { log, store } = yield* place()
        const rows = rowsOf(Array.from({ length: 50 }, (_, i) => released("again", i + 1)))
        yield* store.append(rows.slice(0, 20))
        yield* Effect.all([store.append(rows), store.append(rows)], { concurrency: 2 })
        yield* store.append(rows)
        yield* store.append([])
        const entries = yield* read(yield* log())
        assert.deepStrictEqual(
          entries.map(({ id }) => id),
          rows.map(({ id }) => id)
        )
      }).pipe(Effect.scoped)
    )

    it.live("is read page by page: all, of one lock, of one namespace, so many, or since a time", () =>
      Effect.gen(function* () {
        const { log, store } = yield* place()
        const events = Array.from({ length: 1_203 }, (_, i) => released(i % 3 === 0 ? "third" : "other", i + 1))
        const rows = rowsOf(events)
        for (const from of [0, 400, 800, 1_200])
          yield* store.append(rows.slice(from, Math.min(from + 400, rows.length)))
        yield* store.append(rowsOf([released("third", 1)], "elsewhere"))
        const own = yield* log()
        const all = yield* read(own)
        assert.deepStrictEqual(plain(all.map(({ event }) => event)), plain(events))
        assert.strictEqual((yield* read(own, { lockId: "third" })).length, 401)
        assert.strictEqual((yield* read(own, { limit: 7 })).length, 7)
        assert.strictEqual((yield* read(own, { lockId: "third", limit: 400 })).length, 400)
        assert.strictEqual((yield* read(yield* log("elsewhere"))).length, 1)
        assert.strictEqual((yield* read(yield* log("nowhere"))).length, 0)
        const { writtenAt } = all[1_202]!
        const late = yield* read(own, { since: writtenAt })
        assert.deepStrictEqual(
          late.map(({ id }) => id),
          all
            .filter((entry) => DateTime.toEpochMillis(entry.writtenAt) >= DateTime.toEpochMillis(writtenAt))
            .map(({ id }) => id)
        )
        assert.strictEqual((yield* read(own, { since: DateTime.makeUnsafe(4_000_000_000_000) })).length, 0)
      }).pipe(Effect.scoped)
    )

    it.live("refuses a query that makes no sense", () =>
      Effect.gen(function* () {
        const { log } = yield* place()
        const own = yield* log()
        for (const [query, told] of [
          [{ limit: 0 }, "limit must be an integer above zero, but is 0"],
          [{ limit: 1.5 }, "limit must be an integer above zero, but is 1.5"],
          [{ since: 5 }, "since must be a DateTime, but is 5"],
          [{ follow: "yes" }, 'follow must be true or false, but is "yes"'],
          [{ folow: true }, "folow must be"]
        ] as ReadonlyArray<readonly [object, string]>) {
          const error = yield* Effect.flip(read(own, query))
          assert(error instanceof InvalidOptions)
          assert.isTrue(error.message.startsWith(told), error.message)
        }
        assert.instanceOf(yield* Effect.flip(read(own, { lockId: "" })), InvalidLockId)
      }).pipe(Effect.scoped)
    )

    it.live("is followed: what is written later comes, once", () =>
      Effect.gen(function* () {
        const { log, store } = yield* place()
        const rows = rowsOf(Array.from({ length: 6 }, (_, i) => released("followed", i + 1)))
        yield* store.append(rows.slice(0, 2))
        yield* seen
        const told: Array<string> = []
        const follower = yield* Effect.forkChild(
          Stream.runForEach((yield* log()).read({ follow: true, limit: 6 }), ({ id }) =>
            Effect.sync(() => told.push(id))
          )
        )
        const until = (count: number) =>
          Effect.repeat(live.sleep(Duration.millis(20)), { while: () => told.length < count })
        yield* until(2)
        yield* store.append(rows.slice(0, 4))
        yield* until(4)
        yield* store.append(rows.slice(4))
        yield* Fiber.join(follower)
        assert.deepStrictEqual(
          told,
          rows.map(({ id }) => id)
        )
      }).pipe(Effect.scoped)
    )

    it.live("drops what is old, and nothing else", () =>
      Effect.gen(function* () {
        const { log, store } = yield* place()
        const rows = rowsOf(Array.from({ length: 1_100 }, (_, i) => released("old", i + 1)))
        yield* store.append(rows.slice(0, 600))
        yield* store.append(rows.slice(600))
        yield* seen
        yield* store.drop(3_600_000)
        assert.strictEqual((yield* read(yield* log())).length, 1_100)
        yield* Effect.sleep(20)
        yield* store.drop(0)
        assert.strictEqual((yield* read(yield* log())).length, 0)
        yield* store.append(rowsOf([released("young", 1)]))
        yield* seen
        yield* store.drop(3_600_000)
        assert.strictEqual((yield* read(yield* log())).length, 1)
      }).pipe(Effect.scoped)
    )

    it.live("has another audit by each name", () =>
      Effect.gen(function* () {
        const one = yield* place()
        const other = yield* place()
        yield* one.store.append(rowsOf([released("one", 1)]))
        assert.strictEqual((yield* read(yield* other.log())).length, 0)
        assert.strictEqual((yield* read(yield* one.log())).length, 1)
        // Opened again, it is as it was.
        const again = yield* place({ name: one.called, of: one.service })
        assert.strictEqual((yield* read(yield* again.log())).length, 1)
      }).pipe(Effect.scoped)
    )

    it.live("counts entries where that is cheap, and else says that it does not", () =>
      Effect.gen(function* () {
        if (!counts) return assert.instanceOf(yield* Effect.flip(place({ mostEntries: 10 })), InvalidOptions)
        const { log, store } = yield* place({ mostEntries: 100 })
        for (let i = 0; i < 10; i++) {
          yield* store.append(rowsOf(Array.from({ length: 100 }, (_, n) => released("many", n + 1))))
        }
        assert.isAtMost((yield* read(yield* log())).length, 300)
      }).pipe(Effect.scoped)
    )

    if (needsSetup) {
      it.live("does not pass for one that is there, where it is missing and not to be made", () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(place({ setup: false }))
          assert.isTrue(error instanceof StorageError && error.reason === "Schema", String(error))
        }).pipe(Effect.scoped)
      )
    }

    if (make !== undefined) {
      it.live("is used as it was made by hand, and can be made so again", () =>
        Effect.gen(function* () {
          const called = fresh()
          // Its own, and that of the locks, are looked for first.
          yield* storage
          yield* make(called)
          yield* make(called)
          const { log, store } = yield* place({ name: called, setup: false })
          yield* store.append(rowsOf([released("by hand", 1)]))
          assert.strictEqual((yield* read(yield* log())).length, 1)
        }).pipe(Effect.scoped)
      )
    }

    if (destroy !== undefined) {
      it.live("is recreated if it is dropped under a program", () =>
        Effect.gen(function* () {
          const { called, log, store } = yield* place()
          yield* store.append(rowsOf([released("gone", 1)]))
          yield* destroy(called)
          const rows = rowsOf([released("new", 1)])
          yield* store.append(rows)
          assert.deepStrictEqual(
            (yield* read(yield* log())).map(({ id }) => id),
            rows.map(({ id }) => id)
          )
        }).pipe(Effect.scoped)
      )
    }
  })
}
