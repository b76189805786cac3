/** The whole suite on Valkey and on a Cluster. */
import { afterAll, assert, beforeAll, it } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "#effect/Stream"
import { Cluster, type ClusterOptions } from "ioredis"
import { randomBytes } from "node:crypto"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import type * as Storage from "../../src/Storage.js"
import * as VersionedStore from "../../src/VersionedStore.js"
import * as Conformance from "../../src/testing/index.js"
import * as Redis from "../harness/redis.js"
import { describeServer } from "../harness/server.js"

const hooks = { shiftClient: Conformance.shiftDate }

/** By either port. */
const suites = (
  native: () => Layer.Layer<Storage.Storage, unknown>,
  versioned: () => Layer.Layer<VersionedStore.VersionedStore, unknown>
) => {
  Conformance.suite({ name: "by its own port", effort: 0.3, layer: Layer.suspend(native), hooks })
  Conformance.suite({
    name: "over compare-and-set",
    effort: 0.2,
    layer: Layer.suspend(() => Layer.provide(VersionedStore.layerStorage(), versioned())),
    hooks
  })
}

await describeServer("RedisStorage on Valkey", Redis.start("Valkey"), (server) => {
  const options = { url: Redacted.make(server.url) }
  suites(
    () => RedisStorage.layer(options),
    () => RedisStorage.layerVersioned(options)
  )
})

const clusterOf = ({ nodes }: Redis.RedisCluster, options: ClusterOptions = {}) =>
  new Cluster(
    nodes.map(({ host, port }) => ({ host, port })),
    options
  )

await describeServer("RedisStorage on a Cluster", Redis.startCluster("Redis"), (server) => {
  let client: Cluster
  beforeAll(() => {
    client = clusterOf(server, { enableAutoPipelining: true })
  })
  afterAll(() => client.disconnect())
  suites(
    () => RedisStorage.layerFromClient({ client }),
    () => RedisStorage.layerVersionedFromClient({ client })
  )
})

await describeServer("a Cluster", Redis.startCluster("Redis"), (server) => {
  it.live(
    "what is asked at once of locks in one slot is one script, and of others one for each; who fails does so alone",
    () =>
      Effect.gen(function* () {
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => clusterOf(server)),
          (client) => Effect.sync(() => client.disconnect())
        )
        const { storage } = yield* RedisStorage.makeFromClient({ client, prefix: "grouped:", notify: false })
        const scripts = Effect.map(
          Effect.forEach(server.nodes, (node) => node.admin("INFO", "commandstats")),
          (all) =>
            all.reduce<number>(
              (sum, stats) => sum + Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(stats))?.[1] ?? 0),
              0
            )
        )
        const ids = ["a{x}", "a{y}", "{x}b", "{}x", "{}y", "foreign{x}", "c{x}{y}", "c{y}{x}", "plain"]
        const claim = (lockId: string) =>
          Effect.result(storage.claim({ lockId, ownerId: "me", holdId: `of ${lockId}`, lease: 60_000_000 }))
        const release = (lockId: string) => Effect.result(storage.release({ lockId, holdId: `of ${lockId}` }))
        const all = <A, E>(ask: (lockId: string) => Effect.Effect<A, E>) =>
          Effect.forEach(ids, ask, { concurrency: "unbounded" })
        // The nodes learn the script.
        yield* all(release)
        const key = "grouped:foreign{x}"
        yield* Effect.promise(() => client.hset(key, "a", "b"))
        const before = yield* scripts
        const claims = yield* all(claim)
        // {x}, {y}, three by themselves. What is nobody's lock is told so in its group.
        assert.strictEqual((yield* scripts) - before, 5)
        const releases = yield* all(release)
        assert.strictEqual((yield* scripts) - before, 10)
        for (const [i, lockId] of ids.entries()) {
          const [claimed, released] = [claims[i]!, releases[i]!]
          if (lockId === "foreign{x}") {
            assert(claimed._tag === "Failure" && released._tag === "Failure")
            assert.match(claimed.failure.message, /not a record of a lock/)
            assert.match(released.failure.message, /not a record of a lock/)
          } else {
            assert(claimed._tag === "Success" && claimed.success._tag === "Claimed")
            assert.strictEqual(claimed.success.record.lockId, lockId)
            assert(released._tag === "Success")
            assert.deepStrictEqual(released.success, { _tag: "Released", remaining: 0 })
          }
        }
        yield* Effect.promise(() => client.del(key))
      })
  )

  it.live(
    "locks of all nodes are renewed, listed, purged and told of, and what a dead node has is not left out in silence",
    () =>
      Effect.gen(function* () {
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => clusterOf(server)),
          (client) => Effect.sync(() => client.disconnect())
        )
        const { storage } = yield* RedisStorage.makeFromClient({ client, operationTimeout: "2 seconds" })
        const heard: Array<string> = []
        yield* storage.wakeUps.pipe(
          Stream.runForEach((hint) => Effect.sync(() => heard.push(hint))),
          Effect.forkScoped
        )
        const hears = (count: number) =>
          Effect.repeat(
            Effect.delay(
              Effect.sync(() => heard.length),
              "10 millis"
            ),
            { until: (length) => length === count }
          ).pipe(Effect.timeout("4 minutes"))
        yield* hears(1)

        const ids = Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? `{same}${i}` : `lock-${i}`))
        const holds = yield* Effect.forEach(
          ids,
          (lockId) => {
            const request = { lockId, ownerId: "me", holdId: randomBytes(16).toString("base64url"), lease: 60_000_000 }
            return Effect.as(storage.claim(request), request)
          },
          { concurrency: 8 }
        )
        for (const node of server.nodes) {
          const keys: ReadonlyArray<string> = yield* node.admin("KEYS", "storage-lock:*")
          assert.isAbove(keys.length, 5)
          assert.isBelow(keys.length, 40)
        }
        const outcomes = yield* storage.renew([
          ...holds,
          { ...holds[0]!, holdId: "other" },
          { lockId: "none", holdId: "none", lease: 1_000 }
        ])
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) => _tag),
          [...ids.map(() => "Renewed"), "NotHeld", "NotHeld"]
        )
        assert.isTrue(outcomes[40]!._tag === "NotHeld" && outcomes[40]!.current?.lockId === ids[0])
        const listed = Effect.map(Stream.runCollect(storage.list), (all) =>
          Array.from(all, ({ record }) => record.lockId).sort()
        )
        assert.deepStrictEqual(yield* listed, [...ids].sort())
        for (const request of holds) yield* storage.release(request)
        yield* hears(41)
        assert.deepStrictEqual(heard.slice(1).sort(), [...ids].sort())
        const old = "for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('HSET', key, 'expires', '1') end"
        for (const node of server.nodes) yield* node.admin("EVAL", old, 0)
        assert.strictEqual(yield* storage.purge(0), 40)

        const again = yield* Effect.forEach(
          ids,
          (lockId) => {
            const request = { lockId, ownerId: "me", holdId: randomBytes(16).toString("base64url"), lease: 60_000_000 }
            return Effect.as(storage.claim(request), request)
          },
          { concurrency: 8 }
        )
        const [first, second] = server.nodes
        const prefix = "storage-lock:"
        const alive = new Set(
          ((yield* first.admin("KEYS", `${prefix}*`)) as ReadonlyArray<string>).map((key) => key.slice(prefix.length))
        )
        yield* second!.kill
        // Whose node is gone is told so; the others keep theirs.
        const answers = yield* storage.renew(again)
        assert.deepStrictEqual(
          answers.map(({ _tag }) => _tag),
          ids.map((id) => (alive.has(id) ? "Renewed" : "StorageError"))
        )
        const error = yield* Effect.flip(Stream.runCollect(storage.list))
        assert.deepInclude(error, { _tag: "StorageError", isRetryable: true })
      })
  )
})
