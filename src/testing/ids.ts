/**
 * Ids: compared byte for byte, whatever is in them.
 */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Case from "./Case.js"
import * as Steps from "./steps.js"

/** Groups that one collation, normal form, pattern, path or escape or another takes for the same. */
const alike: ReadonlyArray<ReadonlyArray<string>> = [
  ["Foo", "foo", "FOO", "foo ", "foo  ", " foo", "foo\t", "foo\n", "foo\r\n", "foo\u00a0", "foo\u3000"],
  ["\u00e9", "e\u0301", "e", "\u00c9", "E\u0301"],
  ["stra\u00dfe", "strasse", "STRASSE", "\u017ftrasse"],
  ["i", "I", "\u0130", "\u0131"],
  ["k", "\u212a", "\uff2b", "K"],
  ["1", "\u2460", "\uff11", "\u00b9", "01", "1.0", "1e0"],
  ["ae", "\u00e6", "\u00c6"],
  ["\u3042", "\u30a2", "\uff71"],
  ["a\u200bb", "a\u00adb", "ab", "a\ufeffb", "\u202eab"],
  ["\ud83d\ude00", "\ud83d\ude01", "\ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67", "\ud83d\udc68"],
  ["a_c", "abc", "a%c", "a*c", "a?c", "a[b]c", "a.c", "a\\_c"],
  ["it's", "it''s", "it\\'s", 'it"s', "it`s", "it\u2019s"],
  ["a\\b", "a\\\\b", "a\bb", "a/b", "a//b", "a/./b", "a/../b", "../b", "a/"],
  [
    "'; DROP TABLE storage_lock; --",
    "' OR '1'='1",
    "\\'; --",
    "/* */",
    "$1",
    "$$NOW",
    "$owner",
    ":id",
    "@id",
    "?",
    "{tag}",
    "{}",
    "[]"
  ],
  ["null", "NULL", "undefined", "true", "NaN", "0", "-0", "0x30", "\\0", "%00"],
  ["\u0001", "\u0002", "\u001f", "\u007f", "\u0080", "\uffff", "\ue000"]
]

/** Names that every JavaScript object has; a map made of a plain object would find them. */
const inherited = ["__proto__", "constructor", "toString", "hasOwnProperty"]

const bytes = (text: string): number => new TextEncoder().encode(text).length

export const cases: ReadonlyArray<Case.Case> = [
  {
    name: "lock ids that only look alike are different locks",
    rule: "lock-ids-byte-for-byte",
    run: (env) =>
      Effect.gen(function* () {
        let groups = 0
        for (const group of env.some([...alike, inherited])) {
          // In front and behind: what is trimmed, padded or folded may depend on the place. The prefix is short, to stay within the limit.
          const tag = `${env.prefix}${++groups}`
          const ids = group.flatMap((text) => [`${tag}:${text}`, `${text}:${tag}`])
          const owner = (id: string) => `owner of ${ids.indexOf(id)}`
          const taken = yield* Effect.forEach(
            ids,
            (lockId) =>
              Steps.take(
                env,
                env.storage,
                { lockId, ownerId: owner(lockId) },
                `${JSON.stringify(lockId)} is a lock of its own`
              ),
            { concurrency: 4 }
          )
          yield* Effect.forEach(
            taken,
            ({ holdId, lockId, record }) =>
              Effect.gen(function* () {
                yield* Case.that(
                  record.lockId === lockId || bytes(lockId) > env.guarantees.longestId,
                  "the record has the lock's own id",
                  { lockId, record }
                )
                const seen = yield* Steps.record(env.storage, lockId, JSON.stringify(lockId))
                yield* Case.that(
                  seen.record.ownerId === owner(lockId),
                  `${JSON.stringify(lockId)} is a lock of its own`,
                  seen.record
                )
                const renewal = yield* Steps.renewOne(env.storage, { lockId, holdId, lease: env.long })
                yield* Steps.renewed(renewal, `${JSON.stringify(lockId)} is renewed`)
              }),
            { concurrency: 4, discard: true }
          )
          for (let i = 0; i < taken.length; i++) {
            const { holdId, lockId } = taken[i]!
            const released = yield* env.storage.release({ lockId, holdId })
            yield* Case.that(released._tag === "Released", `${JSON.stringify(lockId)} is released`, released)
            const neighbour = ids[i + 1]
            if (neighbour !== undefined) {
              const still = yield* env.storage.get(neighbour)
              yield* Case.that(
                Option.isSome(still),
                `the release of ${JSON.stringify(lockId)} does not free ${JSON.stringify(neighbour)}`
              )
            }
          }
        }
      })
  },
  {
    name: "owner ids that only look alike are different owners",
    rule: "owner-ids-byte-for-byte",
    run: (env) =>
      Effect.forEach(
        env.some([...alike, inherited, ["Bob", "bob", "bob "]]),
        (group) =>
          Effect.gen(function* () {
            const lockId = env.lockId("owners")
            for (const ownerId of group) {
              const taken = yield* Steps.take(env, env.storage, { lockId, ownerId })
              yield* Case.that(taken.record.ownerId === ownerId, "an owner id comes back as it was given", {
                ownerId,
                record: taken.record
              })
              for (const other of group) {
                if (other === ownerId) continue
                const held = yield* Case.held(
                  yield* env.storage.claim({ lockId, ownerId: other, holdId: env.holdId(), lease: env.long }),
                  `${JSON.stringify(other)} is not ${JSON.stringify(ownerId)}`
                )
                yield* Case.that(held.holder.ownerId === ownerId, "Held names the owner byte for byte", held.holder)
              }
              const deeper = yield* Steps.take(
                env,
                env.storage,
                { lockId, ownerId },
                `${JSON.stringify(ownerId)} is itself`
              )
              yield* env.storage.release({ lockId, holdId: deeper.holdId })
              yield* env.storage.release({ lockId, holdId: taken.holdId })
            }
          }),
        { concurrency: 4, discard: true }
      )
  },
  {
    name: "ids of 255 units, of one to three bytes each, are told apart to the last",
    rule: "long-ids",
    run: (env) =>
      Effect.gen(function* () {
        for (const filler of ["x", "\u00e9", "\u3042", "\ud83d\ude00"]) {
          const room = Math.floor((255 - env.prefix.length - 1) / filler.length)
          const long = env.prefix + filler.repeat(room)
          const ids = [`${long}a`, `${long}b`, long]
          const taken = yield* Effect.forEach(ids, (lockId) =>
            Steps.take(
              env,
              env.storage,
              { lockId, ownerId: lockId.replace("kit", "own") },
              "a long id is a lock of its own"
            )
          )
          for (const { holdId, lockId, ownerId, record } of taken) {
            yield* Case.that(record.ownerId === ownerId, "a long owner id comes back whole", record)
            yield* Case.that(
              record.lockId === lockId || bytes(lockId) > env.guarantees.longestId,
              "a long id comes back whole",
              record
            )
            const held = yield* Case.held(
              yield* env.storage.claim({
                lockId,
                ownerId: ownerId.slice(0, -1),
                holdId: env.holdId(),
                lease: env.long
              }),
              "long owner ids are told apart to the last character"
            )
            yield* Case.that(held.holder.ownerId === ownerId, "Held names a long owner", held.holder)
            const released = yield* env.storage.release({ lockId, holdId })
            yield* Case.that(released._tag === "Released", "a lock with a long id is released", released)
          }
        }
      })
  }
]
