/** Turns of those who change one record: who has one, who waits, and when it is over. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Redacted from "effect/Redacted"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as scripts from "../../src/backends/redis/scripts.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

await describeServer("turns on Redis", Shared.redis, (server) => {
  const setup = Effect.gen(function* () {
    const prefix = yield* server.freshPrefix
    const { storage, versioned } = yield* RedisStorage.make({ url: Redacted.make(server.url), prefix, notify: false })
    const record = {
      lockId: "a",
      kind: "test",
      format: 1,
      ownerId: "",
      holds: [],
      token: 1,
      lockBeginTime: 1,
      leaseExpireTime: 1,
      data: "",
      version: 1
    }
    const key = `${prefix}a`
    const ask = (id: string, millis = 60_000) =>
      Effect.map(server.admin("EVAL", scripts.turn.text, 1, key, id, millis * 1_000), (reply) => {
        const [word, told] = reply as ReadonlyArray<unknown>
        return word === "wait" ? `wait ${String(told)}` : String(word)
      })
    const leave = (id: string) => server.admin("EVAL", scripts.leave.text, 1, key, id)
    const update = (version: number) => versioned.update("a", version, { ...record, version: version + 1 })
    return { ask, key, leave, record, storage, update, versioned }
  })

  it.live("are given in the order in which they were asked for", () =>
    Effect.gen(function* () {
      const { ask, leave, record, versioned } = yield* setup
      yield* versioned.create("a", 1, record)
      assert.strictEqual(yield* ask("first"), "turn")
      assert.strictEqual(yield* ask("second"), "wait 1")
      assert.strictEqual(yield* ask("third"), "wait 2")
      assert.strictEqual(yield* ask("first"), "turn", "who asks again has it still")
      yield* leave("first")
      assert.strictEqual(yield* ask("third"), "wait 1")
      assert.strictEqual(yield* ask("second"), "turn")
      yield* leave("third")
      yield* leave("second")
      assert.strictEqual(yield* ask("fourth"), "turn", "who has gone away is not waited for")
    })
  )

  it.live("keep out who has none, until they are over, whether or not that is said", () =>
    Effect.gen(function* () {
      const { ask, leave, record, update, versioned } = yield* setup
      yield* versioned.create("a", 1, record)
      yield* ask("somebody")
      assert.strictEqual((yield* Effect.flip(update(1)))._tag, "VersionMiss")
      assert.strictEqual(Option.getOrThrow(yield* versioned.get("a")).version, 1)
      yield* leave("somebody")
      yield* update(1)
      // It dies.
      yield* ask("somebody", 200)
      yield* Effect.retry(update(2), { while: ({ _tag }) => _tag === "VersionMiss" })
    })
  )

  it.live("keep no exclusive claim out of a free lock: it is judged by itself, and who has the turn misses", () =>
    Effect.gen(function* () {
      const { ask, record, storage, versioned } = yield* setup
      yield* versioned.create("a", 1, record)
      yield* ask("somebody")
      const outcome = yield* storage.claim({ lockId: "a", ownerId: "me", holdId: "x".repeat(22), lease: 60_000_000 })
      assert.strictEqual(outcome._tag, "Claimed")
      assert.strictEqual(Option.getOrThrow(yield* versioned.get("a")).version, 2)
    })
  )

  it.live("are no record: none is made for a lock that has none, and nothing else is touched", () =>
    Effect.gen(function* () {
      const { ask, key, leave, versioned } = yield* setup
      assert.strictEqual(yield* ask("somebody"), "turn")
      yield* leave("somebody")
      assert.isTrue(Option.isNone(yield* versioned.get("a")))
      yield* server.admin("SET", key, "of the program")
      assert.strictEqual(
        (yield* Effect.flip(versioned.modify!("a", (record) => ({ record, outcome: 1 }))))._tag,
        "StorageError"
      )
      assert.strictEqual(yield* server.admin("GET", key), "of the program")
    })
  )
})
