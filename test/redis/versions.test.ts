/** A fleet of which some processes have been updated and some have not: they have the same locks, on one server. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import type * as Storage from "../../src/Storage.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as earlier from "./earlier.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000
const lease = 30 * second

/** The fields of a record in the order in which the earlier version wants each of them. */
const record = ([kind, format, owner, holds, token, version, began, expires, data, label]: ReadonlyArray<unknown>) => {
  for (const field of [kind, format, owner, holds, token, version, began, expires, data])
    assert.isString(field, "the earlier version reads every field")
  return { kind, format, owner, holds, token: Number(token), version: Number(version), data, label }
}

await describeServer("two versions on one Redis", Shared.redis, (server) => {
  const both = Effect.gen(function* () {
    const prefix = yield* server.freshPrefix
    const ports = yield* RedisStorage.make({ url: Redacted.make(server.url), prefix, notify: true })
    const run = (script: string, lockId: string, ...args: ReadonlyArray<string>) =>
      Effect.map(server.admin("EVAL", script, 1, `${prefix}${lockId}`, ...args), (reply) => reply as Array<any>)
    const old = {
      claim: (lockId: string, owner: string, holdId: string, micros = lease) =>
        Effect.map(run(earlier.claim, lockId, owner, holdId, String(micros), "0", `label of ${owner}`), (reply) => {
          const [word, now, ...fields] = reply
          return { word: String(word), now: Number(now), record: record(fields) }
        }),
      release: (lockId: string, holdId: string) =>
        Effect.map(run(earlier.release, lockId, holdId, `${prefix}wake-ups`, lockId), ([word]) => String(word)),
      renew: (lockId: string, holdId: string) =>
        Effect.map(run(earlier.renew, lockId, holdId, String(lease)), ([, [word]]) => String(word))
    }
    return { ...ports, old }
  })
  const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId: string, micros = lease) =>
    storage.claim({ lockId, ownerId, holdId, lease: micros, ownerLabel: `label of ${ownerId}` })

  it.live("what one has, the other sees, respects and takes over; tokens and versions grow over both", () =>
    Effect.gen(function* () {
      const { old, storage } = yield* both
      let token = 0
      let version = 0
      const grown = (now: { readonly token: number; readonly version: number }) => {
        assert.isAbove(now.token, token)
        assert.isAbove(now.version, version)
        token = now.token
        version = now.version
      }
      for (let round = 0; round < 3; round++) {
        const theirs = hold()
        const first = yield* old.claim("a", "old", theirs)
        assert.strictEqual(first.word, "claimed")
        grown(first.record)
        const refused = yield* claim(storage, "a", "new", hold())
        assert(refused._tag === "Held")
        assert.deepInclude(refused.holder, { ownerId: "old", ownerLabel: "label of old", holds: [theirs], token })
        assert.strictEqual((yield* storage.release({ lockId: "a", holdId: hold() }))._tag, "NotHeld")
        assert.strictEqual(yield* old.renew("a", theirs), "renewed")
        assert.strictEqual(yield* old.release("a", theirs), "done")

        const ours = hold()
        const second = yield* claim(storage, "a", "new", ours)
        assert(second._tag === "Claimed")
        grown(second.record)
        const denied = yield* old.claim("a", "old", hold())
        assert.strictEqual(denied.word, "held")
        assert.deepInclude(denied.record, {
          kind: "exclusive",
          format: "1",
          owner: "new",
          holds: `,${ours}`,
          token,
          label: "label of new"
        })
        assert.strictEqual(yield* old.release("a", hold()), "none")
        assert.strictEqual((yield* storage.renew([{ lockId: "a", holdId: ours, lease }]))[0]!._tag, "Renewed")
        assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId: ours }), {
          _tag: "Released",
          remaining: 0
        })

        // A lease that has ended is taken over by either.
        yield* old.claim("a", "old", hold(), 1_000)
        yield* Effect.sleep(3)
        const over = yield* claim(storage, "a", "new", hold(), 1_000)
        assert(over._tag === "Claimed")
        grown(over.record)
        yield* Effect.sleep(3)
        const back = hold()
        const again = yield* old.claim("a", "old", back)
        assert.strictEqual(again.word, "claimed")
        grown(again.record)
        yield* old.release("a", back)
      }
    })
  )

  it.live("one owner holds a lock through both, and each gives back what the other took", () =>
    Effect.gen(function* () {
      const { old, storage } = yield* both
      const [one, two] = [hold(), hold()]
      const first = yield* old.claim("a", "me", one)
      const second = yield* claim(storage, "a", "me", two)
      assert(second._tag === "Claimed")
      assert.deepStrictEqual(second.record.holds, [one, two])
      assert.strictEqual(second.record.token, first.record.token)
      // Repeated, since its answer was lost: by the other version, too.
      assert.deepInclude((yield* old.claim("a", "me", two)).record, {
        holds: `,${one},${two}`,
        version: second.record.version
      })
      assert.strictEqual(yield* old.renew("a", two), "renewed")
      assert.deepStrictEqual(yield* storage.release({ lockId: "a", holdId: one }), { _tag: "Released", remaining: 1 })
      assert.deepStrictEqual((yield* storage.renew([{ lockId: "a", holdId: one, lease }]))[0]!._tag, "NotHeld")
      assert.strictEqual(yield* old.release("a", two), "done")
      assert.isTrue(Option.isNone(yield* storage.get("a")))
    })
  )

  it.live("a record that is from before there were labels is read and taken over", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* RedisStorage.make({ url: Redacted.make(server.url), prefix })
      const before = {
        kind: "exclusive",
        format: "1",
        owner: "old",
        holds: ",h",
        token: "7",
        version: "9",
        began: "5",
        expires: "9000000000000000",
        data: ""
      }
      const write = (expires: string) =>
        server.admin("HSET", `${prefix}a`, ...Object.entries({ ...before, expires }).flat())
      yield* write(before.expires)
      const held = yield* claim(storage, "a", "new", hold())
      assert(held._tag === "Held")
      assert.deepInclude(held.holder, { ownerId: "old", token: 7, version: 9 })
      yield* write("6")
      const taken = yield* claim(storage, "a", "new", hold())
      assert(taken._tag === "Claimed")
      assert.strictEqual(taken.record.version, 10)
      assert.isAbove(taken.record.token, 7)
      const listed = Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record)
      assert.deepStrictEqual(listed, [taken.record])
    })
  )

  it.live("eight of both versions race for one lock: one has it, and all others name that one", () =>
    Effect.gen(function* () {
      const { old, storage } = yield* both
      for (let round = 0; round < 40; round++) {
        const holds = Array.from({ length: 8 }, hold)
        const outcomes = yield* Effect.all(
          holds.map((holdId, i) => {
            const owner = `${round}-${i}`
            return i % 2 === 0
              ? Effect.map(old.claim("a", owner, holdId), ({ record, word }) => ({
                  won: word === "claimed",
                  named: String(record.owner)
                }))
              : Effect.map(claim(storage, "a", owner, holdId), (outcome) => ({
                  won: outcome._tag === "Claimed",
                  named: outcome._tag === "Claimed" ? outcome.record.ownerId : outcome.holder!.ownerId
                }))
          }),
          { concurrency: "unbounded" }
        )
        const winner = outcomes.findIndex(({ won }) => won)
        assert.strictEqual(outcomes.filter(({ won }) => won).length, 1)
        assert.isTrue(outcomes.every(({ named }) => named === `${round}-${winner}`))
        if (round % 2 === 0) yield* storage.release({ lockId: "a", holdId: holds[winner]! })
        else yield* old.release("a", holds[winner]!)
      }
    })
  )
})
