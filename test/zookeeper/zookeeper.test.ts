/** What the conformance kit does not see of ZookeeperStorage: requests, nodes, many at once, wake-ups, tokens, and what is no record of ours. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import type { StorageError } from "../../src/LockError.js"
import type * as LockRecord from "../../src/LockRecord.js"
import type * as Storage from "../../src/Storage.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Zookeeper from "../harness/zookeeper.js"
import * as Nodes from "../support/zookeeperNodes.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000

const claim = (storage: Storage.Service, lockId: string, ownerId: string, lease = 30 * second, holdId = hold()) =>
  Effect.map(storage.claim({ lockId, ownerId, holdId, lease }), (outcome) => ({ outcome, holdId }))

const tokenOf = (outcome: LockRecord.ClaimOutcome): number => {
  assert.strictEqual(outcome._tag, "Claimed")
  return outcome._tag === "Claimed" ? outcome.record.token : Number.NaN
}

const open = (url: string, root: string, more: Partial<ZookeeperStorage.Options> = {}) =>
  ZookeeperStorage.make({ url: Redacted.make(url), root, operationTimeout: "1 minute", ...more })

const facts = ({ applied, isRetryable, reason }: StorageError) => ({ reason, isRetryable, applied })

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

await describeServer("ZookeeperStorage", Shared.zookeeper, (server) => {
  /** Flights and requests, counted on the way. */
  const counting = (root: string) =>
    Effect.gen(function* () {
      const requests = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      const flights = yield* Proxy.make({ host: "127.0.0.1", port: requests.port }, { protocol: Zookeeper.flights })
      const { storage, versioned } = yield* open(`zookeeper://127.0.0.1:${flights.port}`, root)
      const counted = <A, E>(
        expected: readonly [flights: number | undefined, requests: number],
        self: Effect.Effect<A, E>
      ) =>
        Effect.gen(function* () {
          yield* flights.resetRoundTrips
          yield* requests.resetRoundTrips
          const value = yield* self
          const [first = flights.roundTrips(), all] = expected
          assert.deepStrictEqual([flights.roundTrips(), requests.roundTrips()], [first, all])
          return value
        })
      return { storage, versioned, counted }
    })

  it.live("a right guess is one flight, of a change and a read, and a wrong one two", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { counted, storage } = yield* counting(root)
      const other = (yield* open(server.url, root)).storage
      const mine = yield* counted([1, 2], claim(storage, "a", "me"))
      // A claim that is repeated writes, too.
      yield* counted([1, 2], claim(storage, "a", "me", 30 * second, mine.holdId))
      const deeper = yield* counted([1, 2], claim(storage, "a", "me"))
      yield* counted([1, 2], storage.release({ lockId: "a", holdId: deeper.holdId }))
      yield* counted([1, 2], storage.get("a"))
      yield* counted([1, 2], storage.renew([{ lockId: "a", holdId: mine.holdId, lease: 30 * second }]))
      yield* counted([1, 2], storage.release({ lockId: "a", holdId: mine.holdId }))
      yield* counted([1, 2], claim(storage, "a", "me", second))
      // Contended: what is not known is tried, and what is known is looked at.
      const theirs = yield* claim(other, "b", "you")
      assert.strictEqual((yield* counted([1, 2], claim(storage, "b", "me"))).outcome._tag, "Held")
      const before = yield* (yield* Nodes.make(server)).get(`${root}/${Nodes.nameOf("b")}`)
      assert.strictEqual((yield* counted([1, 2], claim(storage, "b", "me"))).outcome._tag, "Held")
      assert.deepStrictEqual(yield* (yield* Nodes.make(server)).get(`${root}/${Nodes.nameOf("b")}`), before)
      // Freed elsewhere: a look, and a write.
      yield* other.release({ lockId: "b", holdId: theirs.holdId })
      assert.strictEqual((yield* counted([2, 4], claim(storage, "b", "me"))).outcome._tag, "Claimed")
      // A lease that was seen to its end is taken over at once.
      yield* claim(other, "c", "you", 50_000)
      assert.strictEqual((yield* claim(storage, "c", "me")).outcome._tag, "Held")
      yield* Effect.sleep("100 millis")
      assert.strictEqual((yield* counted([1, 2], claim(storage, "c", "me"))).outcome._tag, "Claimed")
    })
  )

  it.live(
    "a thousand renewals are a request each, a hundred under way, and what is gone costs the others nothing",
    () =>
      Effect.gen(function* () {
        const root = yield* server.freshRoot
        const { counted, storage } = yield* counting(root)
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
        const answers = yield* counted([undefined, 1_000], storage.renew(held))
        assert.isTrue(answers.every((answer) => answer._tag === "Renewed" && answer.validFor > 600 * second))
        // One was emptied, one is another's by now, one was written by hand.
        const other = (yield* open(server.url, root)).storage
        const nodes = yield* Nodes.make(server)
        yield* nodes.set(`${root}/${Nodes.nameOf("many-1")}`, "", 1)
        yield* other.revoke({
          lockId: "many-2",
          token: (yield* Effect.map(other.get("many-2"), Option.getOrThrow)).record.token,
          when: "now"
        })
        yield* nodes.set(`${root}/${Nodes.nameOf("many-3")}`, "hello", 1)
        // All writes, and then a sync and the reads of the three.
        const after = yield* counted([undefined, 74], storage.renew(held.slice(0, 70)))
        assert.deepStrictEqual(
          after.slice(0, 5).map((_) => _._tag),
          ["Renewed", "NotHeld", "NotHeld", "StorageError", "Renewed"]
        )
        assert.isTrue(after.slice(5).every(({ _tag }) => _tag === "Renewed"))
      })
  )

  it.live("any id is the name of one node, and comes back whole; the longest, too", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage } = yield* open(server.url, root)
      const ids = [
        "plain-1.x~_",
        "a/b",
        "/a",
        "é",
        "e\u0301",
        ".",
        "..",
        " ",
        "zookeeper",
        "🔒".repeat(127),
        "\u7fff".repeat(340),
        "x".repeat(1_020),
        "\u0001\uffff\ue000",
        `'; "\\`,
        "a\u001fb"
      ]
      for (const lockId of ids) assert.strictEqual((yield* claim(storage, lockId, "me")).outcome._tag, "Claimed")
      const fresh = (yield* open(server.url, root)).storage
      for (const lockId of ids) {
        assert.strictEqual((yield* claim(fresh, lockId, "you")).outcome._tag, "Held")
        assert.strictEqual((yield* fresh.get(lockId))._tag, "Some")
      }
      const listed = Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId)
      assert.deepStrictEqual(listed.sort(), [...ids].sort())
      const nodes = yield* Nodes.make(server)
      assert.sameMembers([...((yield* nodes.children(root)) as ReadonlyArray<string>)], ids.map(Nodes.nameOf))
    })
  )

  it.live("a list is read in parts, past hundreds, without what is free", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage } = yield* open(server.url, root)
      assert.strictEqual((yield* Stream.runCollect(storage.list)).length, 0)
      const ids = Array.from({ length: 1_003 }, (_, n) => `lock-${String(n).padStart(4, "0")}`)
      yield* Effect.forEach(ids, (id) => claim(storage, id, "me", 600 * second), { concurrency: 16 })
      const free = yield* claim(storage, "free", "me")
      yield* storage.release({ lockId: "free", holdId: free.holdId })
      assert.sameMembers(
        Array.from(yield* Stream.runCollect(storage.list), ({ record }) => record.lockId),
        ids
      )
    })
  )

  it.live("what is no record of ours is refused, and stays as it is", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage } = yield* open(server.url, root)
      const nodes = yield* Nodes.make(server)
      for (const [lockId, text] of [
        ["text", "hello"],
        ["newer", JSON.stringify({ ...whole, format: 2 })],
        ["odd", JSON.stringify({ ...whole, token: "7" })]
      ] as const) {
        const path = `${root}/${Nodes.nameOf(lockId)}`
        yield* nodes.create(path, text)
        const attempts: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
          storage.claim({ lockId, ownerId: "me", holdId: hold(), lease: second }),
          storage.get(lockId),
          storage.release({ lockId, holdId: hold() }),
          storage.revoke({ lockId, token: 7, when: "now" }),
          Stream.runCollect(storage.list)
        ]
        for (const attempt of attempts) {
          const error = yield* Effect.flip(attempt)
          assert.deepStrictEqual(facts(error), { reason: "Schema", isRetryable: false, applied: "no" })
          assert.strictEqual(error.message.includes("update effect-storage-lock"), lockId === "newer")
        }
        const found = yield* nodes.get(path)
        assert.deepStrictEqual(typeof found === "number" ? found : [found.text, found.version], [text, 0])
        yield* nodes.erase(path)
      }
      yield* nodes.create(`${root}/no lock`)
      const error = yield* Effect.flip(Stream.runCollect(storage.list))
      assert.strictEqual(error.reason, "Schema")
      assert.include(error.message, "no lock")
    })
  )

  it.live("an empty node is that of a lock that nobody has, and its tokens go on", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage } = yield* open(server.url, root)
      const fresh = (yield* open(server.url, root)).storage
      const nodes = yield* Nodes.make(server)
      const first = yield* claim(storage, "a", "me")
      const path = `${root}/${Nodes.nameOf("a")}`
      const found = yield* nodes.get(path)
      yield* nodes.set(path, "", typeof found === "number" ? found : found.version)
      assert.deepStrictEqual(yield* storage.renew([{ lockId: "a", holdId: first.holdId, lease: second }]), [
        { _tag: "NotHeld" }
      ])
      const next = yield* claim(fresh, "a", "you")
      assert.isAbove(tokenOf(next.outcome), tokenOf(first.outcome))
    })
  )

  it.live("a node that was deleted by hand, and recreated, is told from the one that it was", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage } = yield* open(server.url, root)
      const nodes = yield* Nodes.make(server)
      const path = `${root}/${Nodes.nameOf("a")}`
      const first = yield* claim(storage, "a", "me")
      const request = { lockId: "a", holdId: first.holdId, lease: 30 * second }
      yield* nodes.erase(path)
      assert.deepStrictEqual(yield* storage.renew([request]), [{ _tag: "NotHeld" }])
      const later = yield* claim(storage, "a", "me")
      assert.isAbove(tokenOf(later.outcome), tokenOf(first.outcome))
      // At the very version that is remembered: what is written over it is told, as nothing else can be done.
      yield* nodes.erase(path)
      yield* nodes.create(path, JSON.stringify(whole))
      const error = yield* Effect.flip(storage.renew([{ ...request, holdId: later.holdId }]))
      assert.deepStrictEqual(facts(error), { reason: "Schema", isRetryable: false, applied: "unknown" })
    })
  )

  it.live("a record that is too large is refused before it ends the connection", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const { storage, versioned } = yield* open(server.url, root)
      yield* claim(storage, "a", "me")
      const record = Option.getOrThrow(yield* versioned.get("a"))
      const larger = (length: number) =>
        versioned.update("a", record.version, { ...record, version: record.version + 1, data: "x".repeat(length) })
      const error = yield* Effect.flip(larger(1_000_000))
      assert.deepStrictEqual(facts(error as StorageError), { reason: "TooLarge", isRetryable: false, applied: "no" })
      yield* larger(999_000)
    })
  )

  it.live("one watch wakes who waits, for the locks that somebody waits for, and for no renewal", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      const waiter = (yield* open(`zookeeper://127.0.0.1:${proxy.port}`, root)).storage
      const { storage } = yield* open(server.url, root)
      const mine = yield* Effect.forEach(["a", "b", "c"], (lockId) => claim(storage, lockId, "me"))
      yield* claim(waiter, "a", "you")
      // Nobody listens: a claim in vain opens nothing.
      assert.strictEqual(proxy.connections(), 1)
      const woken = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(waiter.wakeUps, (id) => Queue.offer(woken, id)))
      assert.strictEqual(yield* Queue.take(woken), "all")
      assert.strictEqual(proxy.connections(), 2)
      yield* claim(waiter, "b", "you")
      yield* proxy.resetRoundTrips
      yield* storage.renew([{ lockId: "a", holdId: mine[0]!.holdId, lease: 30 * second }])
      // Nobody waits for it: it is not even read.
      yield* storage.release({ lockId: "c", holdId: mine[2]!.holdId })
      yield* storage.release({ lockId: "b", holdId: mine[1]!.holdId })
      assert.strictEqual(yield* Queue.take(woken), "b")
      yield* storage.release({ lockId: "a", holdId: mine[0]!.holdId })
      assert.strictEqual(yield* Queue.take(woken), "a")
      assert.isAtMost(proxy.roundTrips(), 3)
      assert.strictEqual(Queue.sizeUnsafe(woken), 0)
    })
  )
})
