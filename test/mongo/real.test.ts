/**
 * What only a real MongoDB can show: its own evaluation of the pipelines, its change streams, its collations. Runs if `EFFECT_STORAGE_LOCK_MONGO_URL` names one; of another server
 * of the protocol, what is promised there, too.
 */
import { assert, describe, it } from "#harness/vitest"
import * as Array from "effect/Array"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as Mongo from "../harness/mongo.js"
import { describeServer } from "../harness/server.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, holdId = hold(), lease = 30 * second) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const tests = (server: Mongo.MongoServer) => {
  const fresh = Effect.map(server.freshDatabase, (url) => Redacted.make(url))

  it.live.runIf(server.isMongo)("every operation is one command, whatever it finds; a renewal of many is two", () =>
    Effect.gen(function* () {
      const client = yield* Mongo.client(Redacted.value(yield* fresh), { monitorCommands: true })
      const { mode, storage } = yield* MongoStorage.makeFromClient({
        client,
        database: client.options.dbName,
        wakeUps: false
      })
      assert.strictEqual(mode, "pipeline")
      let commands = 0
      client.on("commandStarted", () => void commands++)
      const trips = <A, E>(expected: number, effect: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          commands = 0
          const result = yield* effect
          assert.strictEqual(commands, expected)
          return result
        })
      const first = yield* trips(1, claim(storage, "a", "me"))
      assert.strictEqual(first.outcome._tag, "Claimed")
      const deeper = yield* trips(1, claim(storage, "a", "me"))
      assert.strictEqual(deeper.outcome._tag, "Claimed")
      assert.strictEqual((yield* trips(1, claim(storage, "a", "you"))).outcome._tag, "Held")
      yield* claim(storage, "b", "me", hold(), 10_000)
      yield* Effect.sleep(20)
      const takeover = yield* trips(1, claim(storage, "b", "you"))
      assert.strictEqual(takeover.outcome._tag, "Claimed")
      yield* trips(1, storage.renew([{ lockId: "a", holdId: first.holdId, lease: 40 * second }]))
      const outcomes = yield* trips(
        2,
        storage.renew([
          { lockId: "b", holdId: takeover.holdId, lease: 40 * second },
          { lockId: "a", holdId: deeper.holdId, lease: 50 * second },
          { lockId: "none", holdId: hold(), lease: 50 * second },
          { lockId: "a", holdId: hold(), lease: 90 * second }
        ])
      )
      assert.deepStrictEqual(
        outcomes.map((_) => _._tag),
        ["Renewed", "Renewed", "NotHeld", "NotHeld"]
      )
      yield* trips(1, storage.release({ lockId: "a", holdId: first.holdId }))
      yield* trips(1, storage.release({ lockId: "a", holdId: first.holdId }))
      yield* trips(1, storage.get("a"))
    })
  )

  it.live("a contended claim, and a repeated one, change nothing", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      const { storage } = yield* MongoStorage.make({ url, wakeUps: false })
      const client = yield* Mongo.client(Redacted.value(url))
      const stored = Effect.promise(() =>
        client.db().collection<{ readonly _id: string }>("storage_lock").findOne({ _id: "a" })
      )
      const { holdId } = yield* claim(storage, "a", "me")
      const before = yield* stored
      const outcomes = yield* Effect.forEach(Array.range(1, 40), () => claim(storage, "a", "you"), { concurrency: 4 })
      assert.isTrue(outcomes.every(({ outcome }) => outcome._tag === "Held"))
      yield* claim(storage, "a", "me", holdId, 90 * second)
      assert.deepStrictEqual(yield* stored, before)
      yield* claim(storage, "a", "me")
      assert.notDeepEqual(yield* stored, before)
    })
  )

  it.live("ids and owners that look like expressions are what they are", () =>
    Effect.gen(function* () {
      const { storage } = yield* MongoStorage.make({ url: yield* fresh, wakeUps: false })
      for (const text of ["$$NOW", "$owner", "$$ROOT", "$literal", '{"$gt":""}', "a.b", "$", "$$", "__proto__"]) {
        const taken = yield* claim(storage, text, text)
        assert.isTrue(
          taken.outcome._tag === "Claimed" &&
            taken.outcome.record.ownerId === text &&
            taken.outcome.record.lockId === text
        )
        const other = yield* claim(storage, text, `${text} `)
        assert.isTrue(other.outcome._tag === "Held" && other.outcome.holder?.ownerId === text)
        assert.deepStrictEqual(yield* storage.release({ lockId: text, holdId: taken.holdId }), {
          _tag: "Released",
          remaining: 0
        })
      }
    })
  )

  it.live.skipIf(server.isMongo)("what is not MongoDB is not trusted with pipelines", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      assert.strictEqual((yield* MongoStorage.make({ url, wakeUps: false })).mode, "versioned")
      assert.deepInclude(yield* Effect.flip(MongoStorage.make({ url, wakeUps: false, mode: "pipeline" })), {
        reason: "Schema",
        isRetryable: false
      })
    })
  )

  it.live(
    "races of eight have one winner and always an answer, by pipelines and by compare-and-set over one collection",
    () =>
      Effect.gen(function* () {
        const url = yield* fresh
        const storages = yield* Effect.forEach(
          [server.isMongo ? "pipeline" : "versioned", "versioned"] as const,
          (mode) => Effect.map(MongoStorage.make({ url, mode, poolSize: 8, wakeUps: false }), ({ storage }) => storage)
        )
        for (let round = 0; round < 60; round++) {
          const contenders = Array.makeBy(8, (i) => `owner-${round}-${i}`)
          const results = yield* Effect.forEach(
            contenders,
            (owner, i) => claim(storages[i % 2]!, `c-${round >> 3}`, owner),
            { concurrency: "unbounded" }
          )
          const winners = results.filter(({ outcome }) => outcome._tag === "Claimed")
          assert.strictEqual(winners.length, 1)
          const owner = contenders[results.indexOf(winners[0]!)]!
          for (const { outcome } of results) {
            assert.strictEqual(outcome._tag === "Claimed" ? outcome.record.ownerId : outcome.holder?.ownerId, owner)
          }
          yield* storages[round % 2]!.release({ lockId: `c-${round >> 3}`, holdId: winners[0]!.holdId })
        }
      })
  )

  it.live.runIf(server.isMongo)("a collection with a collation is refused", () =>
    Effect.gen(function* () {
      const url = yield* fresh
      const client = yield* Mongo.client(Redacted.value(url))
      yield* Effect.promise(() =>
        client.db().createCollection("storage_lock", { collation: { locale: "en", strength: 2 } })
      )
      assert.deepInclude(yield* Effect.flip(MongoStorage.make({ url, wakeUps: false })), {
        _tag: "StorageError",
        reason: "Schema"
      })
    })
  )

  it.runIf(server.isMongo && server.replicated)("waiters are woken by releases, and by nothing else", () =>
    Effect.runPromise(
      Effect.scoped(
        Effect.gen(function* () {
          const url = yield* fresh
          const heard: Array<string> = []
          for (const mode of ["pipeline", "versioned"] as const) {
            const { storage } = yield* MongoStorage.make({ url, mode })
            if (heard.length === 0) {
              yield* storage.wakeUps.pipe(
                Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
                Effect.forkScoped
              )
              yield* Effect.repeat(Effect.sleep(10), { until: () => heard.length > 0 })
            }
            const kept = yield* claim(storage, `kept-${mode}`, "me")
            const { holdId } = yield* claim(storage, `freed-${mode}`, "me")
            yield* storage.renew([
              { lockId: `kept-${mode}`, holdId: kept.holdId, lease: 60 * second },
              { lockId: `freed-${mode}`, holdId, lease: 60 * second }
            ])
            yield* storage.release({ lockId: `freed-${mode}`, holdId })
            yield* Effect.repeat(Effect.sleep(10), { until: () => heard.includes(`freed-${mode}`) })
          }
          assert.deepStrictEqual(heard, ["all", "freed-pipeline", "freed-versioned"])
        })
      )
    )
  )
}

if (Mongo.hasReal) await describeServer("MongoStorage on a real MongoDB, in detail", Mongo.real, tests)
else {
  describe("MongoStorage on a real MongoDB, in detail", () => {
    it("not tested", (context) =>
      context.skip(`${Mongo.environmentVariable} does not name one, and none can be fetched`))
  })
}
