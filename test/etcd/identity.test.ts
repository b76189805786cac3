/** Which etcd it is that answers: another cluster behind the name, a store that was emptied, restored or cut down by hand, a member that cannot serve. */
import { assert, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Fiber from "#effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "#effect/Schedule"
import { randomBytes } from "node:crypto"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import type { LockLost, StorageError } from "../../src/LockError.js"
import * as Etcd from "../harness/etcd.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Process from "../support/process.js"

const second = 1_000_000
const stubborn = Schedule.max([Schedule.spaced("50 millis"), Schedule.recurs(200)])

const request = (ownerId: string) => ({
  lockId: "a",
  ownerId,
  holdId: randomBytes(16).toString("base64url"),
  lease: 30 * second
})
const open = (...servers: ReadonlyArray<{ readonly host: string; readonly port: number }>) =>
  EtcdStorage.make({
    url: Redacted.make(`etcd://${servers.map(({ host, port }) => `${host}:${port}`).join()}`),
    prefix: "p/",
    operationTimeout: "2 seconds"
  })
const keysOf = (server: Etcd.EtcdServer) =>
  Effect.map(server.admin("kv/range", { ...Etcd.under("p/"), count_only: true }), ({ count }) => Number(count ?? 0))
const put = (server: Etcd.EtcdServer, key: string, value: string) =>
  server.admin("kv/put", { key: Etcd.base64(key), value: Etcd.base64(value) })

/** A name that may lead elsewhere. */
const name = (first: Etcd.EtcdServer) =>
  Effect.gen(function* () {
    const target = { host: first.host, port: first.port }
    const proxy = yield* Proxy.make(target, { protocol: Etcd.grpc })
    const leadTo = (server: Etcd.EtcdServer) =>
      Effect.andThen(
        Effect.sync(() => {
          target.port = server.port
        }),
        proxy.cut
      )
    return { address: { host: "127.0.0.1", port: proxy.port }, leadTo }
  })

const two = Effect.all([Etcd.own("etcd 3.4"), Etcd.own("etcd 3.5")], { concurrency: "unbounded" })

await describeServer("two clusters of etcd", two, ([ours, theirs]) => {
  it.live("a name that leads to another cluster ends holds at their next renewal, and writes nothing there", () =>
    Effect.gen(function* () {
      const { address, leadTo } = yield* name(ours)
      const { storage } = yield* open(address)
      const { locks } = yield* Process.make(storage, { leaseExpireAfter: "30 seconds" })
      const lock = yield* locks.acquire("a", "ada")
      const lost = yield* Effect.forkChild(Effect.flip(lock.lost))
      yield* leadTo(theirs)
      // Its connection is gone: the first request may still be told that.
      yield* Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" }).pipe(
        Effect.ignore
      )
      const error: LockLost = yield* Fiber.join(lost)
      assert.strictEqual(error.reason, "Vanished")
      const refused: ReadonlyArray<Effect.Effect<unknown, StorageError>> = [
        storage.claim(request("bob")),
        storage.get("a"),
        storage.release(request("ada"))
      ]
      for (const attempt of refused) {
        const error = yield* Effect.flip(attempt)
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Schema", false, "no"])
        assert.include(error.message, "another cluster")
      }
      assert.strictEqual(yield* keysOf(theirs), 0)
      // When the name is right again, so is the layer.
      yield* leadTo(ours)
      const outcome = yield* Effect.retry(storage.claim(request("bob")), stubborn)
      assert.strictEqual(outcome._tag, "Held")
      yield* ours.admin("kv/deleterange", Etcd.under("p/"))
    })
  )

  it.live("endpoints of two clusters are refused at the start", () =>
    Effect.gen(function* () {
      const error = (yield* Effect.flip(open(ours, theirs))) as StorageError
      assert.deepStrictEqual([error._tag, error.reason, error.isRetryable], ["StorageError", "Schema", false])
      assert.include(error.message, "another cluster")
      assert.include(error.message, `:${theirs.port}`)
    })
  )

  it.live("one that was down at the start is passed by when it turns out to be of another cluster", () =>
    Effect.gen(function* () {
      const [first, other] = [yield* name(ours), yield* name(theirs)]
      yield* other.leadTo({ ...theirs, port: 1 })
      const { storage } = yield* open(first.address, other.address)
      const held = request("me")
      yield* storage.claim(held)
      yield* other.leadTo(theirs)
      yield* first.leadTo({ ...ours, port: 1 })
      // Ours is down: nobody can say what becomes of the hold.
      for (let i = 0; i < 5; i++) {
        const error = yield* Effect.flip(storage.renew([held]))
        assert.deepStrictEqual([error.reason, error.isRetryable], ["Connection", true])
      }
      yield* first.leadTo(ours)
      const [outcome] = yield* Effect.retry(storage.renew([held]), stubborn)
      assert.strictEqual(outcome!._tag, "Renewed")
      assert.strictEqual(yield* keysOf(theirs), 0)
      yield* storage.release(held)
    })
  )
})

await describeServer("a URL that changes", Shared.etcd, (server) => {
  it.live("is asked for at each new connection, by all at once, and at no other time", () =>
    Effect.gen(function* () {
      const [first, second] = [
        yield* Proxy.make(server, { protocol: Etcd.grpc }),
        yield* Proxy.make(server, { protocol: Etcd.grpc })
      ]
      let url: unknown = Redacted.make(`etcd://127.0.0.1:${first.port}`)
      let asked = 0
      const { storage } = yield* EtcdStorage.make({
        url: async () => {
          asked++
          return url as Redacted.Redacted
        },
        prefix: yield* server.freshPrefix,
        operationTimeout: "2 seconds"
      })
      const held = request("me")
      yield* storage.claim(held)
      yield* storage.renew([held])
      assert.strictEqual(asked, 1)
      yield* first.refuse(true)
      yield* first.cut
      for (const nonsense of [undefined, "etcd://h", Redacted.make("mysql://h"), Redacted.make("etcd://h?a=b")]) {
        url = nonsense
        const error = yield* Effect.flip(Effect.repeat(storage.renew([held]), { schedule: stubborn }))
        assert.deepStrictEqual([error.reason, error.isRetryable], ["Connection", true])
      }
      url = Redacted.make(`etcd://127.0.0.1:${second.port}`)
      const before = asked
      const outcomes = yield* Effect.all(
        Array.from({ length: 8 }, () => storage.renew([held])),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(outcomes.map(([outcome]) => outcome!._tag)), new Set(["Renewed"]))
      assert.strictEqual(asked - before, 1)
      assert.strictEqual(second.accepted(), 1)
    })
  )
})

await describeServer("etcd whose keys are deleted by hand", Shared.etcd, (server) => {
  it.live("a hold is lost at its next renewal, and another may have the lock before; tokens grow", () =>
    Effect.gen(function* () {
      const prefix = yield* server.freshPrefix
      const make = EtcdStorage.make({ url: Redacted.make(server.url), prefix })
      const [mine, yours] = [yield* make, yield* make]
      const { locks } = yield* Process.make(mine.storage, { leaseExpireAfter: "30 seconds" })
      const lock = yield* locks.acquire("a", "ada")
      const lost = yield* Effect.forkChild(Effect.flip(lock.lost))
      yield* server.admin("kv/deleterange", Etcd.under(prefix))
      yield* Effect.ignore(lock.renew)
      const error: LockLost = yield* Fiber.join(lost)
      assert.strictEqual(error.reason, "Vanished")
      // Whoever has spoken to the cluster since.
      yield* yours.storage.get("a")
      const next = yield* yours.storage.claim(request("bob"))
      assert.isAbove(next._tag === "Claimed" ? next.record.token : 0, lock.token)
    })
  )
})

await describeServer("etcd that is restored", Etcd.own("etcd 3.5"), (server) => {
  const anew = Effect.gen(function* () {
    yield* server.erase
    yield* server.start
  })

  it.live("a store that was emptied ends the hold at the next renewal, though its cluster has the same id", () =>
    Effect.gen(function* () {
      const { storage } = yield* open(server)
      const { locks } = yield* Process.make(storage, { leaseExpireAfter: "30 seconds" })
      const lock = yield* locks.acquire("a", "ada")
      const lost = yield* Effect.forkChild(Effect.flip(lock.lost))
      yield* anew
      yield* Effect.retry(lock.renew, { schedule: stubborn, while: (error) => error._tag === "StorageError" }).pipe(
        Effect.ignore
      )
      const error: LockLost = yield* Fiber.join(lost)
      assert.strictEqual(error.reason, "Vanished")
      const next = yield* Effect.retry(storage.claim(request("bob")), stubborn)
      assert.isAbove(next._tag === "Claimed" ? next.record.token : 0, lock.token)
    })
  )

  it.live("a revision that is given again, to another's claim, is not taken for the one that was seen", () =>
    Effect.gen(function* () {
      yield* anew
      const { storage } = yield* open(server)
      const held = request("me")
      yield* storage.claim(held)
      const { kvs } = yield* server.admin("kv/range", { key: Etcd.base64("p/a") })
      yield* anew
      const value = {
        kind: "exclusive",
        format: 1,
        ownerId: "you",
        holds: [request("you").holdId],
        token: 2,
        version: 2,
        lockBeginTime: 0,
        leaseExpireTime: 30 * second,
        data: ""
      }
      yield* put(server, "p/a", JSON.stringify(value))
      const {
        kvs: [now]
      } = yield* server.admin("kv/range", { key: Etcd.base64("p/a") })
      assert.strictEqual(now.mod_revision, kvs[0].mod_revision)
      const [outcome] = yield* Effect.retry(storage.renew([held]), stubborn)
      assert.strictEqual(outcome!._tag, "NotHeld")
      const next = yield* storage.claim(held)
      assert.strictEqual(next._tag === "Held" && next.holder?.ownerId, "you")
    })
  )
})

await describeServer(
  "a cluster with a learner",
  Effect.flatMap(Etcd.own("etcd 3.5"), (voter) =>
    Effect.map(Etcd.learner("etcd 3.5", voter), (learner) => ({ voter, learner }))
  ),
  ({ learner, voter }) => {
    it.live("it is passed by, at the start and later, and alone it is told for what it is", () =>
      Effect.gen(function* () {
        const { storage } = yield* open(learner, voter)
        const held = request("me")
        assert.strictEqual((yield* storage.claim(held))._tag, "Claimed")
        assert.strictEqual((yield* storage.release(held))._tag, "Released")
        const error = (yield* Effect.flip(open(learner))) as StorageError
        assert.deepStrictEqual([error.reason, error.isRetryable, error.applied], ["Connection", true, "no"])
        assert.include(error.message, "learner")
      })
    )
  }
)

await describeServer("a cluster whose members lose each other", Etcd.cluster("etcd 3.5", 3), (members) => {
  it.live("the first request after the failover is served, wherever the layer was", () =>
    Effect.gen(function* () {
      const leader = Effect.gen(function* () {
        for (const member of members) {
          const status = yield* member.admin("maintenance/status", {})
          if (status.leader === status.header.member_id) return member
        }
        return yield* Effect.fail("none")
      }).pipe(Effect.retry(stubborn), Effect.orDie)
      const old = yield* leader
      const others = members.filter((member) => member !== old)
      const { storage } = yield* open(old, ...others)
      const held = request("me")
      yield* storage.claim(held)
      yield* old.kill
      yield* Effect.retry(
        Effect.suspend(() => others[0]!.admin("kv/range", { key: Etcd.base64("x") })).pipe(Effect.sandbox),
        stubborn
      )
      const outcomes = yield* storage.get("a")
      assert.strictEqual(outcomes._tag, "Some")
      const [renewed] = yield* storage.renew([held])
      assert.strictEqual(renewed!._tag, "Renewed")
      yield* old.start
    })
  )
})
