/** Redis keeps every promise: over a connection of its own, by the program's client, and over compare-and-set. Valkey and a Cluster: `redisReleases.test.ts`. */
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import { Redis as Client } from "ioredis"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import { VersionedStore } from "../../src/index.js"
import * as Conformance from "../../src/testing/index.js"
import * as Proxy from "../harness/proxy.js"
import * as Redis from "../harness/redis.js"
import { resource } from "../harness/resource.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"

const shiftClient = Conformance.shiftDate

const between =
  (begin: Effect.Effect<unknown>, end: Effect.Effect<unknown>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      begin,
      () => effect,
      () => end
    )
const prefix = "storage-lock-conformance{1}:"

await describeServer("RedisStorage on a server of its own", Redis.own, (server) => {
  const proxy = resource(Proxy.make(server, { protocol: "bytes" }))
  Conformance.suite({
    name: "over a link that fails",
    layer: Layer.suspend(() => RedisStorage.layer({ url: Redacted.make(proxy().url(server.url)), prefix })),
    versioned: RedisStorage.layerVersioned({ url: Redacted.make(server.url), prefix }),
    wakesUp: true,
    hooks: {
      shiftClient,
      loseReply: Effect.suspend(() => proxy().dropNextReply),
      hang: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => proxy().hang(true)),
          () => effect,
          () => proxy().hang(false)
        ),
      // As a power cut, not in order: what was acknowledged is there afterwards.
      restart: Effect.andThen(server.kill, server.start),
      breakHints: between(
        server.admin("ACL", "SETUSER", "default", "-publish"),
        server.admin("ACL", "SETUSER", "default", "+publish")
      ),
      refuseWrites: between(
        server.admin("CONFIG", "SET", "maxmemory", "1"),
        server.admin("CONFIG", "SET", "maxmemory", "0")
      )
    }
  })
})

await describeServer("RedisStorage on the shared server", Shared.redis, (server) => {
  const client = resource(
    Effect.acquireRelease(
      Effect.sync(() => new Client(server.url, { keyPrefix: "app?[]*:", enableAutoPipelining: true })),
      (client) => Effect.sync(() => client.disconnect())
    )
  )
  Conformance.suite({
    name: "RedisStorage.layerFromClient",
    effort: 0.2,
    layer: Layer.suspend(() => RedisStorage.layerFromClient({ client: client(), prefix })),
    hooks: {
      shiftClient,
      inTransaction: (effect) =>
        Effect.acquireUseRelease(
          Effect.promise(() => client().multi({ pipeline: false })),
          () => effect,
          () => Effect.promise(() => client().discard())
        )
    }
  })
  Conformance.suite({
    name: "RedisStorage.layerVersioned, over compare-and-set",
    effort: 0.2,
    versioned: RedisStorage.layerVersioned({ url: Redacted.make(server.url), prefix: "storage-lock-versioned:" }),
    layer: Layer.suspend(() =>
      Layer.provide(
        VersionedStore.layerStorage(),
        RedisStorage.layerVersioned({ url: Redacted.make(server.url), prefix: "storage-lock-versioned:" })
      )
    ),
    hooks: { shiftClient }
  })
})

await describeServer("RedisStorage on Redis 8", Redis.start("Redis 8"), (server) => {
  const options = { url: Redacted.make(server.url) }
  Conformance.suite({
    name: "by its own port",
    effort: 0.5,
    layer: RedisStorage.layer(options),
    versioned: RedisStorage.layerVersioned(options),
    hooks: { shiftClient }
  })
  Conformance.versionedSuite({ name: "by the smaller port", layer: RedisStorage.layerVersioned(options) })
})
