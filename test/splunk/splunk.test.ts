/** What the conformance kit does not see of SplunkStorage: requests, documents, old versions, members that lag, collections that are emptied, and what is no record of ours. */
import { assert, describe, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import * as Splunk from "../harness/splunk.js"
import type { Setting } from "../harness/splunkDouble.js"
import { at, heard } from "../support/logged.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000
const hour = 3_600_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, lease = 30 * second, holdId = hold()) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId, lockId, lease }))

const facts = ({ applied, isRetryable, reason }: StorageError) => ({ reason, isRetryable, applied })

const setup = (setting?: Setting) =>
  Effect.gen(function* () {
    const server = yield* Splunk.double(setting)
    const collection = yield* server.freshCollection
    const open = (more: Partial<SplunkStorage.Options> = {}) =>
      SplunkStorage.make({ ...server.options, collection, operationTimeout: "1 minute", ...more })
    /** By a request of one's own. */
    const admin = (method: string, path: string, body?: unknown) =>
      Effect.promise(async () => {
        const response = await fetch(
          `${server.url}/servicesNS/nobody/search/storage/collections/data/${collection}${path}`,
          {
            method,
            headers: { authorization: "Bearer eyJ.token", "content-type": "application/json" },
            body: body === undefined ? null : JSON.stringify(body)
          }
        )
        return { status: response.status, body: (await response.json()) as any }
      })
    const documents = () => server.double.documents(`search/${collection}`)
    const versionsOf = (lock: string) =>
      documents()
        .filter((each) => each.lock === lock)
        .map(({ seq }) => seq as number)
        .sort((a, b) => a - b)
    return { ...server, collection, open, admin, documents, versionsOf }
  })

describe("requests", () => {
  it.live(
    "a write is an insert and a read of what was written; a wrong guess is one read, and a claim in vain another",
    () =>
      Effect.gen(function* () {
        const { collection, open, ...server } = yield* setup()
        const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
        const { storage } = yield* open({ url: Redacted.make(proxy.url(server.url)), collection })
        const counted = <A, E>(requests: number, self: Effect.Effect<A, E>) =>
          Effect.gen(function* () {
            yield* proxy.resetRoundTrips
            const value = yield* self
            assert.strictEqual(proxy.roundTrips(), requests)
            return value
          })
        const other = (yield* open()).storage
        const mine = yield* counted(2, claim(storage, "a", "me"))
        yield* counted(2, claim(storage, "a", "me", 30 * second, mine.holdId))
        const deeper = yield* counted(2, claim(storage, "a", "me"))
        yield* counted(2, storage.release(deeper))
        yield* counted(1, storage.get("a"))
        yield* counted(2, storage.release(mine))
        yield* counted(2, claim(storage, "a", "me", second))
        // Contended: what is not known is tried, and what is known is looked at.
        const theirs = yield* claim(other, "b", "you")
        assert.strictEqual((yield* counted(2, claim(storage, "b", "me"))).outcome._tag, "Held")
        assert.strictEqual((yield* counted(1, claim(storage, "b", "me"))).outcome._tag, "Held")
        // Freed elsewhere: a look, and a write.
        yield* other.release(theirs)
        assert.strictEqual((yield* counted(3, claim(storage, "b", "me"))).outcome._tag, "Claimed")
        // A lease that was seen to its end is taken over at once.
        yield* claim(other, "c", "you", 50_000)
        assert.strictEqual((yield* claim(storage, "c", "me")).outcome._tag, "Held")
        yield* Effect.sleep("100 millis")
        assert.strictEqual((yield* counted(2, claim(storage, "c", "me"))).outcome._tag, "Claimed")
      })
  )

  for (const plain of [false, true])
    it.live(
      `a thousand renewals are a thousand inserts, and ${plain ? "as many reads where a server has no batch_find" : "ten reads"}`,
      () =>
        Effect.gen(function* () {
          const { collection, open, ...server } = yield* setup({ plain })
          const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
          const { storage } = yield* open({ url: Redacted.make(proxy.url(server.url)), collection })
          const count = plain ? 120 : 1_000
          const held = yield* Effect.forEach(
            Array.from({ length: count }, (_, n) => `many-${n}`),
            (lockId) =>
              Effect.map(claim(storage, lockId, "me", 600 * second), (all) => ({ ...all, lease: 700 * second })),
            { concurrency: 16 }
          )
          yield* proxy.resetRoundTrips
          const answers = yield* storage.renew(held)
          assert.isTrue(answers.every((answer) => answer._tag === "Renewed" && answer.validFor > 600 * second))
          assert.strictEqual(proxy.roundTrips(), plain ? 2 * count + 2 : count + 10)
        })
    )

  it.live("a repeated request is known again: neither a claim nor a release whose reply was lost is done twice", () =>
    Effect.gen(function* () {
      const { collection, open, versionsOf, ...server } = yield* setup()
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { storage } = yield* open({ url: Redacted.make(proxy.url(server.url)), collection })
      yield* proxy.dropNextReply
      const mine = yield* claim(storage, "a", "me")
      assert.strictEqual(mine.outcome._tag, "Claimed")
      yield* proxy.dropNextReply
      assert.deepStrictEqual(yield* storage.release(mine), { _tag: "Released", remaining: 0 })
      assert.strictEqual(proxy.dropped(), 2)
      assert.deepStrictEqual(versionsOf("lock-a"), [1, 2])
    })
  )
})

describe("documents", () => {
  it.live("ids are in the keys as they are where they are plain and short, and else hashed; and come back whole", () =>
    Effect.gen(function* () {
      const { documents, open } = yield* setup()
      const { storage } = yield* open()
      const ids = [
        "plain-1.x~_",
        "plain-1.x~_.2",
        "a/b",
        "a//b",
        "/a",
        "é",
        "e\u0301",
        ".",
        "..",
        " ",
        "🔒".repeat(127),
        "\u7fff".repeat(340),
        "x".repeat(200),
        "x".repeat(201),
        "x".repeat(1_020),
        "\u0001\uffff",
        `'; "\\`,
        "%2F",
        "$gt",
        "(!*')"
      ]
      for (const lockId of ids) assert.strictEqual((yield* claim(storage, lockId, "me")).outcome._tag, "Claimed")
      const fresh = (yield* open()).storage
      for (const lockId of ids) {
        assert.strictEqual((yield* claim(fresh, lockId, "you")).outcome._tag, "Held")
        assert.strictEqual((yield* fresh.get(lockId))._tag, "Some")
      }
      const listed = Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId)
      assert.deepStrictEqual(listed.sort(), [...ids].sort())
      const keys = documents().map(({ _key }) => _key as string)
      assert.include(keys, "lock-plain-1.x~_.1")
      assert.isTrue(keys.every((key) => Buffer.byteLength(key) <= 230))
    })
  )

  it.live("a list is read in parts, past a thousand versions", () =>
    Effect.gen(function* () {
      const { open } = yield* setup()
      const { storage } = yield* open()
      const ids = Array.from({ length: 203 }, (_, n) => `lock-${String(n).padStart(4, "0")}`)
      for (let n = 0; n < 6; n++)
        yield* Effect.forEach(ids, (id) => claim(storage, id, "me", 600 * second), { concurrency: 16 })
      const free = yield* claim(storage, "free", "me")
      yield* storage.release(free)
      assert.deepStrictEqual(
        Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId),
        ids
      )
    })
  )

  it.live("old versions are dropped, those of the last hour are not, and the lock is as it was", () =>
    Effect.gen(function* () {
      const { admin, documents, open, versionsOf } = yield* setup()
      const { storage } = yield* open()
      const mine = yield* claim(storage, "a", "me", 600 * second)
      for (let n = 1; n < 160; n++) yield* storage.renew([mine])
      assert.strictEqual(versionsOf("lock-a").length, 160)
      // As if those up to 120 were older than an hour.
      for (const document of documents().filter(({ lock, seq }) => lock === "lock-a" && (seq as number) <= 120)) {
        yield* admin("DELETE", `/${document._key as string}`)
        yield* admin("POST", "", { ...document, at: Date.now() - 2 * hour })
      }
      // Some are kept, whatever their age.
      for (let n = 0; n < 32; n++) yield* storage.renew([mine])
      yield* Effect.repeat(
        Effect.delay(
          Effect.sync(() => versionsOf("lock-a")),
          "10 millis"
        ),
        { until: ({ length }) => length < 192 }
      )
      // The first one stays for those who know nothing of the lock.
      assert.deepStrictEqual(versionsOf("lock-a").slice(0, 3), [1, 120, 121])
      assert.strictEqual(versionsOf("lock-a").length, 74)
      const other = (yield* open()).storage
      assert.strictEqual((yield* claim(other, "a", "you")).outcome._tag, "Held")
    })
  )

  it.live("what is no record of ours is refused, and stays as it is", () =>
    Effect.gen(function* () {
      const { admin, open } = yield* setup()
      const { storage } = yield* open()
      const whole = {
        kind: "exclusive",
        format: 1,
        ownerId: "you",
        holds: ["x"],
        token: 7,
        version: 7,
        lockBeginTime: 0,
        leaseExpireTime: second,
        data: ""
      }
      for (const [lockId, record] of [
        ["text", "hello"],
        ["newer", JSON.stringify({ ...whole, format: 2 })],
        ["odd", JSON.stringify({ ...whole, token: "7" })]
      ] as const) {
        const document = { lock: `lock-${lockId}`, seq: 1, id: lockId, record, by: "x", at: Date.now() }
        yield* admin("POST", "", { _key: `lock-${lockId}.1`, ...document })
        const attempts: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
          storage.claim({ lockId, ownerId: "me", holdId: hold(), lease: second }),
          storage.get(lockId),
          storage.release({ lockId, holdId: hold() }),
          storage.revoke({ lockId, token: 7, when: "now" })
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.deepStrictEqual(facts(error), { reason: "Schema", isRetryable: false, applied: "no" })
          assert.strictEqual(error.message.includes("update effect-storage-lock"), lockId === "newer")
        }
        assert.strictEqual((yield* admin("GET", `/lock-${lockId}.1`)).body.record, record)
      }
    })
  )
})

describe("a collection", () => {
  it.live(
    "that is emptied: the hold is lost at its next renewal, which is warned of once, and what it writes counts for nothing",
    () =>
      heard((lines) =>
        Effect.gen(function* () {
          const { admin, open, versionsOf } = yield* setup()
          const { storage } = yield* open()
          const first = yield* claim(storage, "a", "me")
          for (let n = 0; n < 4; n++) yield* storage.renew([first])
          yield* admin("DELETE", "")
          const other = (yield* open()).storage
          const theirs = yield* claim(other, "a", "you")
          assert.strictEqual(theirs.outcome._tag, "Claimed")
          const [renewal] = yield* storage.renew([first])
          assert(renewal!._tag === "NotHeld" && renewal!.current?.ownerId === "you")
          // The sixth version, after a fifth that was gone, was taken away.
          assert.deepStrictEqual(versionsOf("lock-a"), [1])
          assert.strictEqual((yield* other.renew([theirs]))[0]!._tag, "Renewed")
          const alone = yield* claim(storage, "b", "me")
          yield* admin("DELETE", "")
          assert.deepStrictEqual(yield* storage.renew([alone]), [{ _tag: "NotHeld" }])
          assert.strictEqual(at(lines, "Warning").filter(({ message }) => message.includes("was emptied")).length, 1)
          assert.deepStrictEqual(versionsOf("lock-b"), [])
        })
      )
  )

  it.live("that has gone is told as such, and setup makes it again, for many who begin at once", () =>
    Effect.gen(function* () {
      const { double, collection, open } = yield* setup()
      const missing = yield* Effect.flip(open({ setup: false }))
      assert.deepStrictEqual(facts(missing as StorageError), { reason: "Schema", isRetryable: false, applied: "no" })
      const all = yield* Effect.all(
        Array.from({ length: 8 }, () => open()),
        { concurrency: "unbounded" }
      )
      const outcomes = yield* Effect.forEach(all, ({ storage }, n) => claim(storage, "a", `owner ${n}`), {
        concurrency: "unbounded"
      })
      assert.strictEqual(outcomes.filter(({ outcome }) => outcome._tag === "Claimed").length, 1)
      assert.strictEqual(double.documents(`search/${collection}`).filter(({ _key }) => _key === "collection").length, 1)
      yield* open({ setup: false })
    })
  )

  it.live("races are won by one, and tokens grow", () =>
    Effect.gen(function* () {
      const { open } = yield* setup()
      const all = yield* Effect.all(Array.from({ length: 6 }, () => open({ poolSize: 2 })))
      let last = 0
      for (let round = 0; round < 30; round++) {
        const outcomes = yield* Effect.forEach(
          all,
          ({ storage }, n) => Effect.map(claim(storage, "a", `owner ${n}`), (all) => ({ ...all, storage })),
          { concurrency: "unbounded" }
        )
        const won = outcomes.filter(({ outcome }) => outcome._tag === "Claimed")
        assert.strictEqual(won.length, 1)
        const [{ outcome, storage, ...mine }] = won as [(typeof won)[number]]
        assert(outcome._tag === "Claimed" && outcome.record.token > last)
        last = outcome.record.token
        yield* storage.release(mine)
      }
    })
  )
})

describe("a member that lags", () => {
  it.live("lets nobody in twice, and who writes waits until it is seen", () =>
    Effect.gen(function* () {
      const { double, open } = yield* setup()
      const all = yield* Effect.all(Array.from({ length: 4 }, () => open()))
      double.lag = 60
      for (let round = 0; round < 8; round++) {
        const outcomes = yield* Effect.forEach(
          all,
          ({ storage }, n) =>
            Effect.map(Effect.result(claim(storage, "a", `owner ${n}`)), (answer) => ({ answer, storage })),
          { concurrency: "unbounded" }
        )
        const won = outcomes.flatMap(({ answer, storage }) =>
          answer._tag === "Success" && answer.success.outcome._tag === "Claimed" ? [{ ...answer.success, storage }] : []
        )
        assert.isAtMost(won.length, 1)
        for (const { storage, ...mine } of won) assert.strictEqual((yield* storage.release(mine))._tag, "Released")
        yield* Effect.sleep("100 millis")
      }
    })
  )

  it.live("for longer than an operation may take: the outcome is unknown, and nobody is told of success", () =>
    Effect.gen(function* () {
      const { double, open } = yield* setup()
      const { storage } = yield* open({ operationTimeout: "300 millis" })
      double.lag = 10_000
      const error = yield* Effect.flip(claim(storage, "a", "me"))
      assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
      // The last look may itself be cut off by the time limit.
      assert.match(error.message, /lags behind|could not be read back/)
    })
  )

  it.live("of a cluster of search heads is warned of", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const { open } = yield* setup({ roles: ["search_head", "shc_member"] })
        yield* open()
        assert.include(
          at(lines, "Warning")
            .map(({ message }) => message)
            .join(),
          "search head cluster"
        )
      })
    )
  )
})
