/** What ZookeeperStorage makes of servers and links that fail, of wake-ups that are not to be had, of a root that is gone or another one, and of an ensemble that went back. */
import { assert, it } from "#harness/vitest"
import * as Duration from "#effect/Duration"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Queue from "#effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import * as Stream from "#effect/Stream"
import { randomBytes } from "node:crypto"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import type { StorageError } from "../../src/LockError.js"
import * as Storage from "../../src/Storage.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, freePort } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Zookeeper from "../harness/zookeeper.js"
import { at, heard } from "../support/logged.js"
import * as Process from "../support/process.js"
import * as Nodes from "../support/zookeeperNodes.js"

const hold = () => randomBytes(16).toString("base64url")
const second = 1_000_000
const stubborn = Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(600)])

const request = (lockId: string, ownerId: string, lease = 60 * second) => ({ lockId, ownerId, holdId: hold(), lease })

const facts = (error: unknown) => {
  const { _tag, applied, isRetryable, reason } = error as StorageError
  assert.strictEqual(_tag, "StorageError", String(error))
  return { reason, isRetryable, applied }
}

const open = (hosts: string, root: string, more: Partial<ZookeeperStorage.Options> = {}) =>
  ZookeeperStorage.make({ url: Redacted.make(`zookeeper://${hosts}`), root, ...more })

const local = (port: number) => `127.0.0.1:${port}`

await describeServer("ZookeeperStorage", Shared.zookeeper, (server) => {
  const direct = `${server.host}:${server.port}`

  it.live("a server that is dead or hangs is passed over, at the start and later", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      yield* proxy.hang(true)
      const { storage } = yield* open(`${local(yield* freePort)},${local(proxy.port)},${direct}`, root, {
        operationTimeout: "20 seconds"
      })
      assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Claimed")
    })
  )

  it.live("one that hangs alone costs no more than the caller's time, also at the start", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      const { storage } = yield* open(local(proxy.port), root)
      yield* proxy.hang(true)
      const limited = <A, E>(self: Effect.Effect<A, E>) =>
        Effect.provideService(self, Storage.TimeLimit, Duration.millis(300))
      const error = yield* Effect.flip(limited(storage.claim(request("a", "me"))))
      assert.deepStrictEqual(facts(error), { reason: "Timeout", isRetryable: true, applied: "unknown" })
      assert.deepStrictEqual(facts(yield* Effect.flip(limited(storage.get("a")))), {
        reason: "Timeout",
        isRetryable: true,
        applied: "no"
      })
      const start = yield* Effect.flip(open(local(proxy.port), root, { operationTimeout: "300 millis" }))
      assert.deepStrictEqual(facts(start), { reason: "Timeout", isRetryable: true, applied: "no" })
      yield* proxy.hang(false)
      assert.strictEqual((yield* storage.claim(request("b", "me")))._tag, "Claimed")
    })
  )

  it.live("a release whose reply was lost, and its connection with it, is settled within the call", () =>
    Effect.gen(function* () {
      const root = yield* server.freshRoot
      const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
      const { storage } = yield* open(local(proxy.port), root)
      const mine = request("a", "me")
      const first = yield* storage.claim(mine)
      yield* proxy.dropNextReply
      assert.deepStrictEqual(yield* storage.release(mine), { _tag: "Released", remaining: 0 })
      assert.strictEqual(proxy.dropped(), 1)
      // A claim writes once more, so its lease is the whole one.
      yield* proxy.dropNextReply
      const claimed = yield* storage.claim(mine)
      assert.deepStrictEqual(
        claimed._tag === "Claimed" ? [claimed.record.holds, claimed.record.version] : claimed._tag,
        [[mine.holdId], first._tag === "Claimed" ? first.record.version + 3 : 0]
      )
    })
  )

  it.live("wake-ups that are not to be had are one warning; they come back by themselves", () =>
    heard((lines) =>
      Effect.gen(function* () {
        const root = yield* server.freshRoot
        const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
        const { storage } = yield* open(local(proxy.port), root)
        const other = (yield* open(direct, root)).storage
        const theirs = request("a", "you")
        yield* other.claim(theirs)
        yield* proxy.refuse(true)
        const woken = yield* Queue.unbounded<string>()
        yield* Effect.forkScoped(Stream.runForEach(storage.wakeUps, (id) => Queue.offer(woken, id)))
        yield* Effect.repeat(
          Effect.delay(
            Effect.sync(() => at(lines, "Warning").length),
            "5 millis"
          ),
          { until: (count) => count > 0 }
        )
        assert.match(at(lines, "Warning")[0]!.message, /no wake-ups for now/)
        assert.strictEqual((yield* storage.claim(request("a", "me")))._tag, "Held")
        yield* proxy.refuse(false)
        assert.strictEqual(yield* Queue.take(woken), "all")
        yield* other.release(theirs)
        assert.strictEqual(yield* Queue.take(woken), "a")
        assert.strictEqual(at(lines, "Warning").length, 1)
      })
    )
  )

  it.live(
    "a root that is deleted, or recreated, ends holds at their next renewal, and everything else is refused",
    () =>
      Effect.gen(function* () {
        const nodes = yield* Nodes.make(server)
        for (const again of [false, true]) {
          const root = yield* server.freshRoot
          const proxy = yield* Proxy.make(server, { protocol: Zookeeper.protocol })
          const { storage } = yield* open(local(proxy.port), root)
          const mine = request("a", "me")
          yield* storage.claim(mine)
          yield* nodes.erase(`${root}/${Nodes.nameOf("a")}`)
          yield* nodes.erase(root)
          if (again) yield* nodes.create(root)
          // On a new connection it is looked at; on the old one the first write into it says so.
          if (again) yield* proxy.cut
          assert.deepStrictEqual(
            yield* Effect.retry(storage.renew([mine]), { schedule: stubborn, while: (error) => error.isRetryable }),
            [{ _tag: "NotHeld" }]
          )
          const error = yield* Effect.flip(storage.claim(request("a", "you")))
          assert.deepStrictEqual(facts(error), { reason: "Schema", isRetryable: false, applied: "no" })
          assert.include(error.message, again ? "another one" : "is gone")
          assert.deepStrictEqual(yield* nodes.children(root), again ? [] : -101)
        }
      })
  )
})

const two = Effect.all([Zookeeper.own, Zookeeper.own], { concurrency: "unbounded" })

await describeServer("two ensembles of ZooKeeper", two, ([ours, theirs]) => {
  it.live("a name that leads to another ensemble ends holds at their next renewal, and writes nothing there", () =>
    Effect.gen(function* () {
      const nodes = yield* Nodes.make(theirs)
      for (const hasRoot of [false, true]) {
        const root = yield* ours.freshRoot
        const target = { host: ours.host, port: ours.port }
        const proxy = yield* Proxy.make(target, { protocol: Zookeeper.protocol })
        const { storage } = yield* open(local(proxy.port), root)
        const { locks } = yield* Process.make(storage, { leaseExpireAfter: "30 seconds" })
        const lock = yield* locks.acquire("a", "ada")
        if (hasRoot) yield* open(`${theirs.host}:${theirs.port}`, root)
        const lost = yield* Effect.forkChild(Effect.flip(lock.lost))
        target.port = theirs.port
        yield* proxy.cut
        yield* Effect.ignore(
          Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" })
        )
        assert.strictEqual((yield* Fiber.join(lost)).reason, "Vanished")
        const error = yield* Effect.flip(storage.claim(request("a", "you")))
        assert.deepStrictEqual(facts(error), { reason: "Schema", isRetryable: false, applied: "no" })
        assert.deepStrictEqual(yield* nodes.children(root), hasRoot ? [] : -101)
        // And back again.
        target.port = ours.port
        yield* proxy.cut
        assert.strictEqual((yield* Effect.retry(storage.get("a"), stubborn))._tag, "Some")
      }
    })
  )

  it.live("one that was restored is noticed: leases are observed from scratch, and tokens go on growing", () =>
    Effect.gen(function* () {
      const root = yield* ours.freshRoot
      const { storage } = yield* open(`${ours.host}:${ours.port}`, root, { operationTimeout: "20 seconds" })
      const lease = second / 2
      const { storage: other } = yield* open(`${ours.host}:${ours.port}`, root, { operationTimeout: "20 seconds" })
      yield* other.claim(request("a", "old", lease))
      // From now on it is observed.
      yield* storage.get("a")
      yield* ours.backup
      yield* ours.start
      const again = <A>(self: Effect.Effect<A, StorageError>) => Effect.retry(self, stubborn)
      for (let n = 0; n < 40; n++) yield* again(other.claim(request(`b-${n}`, "you")))
      yield* again(storage.get("b-39"))
      const highest = yield* again(other.claim(request("c", "you")))
      yield* Effect.sleep("600 millis")
      yield* ours.restore
      yield* ours.start
      yield* again(storage.get("b-39"))
      // It was seen for its whole lease, in what is past.
      assert.strictEqual((yield* again(storage.claim(request("a", "me", lease))))._tag, "Held")
      yield* Effect.sleep("600 millis")
      const taken = yield* again(storage.claim(request("a", "me", lease)))
      assert.strictEqual(taken._tag, "Claimed")
      const next = yield* again(other.claim(request("c", "me")))
      assert.isTrue(highest._tag === "Claimed" && next._tag === "Claimed" && next.record.token > highest.record.token)
    })
  )
})
