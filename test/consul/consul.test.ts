/** What the conformance kit does not see of ConsulStorage: requests, keys, transactions of many, wake-ups, the store's index, and what is no record of ours. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import * as HttpFrames from "../harness/httpFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, lease = 30 * second, holdId = hold()) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const tokenOf = (outcome: LockRecord.ClaimOutcome): number => {
  assert.strictEqual(outcome._tag, "Claimed")
  return outcome._tag === "Claimed" ? outcome.record.token : Number.NaN
}

const open = (url: string, prefix: string, more: Partial<ConsulStorage.Options> = {}) =>
  ConsulStorage.make({ url: Redacted.make(url), prefix, operationTimeout: "1 minute", ...more })

const facts = ({ applied, isRetryable, reason }: StorageError) => ({ reason, isRetryable, applied })

await describeServer("ConsulStorage", Shared.consul, (server) => {
  /** Counted on the way. */
  const counting = (prefix: string) =>
    Effect.gen(function* () {
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const { storage, versioned } = yield* open(proxy.url(server.url), prefix)
      const counted = <A, E>(requests: number, self: Effect.Effect<A, E>) =>
        Effect.gen(function* () {
          yield* proxy.resetRoundTrips
          const value = yield* self
          assert.strictEqual(proxy.roundTrips(), requests)
          return value
        })
      return { storage, versioned, counted }
    })

  it.live("a right guess is one request, and a wrong one two", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { counted, storage } = yield* counting(prefix)
      const other = (yield* open(server.url, prefix)).storage
      const mine = yield* counted(1, claim(storage, "a", "me"))
      // A claim that is repeated writes, too.
      yield* counted(1, claim(storage, "a", "me", 30 * second, mine.holdId))
      const deeper = yield* counted(1, claim(storage, "a", "me"))
      yield* counted(1, storage.release({ lockId: "a", holdId: deeper.holdId }))
      yield* counted(1, storage.get("a"))
      yield* counted(1, storage.release({ lockId: "a", holdId: mine.holdId }))
      yield* counted(1, claim(storage, "a", "me", second))
      // Contended: what is not known is tried, and what is known is looked at.
      const theirs = yield* claim(other, "b", "you")
      assert.strictEqual((yield* counted(2, claim(storage, "b", "me"))).outcome._tag, "Held")
      assert.strictEqual((yield* counted(1, claim(storage, "b", "me"))).outcome._tag, "Held")
      // Freed elsewhere: a look, and a write.
      yield* other.release({ lockId: "b", holdId: theirs.holdId })
      assert.strictEqual((yield* counted(2, claim(storage, "b", "me"))).outcome._tag, "Claimed")
      // A lease that was seen to its end is taken over at once.
      yield* claim(other, "c", "you", 50_000)
      assert.strictEqual((yield* claim(storage, "c", "me")).outcome._tag, "Held")
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* counted(1, claim(storage, "c", "me"))).outcome._tag, "Claimed")
    })
  )

  it.live("a thousand renewals are sixteen transactions, and what is gone costs the others no renewal", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { counted, storage } = yield* counting(prefix)
      const held = yield* Effect.forEach(
        Array.from({ length: 1_000 }, (_, n) => `many-${n}`),
        (lockId) =>
          Effect.map(claim(storage, lockId, "me", 600 * second), ({ holdId }) => ({
            lockId,
            holdId,
            lease: 700 * second
          })),
        { concurrency: 16 }
      )
      const answers = yield* counted(16, storage.renew(held))
      assert.isTrue(answers.every((answer) => answer._tag === "Renewed" && answer.validFor > 600 * second))
      // One was deleted, one is another's by now, one was written by hand.
      const other = (yield* open(server.url, prefix)).storage
      yield* server.admin("DELETE", `/v1/kv/${prefix}many-1`)
      yield* other.revoke({
        lockId: "many-2",
        token: (yield* Effect.map(other.get("many-2"), Option.getOrThrow)).record.token,
        when: "now"
      })
      yield* server.admin("PUT", `/v1/kv/${prefix}many-3`, "hello")
      // The transaction, the reads of the three (one by one where one is absent), and the others again.
      const after = yield* storage.renew(held.slice(0, 70))
      assert.deepStrictEqual(
        after.slice(0, 5).map((_) => _._tag),
        ["Renewed", "NotHeld", "NotHeld", "StorageError", "Renewed"]
      )
      assert.isTrue(after.slice(5).every(({ _tag }) => _tag === "Renewed"))
    })
  )

  it.live("ids are in the key as they are where they are plain, and else percent-encoded; the longest, too", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server.url, prefix)
      const ids = [
        "plain-1.x~_",
        "a/b",
        "a//b",
        "/a",
        "é",
        "e\u0301",
        ".",
        "..",
        "...",
        " ",
        "🔒".repeat(127),
        "\u7fff".repeat(340),
        "x".repeat(1_020),
        "\u0001\uffff",
        `'; "\\`,
        "%2F",
        "a\u001fb",
        "(!*')"
      ]
      for (const lockId of ids) assert.strictEqual((yield* claim(storage, lockId, "me")).outcome._tag, "Claimed")
      const fresh = (yield* open(server.url, prefix)).storage
      for (const lockId of ids) {
        assert.strictEqual((yield* claim(fresh, lockId, "you")).outcome._tag, "Held")
        assert.strictEqual((yield* fresh.get(lockId))._tag, "Some")
      }
      const listed = Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId)
      assert.deepStrictEqual(listed.sort(), [...ids].sort())
      assert.strictEqual((yield* server.admin("GET", `/v1/kv/${prefix}plain-1.x~_`)).body.length, 1)
      assert.strictEqual((yield* server.admin("GET", `/v1/kv/${prefix}a%252Fb`)).body[0].Key, `${prefix}a%2Fb`)
    })
  )

  it.live("a list is read in parts, past hundreds; the folder of the user interface is no lock", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      yield* server.admin("PUT", `/v1/kv/${prefix}`, "")
      const { storage } = yield* open(server.url, prefix)
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 0)
      const ids = Array.from({ length: 203 }, (_, n) => `lock-${String(n).padStart(4, "0")}`)
      yield* Effect.forEach(ids, (id) => claim(storage, id, "me", 600 * second), { concurrency: 16 })
      const free = yield* claim(storage, "free", "me")
      yield* storage.release({ lockId: "free", holdId: free.holdId })
      assert.deepStrictEqual(
        Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId),
        ids
      )
    })
  )

  it.live("what is no record of ours is refused, and stays as it is", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server.url, prefix)
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
      for (const [lockId, value] of [
        ["text", "hello"],
        ["empty", ""],
        ["newer", { ...whole, format: 2 }],
        ["odd", { ...whole, token: "7" }]
      ] as const) {
        yield* server.admin("PUT", `/v1/kv/${prefix}${lockId}`, value)
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
        assert.strictEqual((yield* server.admin("GET", `/v1/kv/${prefix}${lockId}`)).body[0].LockIndex, 0)
        assert.deepStrictEqual(
          yield* Effect.map(server.admin("GET", `/v1/kv/${prefix}${lockId}?raw`), (_) => _.body),
          value
        )
      }
    })
  )

  it.live("tokens grow over a record that was deleted by hand, for whoever comes", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage } = yield* open(server.url, prefix)
      const first = yield* claim(storage, "a", "me")
      for (let n = 0; n < 5; n++) yield* storage.renew([{ lockId: "a", holdId: first.holdId, lease: 30 * second }])
      yield* server.admin("DELETE", `/v1/kv/${prefix}a`)
      assert.deepStrictEqual(yield* storage.renew([{ lockId: "a", holdId: first.holdId, lease: second }]), [
        { _tag: "NotHeld" }
      ])
      // Of a process that never saw it.
      const fresh = (yield* open(server.url, prefix)).storage
      const next = yield* claim(fresh, "a", "you")
      assert.isAbove(tokenOf(next.outcome), tokenOf(first.outcome))
    })
  )

  it.live("a record that somebody has deleted is not deleted once more", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { versioned } = yield* open(server.url, prefix)
      const record = {
        kind: "mine",
        format: 1,
        ownerId: "me",
        holds: [],
        token: 1,
        lockBeginTime: 0,
        leaseExpireTime: 0,
        data: "x"
      }
      yield* versioned.create("a", 1, record as never)
      yield* server.admin("DELETE", `/v1/kv/${prefix}a`)
      assert.strictEqual((yield* Effect.flip(versioned.delete("a", 1)))._tag, "VersionMiss")
      yield* versioned.create("a", 1, record as never)
      yield* versioned.delete("a", 1)
      assert.strictEqual((yield* versioned.get("a"))._tag, "None")
    })
  )

  it.live("records too large for one transaction go in several", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const { storage, versioned } = yield* open(server.url, prefix)
      const held = yield* Effect.forEach(["a", "b", "c", "d"], (lockId) =>
        Effect.gen(function* () {
          const { holdId, outcome } = yield* claim(storage, lockId, "me")
          const record = outcome._tag === "Claimed" ? outcome.record : assert.fail()
          yield* versioned.update(lockId, record.version, {
            ...record,
            leaseExpireTime: 30 * second,
            version: record.version + 1,
            data: "x".repeat(150_000)
          })
          return { lockId, holdId, lease: 30 * second }
        })
      )
      assert.deepStrictEqual(
        (yield* storage.renew(held)).map((_) => _._tag),
        held.map(() => "Renewed")
      )
      const [{ lockId }] = held as [(typeof held)[number]]
      const record = yield* Effect.map(versioned.get(lockId), Option.getOrThrow)
      const error = yield* Effect.flip(
        versioned.update(lockId, record.version, { ...record, version: record.version + 1, data: "x".repeat(600_000) })
      )
      assert.deepStrictEqual(facts(error as StorageError), { reason: "TooLarge", isRetryable: false, applied: "no" })
    })
  )

  it.live("only locks that somebody waits for are watched, so many at once, and a release wakes who waits", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const proxy = yield* Proxy.make(server, { protocol: HttpFrames.http })
      const waiter = (yield* open(proxy.url(server.url), prefix, { waits: 2 })).storage
      const { storage } = yield* open(server.url, prefix)
      const mine = yield* Effect.forEach(["a", "b", "c"], (lockId) => claim(storage, lockId, "me"))
      // Nobody listens: a claim in vain opens nothing.
      yield* claim(waiter, "a", "you")
      const before = proxy.connections()
      const waiting = () => proxy.connections() - before
      const woken = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(waiter.wakeUps, (id) => Queue.offer(woken, id)))
      yield* Effect.sleep("50 millis")
      assert.strictEqual(waiting(), 0)
      for (const lockId of ["a", "b", "c", "a"]) yield* claim(waiter, lockId, "you")
      yield* Effect.repeat(Effect.delay(Effect.sync(waiting), "5 millis"), { until: (count) => count === 2 })
      // A renewal wakes nobody, and the watch goes on.
      yield* storage.renew([{ lockId: "a", holdId: mine[0]!.holdId, lease: 30 * second }])
      yield* storage.release({ lockId: "a", holdId: mine[0]!.holdId })
      assert.strictEqual(yield* Queue.take(woken), "a")
      yield* storage.release({ lockId: "c", holdId: mine[2]!.holdId })
      yield* server.admin("DELETE", `/v1/kv/${prefix}b`)
      assert.strictEqual(yield* Queue.take(woken), "b")
      // The third is polled for.
      assert.strictEqual(waiting(), 2)
      assert.strictEqual(Queue.sizeUnsafe(woken), 0)
    })
  )
})
