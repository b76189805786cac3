/** The promises of `modify`, for stores that have it. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import type * as LockRecord from "../LockRecord.js"
import type * as VersionedStore from "../VersionedStore.js"
import * as Case from "./Case.js"
import type { VersionedCase, VersionedEnv } from "./versionedCase.js"

type Modify = NonNullable<VersionedStore.Service["modify"]>

/** A write that missed is to be tried again, as by whoever uses it. */
const again = <A>(effect: ReturnType<Modify> | Effect.Effect<A, unknown>) =>
  Effect.retry(effect as Effect.Effect<A, { readonly _tag: string }>, {
    while: ({ _tag }) => _tag === "VersionMiss",
    times: 100
  })

const ifAny =
  (run: (env: VersionedEnv & { readonly modify: Modify }) => ReturnType<VersionedCase["run"]>): VersionedCase["run"] =>
  (env) =>
    env.store.modify === undefined ? Case.skip("it has no modify") : run({ ...env, modify: env.store.modify })

export const casesOf = (
  recordOf: (lockId: string, version: number, rest?: Partial<LockRecord.LockRecord>) => LockRecord.LockRecord
): ReadonlyArray<VersionedCase> => {
  /** One more in `data`, in the record or in a first one. */
  const count =
    (lockId: string) =>
    (found: LockRecord.LockRecord | undefined): LockRecord.Step<number> => {
      const before = found === undefined ? 0 : Number(found.data)
      return { record: recordOf(lockId, (found?.version ?? 0) + 1, { data: String(before + 1) }), outcome: before }
    }

  return [
    {
      name: "modify makes the first record, and replaces it, by the store's own clock",
      rule: "modify",
      run: ifAny(({ lockId, modify, store }) =>
        Effect.gen(function* () {
          const id = lockId()
          const times: Array<number> = [yield* store.time!]
          const seen: Array<LockRecord.LockRecord | undefined> = []
          for (let i = 0; i < 2; i++) {
            const outcome = yield* again(
              modify(id, (found, now) => {
                seen.push(found)
                times.push(now)
                return count(id)(found)
              })
            )
            yield* Case.that(outcome === i, "the outcome is that of the transition", outcome)
          }
          times.push(yield* store.time!)
          const first = seen[0]
          const last = seen[seen.length - 1]
          yield* Case.that(first === undefined, "there is no record at first", first)
          yield* Case.that(last?.version === 1 && last.data === "1", "the record is seen as it was written", last)
          yield* Case.that(
            times.every((time, i) => i === 0 || time >= times[i - 1]!),
            "its time is that of the store",
            times
          )
          const found = Option.getOrUndefined(yield* store.get(id))
          yield* Case.that(found?.version === 2 && found.data === "2", "what it made is there", found)
        })
      )
    },
    {
      name: "of many modifies at once, over several connections, nothing is lost",
      rule: "modify atomic",
      run: ifAny(({ connect, lockId, store }) =>
        Effect.gen(function* () {
          const stores = [store, ...(yield* Effect.all([connect, connect]))]
          const id = lockId()
          const outcomes = yield* Effect.forEach(
            Array.from({ length: 24 }, (_, i) => stores[i % stores.length]!),
            (each) => again<number>(each.modify!(id, count(id))),
            { concurrency: "unbounded" }
          )
          const sorted = [...outcomes].sort((a, b) => a - b)
          yield* Case.that(
            sorted.every((outcome, i) => outcome === i),
            "each finds what the one before it made",
            sorted
          )
          const found = Option.getOrUndefined(yield* store.get(id))
          yield* Case.that(found?.data === "24" && found.version === 24, "all of them are in the record", found)
        })
      )
    },
    {
      name: "modify and compare-and-set at once: one of them is first, and neither loses what the other wrote",
      rule: "modify beside update",
      run: ifAny(({ connect, lockId, modify, store }) =>
        Effect.gen(function* () {
          const other = yield* connect
          const id = lockId()
          yield* again(modify(id, count(id)))
          const set: Effect.Effect<unknown, unknown> = again(
            Effect.flatMap(other.get(id), (found) => {
              const record = Option.getOrThrow(found)
              return other.update(id, record.version, count(id)(record).record!)
            })
          )
          const each = Effect.forEach([modify(id, count(id)), set], (one) => again<unknown>(one), {
            concurrency: "unbounded"
          })
          for (let i = 0; i < 10; i++) yield* each
          const found = Option.getOrUndefined(yield* store.get(id))
          yield* Case.that(found?.data === "21" && found.version === 21, "all of them are in the record", found)
        })
      )
    },
    {
      name: "a modify whose transition changes nothing writes nothing, and keeps nobody out",
      rule: "modify without a write",
      run: ifAny(({ connect, lockId, modify, store }) =>
        Effect.gen(function* () {
          const other = yield* connect
          const id = lockId()
          const none = yield* modify(id, (record) => ({ record, outcome: record }))
          yield* Case.that(none === undefined, "there is no record", none)
          yield* Case.that(Option.isNone(yield* store.get(id)), "none was made")
          yield* other.create(id, 1, recordOf(id, 1))
          const one = yield* modify(id, (record) => ({ record, outcome: record }))
          yield* Case.that(one?.version === 1, "the record is seen", one)
          yield* again(other.update(id, 1, recordOf(id, 2)))
        })
      )
    },
    {
      name: "a transition that throws writes nothing, and keeps nobody out",
      rule: "modify that throws",
      run: ifAny(({ connect, lockId, modify }) =>
        Effect.gen(function* () {
          const other = yield* connect
          const id = lockId()
          yield* other.create(id, 1, recordOf(id, 1))
          const thrown = new Error("of the transition")
          for (let i = 0; i < 12; i++) {
            const exit = yield* Effect.exit(
              modify(id, () => {
                throw thrown
              })
            )
            yield* Case.that(Exit.isFailure(exit), "the effect dies", exit)
          }
          const found = Option.getOrUndefined(yield* other.get(id))
          yield* Case.that(found?.version === 1, "nothing was written", found)
          yield* again(other.update(id, 1, recordOf(id, 2)))
          // Nor did it use up what it is made with.
          yield* again(modify(id, count(id)))
        })
      )
    }
  ]
}
