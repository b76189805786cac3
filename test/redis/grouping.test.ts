/** Claims and releases of one turn of the event loop travel together, and none of them can fail or change another. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "#effect/Result"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as Redis from "../harness/redis.js"
import { describeServer } from "../harness/server.js"

const lease = 30_000_000
const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)
const atOnce = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) => Effect.all(effects, { concurrency: "unbounded" })

await describeServer("grouping on Redis", Redis.own, (server) => {
  const made = Effect.gen(function* () {
    const prefix = yield* server.freshPrefix
    const url = Redacted.make(server.url)
    const { storage } = yield* RedisStorage.make({ url, prefix, notify: false })
    return { prefix, storage, url }
  })
  const scripts = Effect.map(server.admin("INFO", "commandstats"), (stats) =>
    ["eval", "evalsha"].reduce(
      (sum, name) => sum + Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(String(stats))?.[1] ?? 0),
      0
    )
  )
  const asking = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const before = yield* scripts
      const result = yield* effect
      return { result, asked: (yield* scripts) - before }
    })

  it.live("two hundred locks are claimed and released by few scripts, each for its owner", () =>
    Effect.gen(function* () {
      const { storage } = yield* made
      const claims = (owner: string) =>
        atOnce(
          numbers(200).map((i) => storage.claim({ lockId: `l${i}`, ownerId: owner, holdId: `${owner}${i}`, lease }))
        )
      // The server learns the script.
      yield* atOnce([storage.release({ lockId: "no", holdId: "no" }), storage.release({ lockId: "no", holdId: "no" })])
      const mine = yield* asking(claims("me"))
      assert.strictEqual(mine.asked, 4)
      mine.result.forEach((outcome, i) => {
        assert(outcome._tag === "Claimed")
        assert.strictEqual(outcome.record.lockId, `l${i}`)
        assert.deepStrictEqual(outcome.record.holds, [`me${i}`])
      })
      const yours = yield* asking(claims("you"))
      assert.isTrue(yours.result.every((outcome) => outcome._tag === "Held" && outcome.holder?.ownerId === "me"))
      const releases = yield* asking(
        atOnce(
          numbers(200).map((i) => storage.release({ lockId: `l${i}`, holdId: i % 2 === 0 ? `me${i}` : "nobody's" }))
        )
      )
      assert.strictEqual(releases.asked, 4)
      releases.result.forEach((outcome, i) =>
        assert.deepStrictEqual(outcome, i % 2 === 0 ? { _tag: "Released", remaining: 0 } : { _tag: "NotHeld" })
      )
    })
  )

  it.live("what is asked of one lock at once is done in the order in which it was asked", () =>
    Effect.gen(function* () {
      const { storage } = yield* made
      const claim = (ownerId: string, holdId: string) => storage.claim({ lockId: "one", ownerId, holdId, lease })
      const release = (holdId: string) => storage.release({ lockId: "one", holdId })
      const [first, second, denied, gone, other] = yield* Effect.all(
        [claim("me", "a"), claim("me", "b"), claim("you", "c"), release("a"), claim("you", "c")],
        { concurrency: "unbounded" }
      )
      assert(first._tag === "Claimed" && second._tag === "Claimed")
      assert.deepStrictEqual(second.record.holds, ["a", "b"])
      assert.strictEqual(second.record.token, first.record.token)
      assert.strictEqual(denied._tag, "Held")
      assert.deepStrictEqual(gone, { _tag: "Released", remaining: 1 })
      assert.strictEqual(other._tag, "Held")
    })
  )

  it.live("one whose key is of something else, is no record, or of a newer format, fails alone", () =>
    Effect.gen(function* () {
      const { prefix, storage } = yield* made
      yield* server.admin("SET", `${prefix}text`, "somebody's")
      yield* server.admin("HSET", `${prefix}foreign`, "a", "b")
      yield* server.admin("HSET", `${prefix}newer`, "format", "9")
      const ids = ["fine", "text", "foreign", "newer", "too"]
      const claims = yield* atOnce(
        ids.map((lockId) => Effect.result(storage.claim({ lockId, ownerId: "me", holdId: "h", lease })))
      )
      const releases = yield* atOnce(ids.map((lockId) => Effect.result(storage.release({ lockId, holdId: "h" }))))
      const told = (all: ReadonlyArray<Result.Result<{ readonly _tag: string }, { readonly message: string }>>) =>
        all.map((one) => (Result.isSuccess(one) ? one.success._tag : one.failure.message))
      for (const [tag, all] of [
        ["Claimed", told(claims)],
        ["Released", told(releases)]
      ] as const) {
        assert.strictEqual(all[0], tag)
        assert.match(all[1]!, /WRONGTYPE/)
        assert.match(all[2]!, /not a record of a lock/)
        assert.match(all[3]!, /format 9, newer than/)
        assert.strictEqual(all[4], tag)
      }
      assert.strictEqual(yield* server.admin("GET", `${prefix}text`), "somebody's")
    })
  )

  it.live("one whose key the user has no right to fails alone, and is told of its own operation", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      // The server's time is asked by the prefix itself.
      const rights = ["on", "nopass", `~${prefix}`, `~${prefix}mine*`, "&*", "+@all"]
      yield* server.admin("ACL", "SETUSER", "grouped", ...rights)
      const url = new URL(server.url)
      url.username = "grouped"
      url.password = "any"
      const { storage } = yield* RedisStorage.make({ url: Redacted.make(url.href), prefix, notify: false })
      const [mine, release, other] = yield* Effect.all(
        [
          storage.claim({ lockId: "mine", ownerId: "me", holdId: "h", lease }),
          Effect.flip(storage.release({ lockId: "theirs", holdId: "h" })),
          storage.claim({ lockId: "mine too", ownerId: "me", holdId: "h", lease })
        ],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(mine._tag, "Claimed")
      assert.strictEqual(other._tag, "Claimed")
      assert.strictEqual(release.operation, "RedisStorage.release")
      assert.deepStrictEqual([release.reason, release.applied], ["Permission", "no"])
    })
  )
})
