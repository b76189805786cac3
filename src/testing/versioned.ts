/**
 * The promises of the smaller port, `VersionedStore`. That a lock storage made of it keeps its own promises is for `cases` to show.
 */
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Result from "#effect/Result"
import * as Exit from "#effect/Exit"
import * as Layer from "#effect/Layer"
import * as Option from "#effect/Option"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import * as LockRecord from "../LockRecord.js"
import * as VersionedStore from "../VersionedStore.js"
import * as Case from "./Case.js"
import { outcomeOf, type Result as Told } from "./check.js"
import { casesOf as modifying } from "./modifying.js"
import type { VersionedCase, VersionedEnv } from "./versionedCase.js"
import * as random from "./random.js"

/**
 * A store to be checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface VersionedTarget {
  readonly name: string
  /** One build is what one process has: its own connections. */
  readonly layer: Layer.Layer<VersionedStore.VersionedStore, any>
  /** As for `Target`. */
  readonly builds?: "shared" | "own" | undefined
}

export type { VersionedCase, VersionedEnv }

const begin = 1_700_000_000_000_000

const recordOf = (
  lockId: string,
  version: number,
  rest: Partial<LockRecord.LockRecord> = {}
): LockRecord.LockRecord => ({
  lockId,
  kind: LockRecord.exclusive,
  format: LockRecord.format,
  ownerId: "ada",
  holds: [random.holdId()],
  token: begin + version,
  lockBeginTime: begin,
  leaseExpireTime: begin + 30_000_000,
  data: "",
  version,
  ...rest
})

const bytesOf = (record: LockRecord.LockRecord): number => new TextEncoder().encode(JSON.stringify(record)).length

/** As a lock has it that many hold at once: for each an id in `holds`, and some fields in `data`. */
const ofSize = (lockId: string, version: number, bytes: number): LockRecord.LockRecord => {
  const ids = Array.from({ length: Math.floor(bytes / 300) }, random.holdId)
  const of = (entries: ReadonlyArray<string>, rest: string) =>
    recordOf(lockId, version, {
      kind: "permits",
      holds: ids,
      data: JSON.stringify([entries.map((id) => [id, "é", begin, begin + 30_000_000]), rest])
    })
  const shortest = of(ids, "")
  return of(ids, "x".repeat(Math.max(0, bytes - bytesOf(shortest))))
}

const missed = (effect: Effect.Effect<void, unknown>, promise: string) =>
  Effect.flatMap(Effect.result(effect), (result) =>
    Result.isSuccess(result)
      ? Case.fail(`${promise}: it was written`)
      : Case.that(
          result.failure instanceof VersionedStore.VersionMiss,
          `${promise}: expected VersionMiss`,
          result.failure
        )
  )

const isSame = (expected: LockRecord.LockRecord, record: LockRecord.LockRecord): boolean =>
  Object.entries(expected).every(
    ([field, value]) => JSON.stringify(record[field as keyof LockRecord.LockRecord]) === JSON.stringify(value)
  )

const holds = (
  store: VersionedStore.Service,
  lockId: string,
  expected: LockRecord.LockRecord | undefined,
  promise: string
) =>
  Effect.flatMap(store.get(lockId), (found) => {
    const record = Option.getOrUndefined(found)
    const same = expected === undefined ? record === undefined : record !== undefined && isSame(expected, record)
    return Case.that(same, promise, { expected, record })
  })

const wins = (results: ReadonlyArray<Result.Result<void, unknown>>, promise: string) => {
  const other = results.find(
    (result) => Result.isFailure(result) && !(result.failure instanceof VersionedStore.VersionMiss)
  )
  return other === undefined
    ? Case.that(results.filter(Result.isSuccess).length === 1, promise, results.filter(Result.isSuccess).length)
    : Case.fail(`${promise}: the others fail with VersionMiss`, Result.isFailure(other) ? other.failure : undefined)
}

/**
 * Every promise of `VersionedStore`.
 *
 * @since 0.1.0
 * @category cases
 */
export const versionedCases: ReadonlyArray<VersionedCase> = [
  {
    name: "a record comes back as it was written, field by field",
    rule: "round-trip",
    run: ({ lockId, store }) =>
      Effect.forEach(
        [
          recordOf(lockId(), begin),
          recordOf(lockId("free"), 1, { holds: [], ownerId: "" }),
          recordOf(lockId("many"), begin, { holds: Array.from({ length: 40 }, random.holdId) }),
          recordOf(lockId("other kind"), begin, {
            kind: "permits",
            data: JSON.stringify({ permits: [["ada", 3]], note: "é\n'\"\\" })
          }),
          recordOf(lockId("newer"), begin, { format: LockRecord.format + 1, token: 2 ** 53 - 2 }),
          recordOf(lockId("$where: {'a.b'} \\ % _ \u{1F512}"), begin, { ownerId: "Robert'); DROP TABLE locks;--" })
        ],
        (record) =>
          Effect.andThen(
            store.create(record.lockId, record.version, record),
            holds(store, record.lockId, record, "what was written is read")
          ),
        { discard: true }
      )
  },
  {
    name: "a record of the size that the store states comes back as it was written, and can be replaced",
    rule: "largest-record",
    run: ({ lockId, store }) =>
      Effect.gen(function* () {
        const { largestRecord } = store.guarantees
        if (largestRecord === undefined) return yield* Case.skip("it states no limit")
        const id = lockId()
        for (const version of [begin, begin + 1]) {
          const record = ofSize(id, version, largestRecord)
          yield* version === begin ? store.create(id, version, record) : store.update(id, begin, record)
          const found = Option.getOrUndefined(yield* store.get(id))
          yield* Case.that(
            found !== undefined && isSame(record, found),
            `a record of ${largestRecord} bytes is read as it was written`,
            found && { ...found, holds: found.holds.length, data: found.data.length }
          )
        }
      })
  },
  {
    name: "create writes only where no record is",
    rule: "create",
    run: ({ lockId, store }) =>
      Effect.gen(function* () {
        const first = recordOf(lockId(), 5)
        yield* store.create(first.lockId, 5, first)
        for (const version of [4, 5, 6]) {
          yield* missed(
            store.create(first.lockId, version, recordOf(first.lockId, version)),
            "there is a record already"
          )
        }
        yield* holds(store, first.lockId, first, "a create that missed writes nothing")
      })
  },
  {
    name: "update writes only at the expected version",
    rule: "update",
    run: ({ lockId, store }) =>
      Effect.gen(function* () {
        const first = recordOf(lockId(), 5)
        yield* missed(store.update(first.lockId, 4, first), "there is no record to update")
        yield* holds(store, first.lockId, undefined, "an update that missed creates nothing")
        yield* store.create(first.lockId, 5, first)
        for (const expected of [0, 4, 6]) {
          yield* missed(
            store.update(first.lockId, expected, recordOf(first.lockId, expected + 1)),
            `version 5 is not ${expected}`
          )
        }
        yield* holds(store, first.lockId, first, "an update that missed writes nothing")
        const second = recordOf(first.lockId, 6, { ownerId: "bob", holds: [] })
        yield* store.update(first.lockId, 5, second)
        yield* holds(store, first.lockId, second, "an update replaces the record")
        yield* missed(store.update(first.lockId, 5, recordOf(first.lockId, 6)), "the version was used up")
        yield* holds(store, first.lockId, second, "an update that missed writes nothing")
      })
  },
  {
    name: "delete removes only at the expected version",
    rule: "delete",
    run: ({ lockId, store }) =>
      Effect.gen(function* () {
        const first = recordOf(lockId(), 5)
        const beside = recordOf(lockId("beside"), 5)
        yield* missed(store.delete(first.lockId, 5), "there is no record to delete")
        yield* store.create(first.lockId, 5, first)
        yield* store.create(beside.lockId, 5, beside)
        for (const expected of [4, 6])
          yield* missed(store.delete(first.lockId, expected), `version 5 is not ${expected}`)
        yield* holds(store, first.lockId, first, "a delete that missed removes nothing")
        yield* store.delete(first.lockId, 5)
        yield* holds(store, first.lockId, undefined, "a deleted record is gone")
        yield* holds(store, beside.lockId, beside, "a delete removes one record")
        const again = recordOf(first.lockId, 9)
        yield* store.create(again.lockId, 9, again)
        yield* holds(store, first.lockId, again, "a deleted record can be created again")
      })
  },
  {
    name: "of many at once, over several connections, one wins",
    rule: "atomic",
    run: ({ connect, lockId, store }) =>
      Effect.gen(function* () {
        const stores = [store, ...(yield* Effect.all([connect, connect, connect]))]
        for (let round = 0; round < 10; round++) {
          const id = lockId(`race ${round}`)
          const many = Array.from({ length: 12 }, (_, i) => stores[i % stores.length]!)
          const race = (one: (store: VersionedStore.Service, i: number) => Effect.Effect<void, unknown>) =>
            Effect.forEach(many, (each, i) => Effect.result(one(each, i)), { concurrency: "unbounded" })
          yield* wins(yield* race((each) => each.create(id, 1, recordOf(id, 1))), "one create wins")
          yield* wins(yield* race((each) => each.update(id, 1, recordOf(id, 2))), "one update wins")
          yield* wins(
            yield* race((each, i) => (i % 2 === 0 ? each.delete(id, 2) : each.update(id, 2, recordOf(id, 3)))),
            "one of updates and deletes wins"
          )
        }
      })
  },
  {
    name: "a read sees the newest acknowledged write, over any connection",
    rule: "newest",
    run: ({ connect, lockId, store }) =>
      Effect.gen(function* () {
        const other = yield* connect
        const id = lockId()
        yield* store.create(id, 1, recordOf(id, 1))
        for (let version = 1; version < 25; version++) {
          const [writer, reader] = version % 2 === 0 ? [store, other] : [other, store]
          yield* writer.update(id, version, recordOf(id, version + 1))
          const found = yield* reader.get(id)
          yield* Case.that(
            Option.isSome(found) && found.value.version === version + 1,
            "a read sees what was acknowledged before it",
            found
          )
        }
      })
  },
  {
    name: "a read sees one write whole, while others write",
    rule: "whole",
    run: ({ connect, lockId, store }) =>
      Effect.gen(function* () {
        const readers = yield* Effect.all([connect, connect, connect])
        const id = lockId()
        // Every field says which write it is of.
        const at = (version: number) =>
          recordOf(id, version, {
            ownerId: `owner ${version}`,
            holds: Array.from({ length: 1 + (version % 7) }, (_, i) => `hold ${version}.${i}`),
            lockBeginTime: begin + version,
            leaseExpireTime: begin + 30_000_000 + version,
            data: `data ${version}`
          })
        yield* store.create(id, 1, at(1))
        let writing = true
        const read = (reader: VersionedStore.Service) =>
          Effect.gen(function* () {
            while (writing) {
              const found = Option.getOrThrow(yield* reader.get(id))
              yield* Effect.yieldNow
              yield* Case.that(isSame(at(found.version), found), "all that is read is of one write", found)
            }
          })
        const write = Effect.forEach(
          Array.from({ length: 500 }, (_, i) => i + 1),
          (version) => Effect.andThen(store.update(id, version, at(version + 1)), Effect.yieldNow),
          { discard: true }
        )
        yield* Effect.all(
          [
            Effect.ensuring(
              write,
              Effect.sync(() => void (writing = false))
            ),
            ...[...readers, ...readers].map(read)
          ],
          { concurrency: "unbounded", discard: true }
        )
      })
  },
  {
    name: "ids are compared byte for byte",
    rule: "ids",
    run: ({ lockId, store }) =>
      Effect.gen(function* () {
        const base = lockId()
        const ids = ["Foo", "foo", "foo ", "fo", "é", "e\u0301", "x".repeat(200 - base.length), "🔒"].map(
          (end) => base + end
        )
        yield* Effect.forEach(ids, (id, i) => store.create(id, i + 1, recordOf(id, i + 1)))
        yield* Effect.forEach(ids, (id, i) =>
          Effect.flatMap(store.get(id), (found) =>
            Case.that(
              Option.isSome(found) && found.value.version === i + 1 && found.value.lockId === id,
              `${JSON.stringify(id)} is a lock of its own`,
              found
            )
          )
        )
      })
  },
  {
    name: "list shows every record once, free ones too",
    rule: "list",
    run: ({ lockId, store }) =>
      Effect.gen(function* () {
        const records = Array.from({ length: 30 }, (_, i) =>
          recordOf(lockId(`${i}`), i + 1, i % 2 === 0 ? {} : { holds: [] })
        )
        yield* Effect.forEach(records, (record) => store.create(record.lockId, record.version, record), {
          concurrency: 8
        })
        const listed = yield* Stream.runCollect(store.list)
        for (const record of records) {
          const found = listed.filter(({ lockId }) => lockId === record.lockId)
          yield* Case.that(
            found.length === 1 && found[0]!.version === record.version,
            "every record is listed once",
            found
          )
        }
      })
  },
  {
    name: "its clock is one for all, in microseconds since the epoch, and does not go back",
    rule: "time",
    run: ({ connect, store }) =>
      Effect.gen(function* () {
        const other = yield* connect
        if (store.time === undefined || other.time === undefined)
          return yield* Case.skip("it has no clock: expiry is observed")
        if (store.timeBounds !== undefined) return yield* Case.skip("its clock is told between two bounds")
        let last = 0
        for (let i = 0; i < 20; i++) {
          const now = yield* i % 2 === 0 ? store.time : other.time
          yield* Case.that(Number.isSafeInteger(now), "the time is an integer below 2^53", now)
          yield* Case.that(now >= last, "the clock is one for all connections", [last, now])
          last = now
        }
        // Of this century, so that seconds and milliseconds are found out.
        yield* Case.that(last > 946_684_800_000_000, "the time is in microseconds since the epoch", last)
      })
  },
  ...modifying(recordOf)
]

/** A target that is open. */
export interface OpenedVersioned {
  readonly target: VersionedTarget
  readonly store: VersionedStore.Service
}

const build = (target: VersionedTarget) =>
  Effect.map(Layer.build(target.layer), (context) => Context.get(context, VersionedStore.VersionedStore))

export const openVersioned = (target: VersionedTarget): Effect.Effect<OpenedVersioned, unknown, Scope.Scope> =>
  Effect.map(build(target), (store) => ({ target, store }))

export const runVersioned = (case_: VersionedCase, { store, target }: OpenedVersioned): Effect.Effect<Told> =>
  Effect.suspend(() => {
    const prefix = `conformance-${random.holdId()}-`
    let ids = 0
    const touched = new Set<string>()
    const env: VersionedEnv = {
      store,
      connect: target.builds === "own" ? Effect.succeed(store) : build(target),
      lockId: (label = "lock") => {
        const id = `${prefix}${++ids}-${label}`
        touched.add(id)
        return id
      }
    }
    const tidy = Effect.forEach(
      touched,
      (id) =>
        Effect.flatMap(store.get(id), (found) =>
          Option.isSome(found) ? Effect.ignore(store.delete(id, found.value.version)) : Effect.void
        ),
      { discard: true, concurrency: 4 }
    )
    return case_.run(env).pipe(Effect.ensuring(Effect.ignore(tidy)), Effect.scoped, Effect.exit, Effect.map(outcomeOf))
  })

/**
 * Runs one case on a store, in builds of its own, and says what came of it. Never fails: a target that cannot be opened is a failed case.
 *
 * @since 0.1.0
 * @category runners
 */
export const checkVersioned = (case_: VersionedCase, target: VersionedTarget): Effect.Effect<Told> =>
  openVersioned(target).pipe(
    Effect.flatMap((opened) => runVersioned(case_, opened)),
    Effect.scoped,
    Effect.catchCause((cause) => Effect.succeed(outcomeOf(Exit.failCause(cause))))
  )
