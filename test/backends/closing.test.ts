/** A layer that closes while its network is dead leaves no socket: one would hold the process up, or pile up in it, for as long as nobody hangs up. */
import { assert, it } from "#harness/vitest"
import * as Context from "#effect/Context"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import * as Stream from "#effect/Stream"
import { randomUUID } from "node:crypto"
import * as Net from "node:net"
import * as ElasticsearchStorage from "../../src/backends/elasticsearch/ElasticsearchStorage.js"
import * as CassandraStorage from "../../src/backends/cassandra/CassandraStorage.js"
import * as ConsulStorage from "../../src/backends/consul/ConsulStorage.js"
import * as SplunkStorage from "../../src/backends/splunk/SplunkStorage.js"
import * as DynamoDbStorage from "../../src/backends/dynamodb/DynamoDbStorage.js"
import * as EtcdStorage from "../../src/backends/etcd/EtcdStorage.js"
import * as MongoStorage from "../../src/backends/mongo/MongoStorage.js"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import * as ZookeeperStorage from "../../src/backends/zookeeper/ZookeeperStorage.js"
import * as Storage from "../../src/Storage.js"
import { http } from "../harness/httpFrames.js"
import type * as Instance from "../harness/instance.js"
import * as Mongo from "../harness/mongo.js"
import { cql } from "../harness/cqlFrames.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer, type ServerUnavailable } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Splunk from "../harness/splunk.js"

/** The sockets that lead to this port and hold this process up. Node.js documents no way to ask for them. */
const socketsTo = (port: number): number => {
  const { _getActiveHandles } = process as unknown as { readonly _getActiveHandles: () => ReadonlyArray<unknown> }
  return _getActiveHandles.call(process).filter((handle) => handle instanceof Net.Socket && handle.remotePort === port)
    .length
}

const suite = (
  name: string,
  server: Effect.Effect<Instance.Address & { readonly url: string }, ServerUnavailable, Scope.Scope>,
  layer: (url: Redacted.Redacted) => Layer.Layer<Storage.Storage, unknown>,
  protocol: Proxy.Options["protocol"] = "bytes"
) =>
  describeServer(`the end of ${name}`, server, (server) => {
    it.live.each([["idle"], ["waiting for an answer"], ["waiting to be woken"]] as const)(
      "closes all its sockets on a network that is dead, when it is %s",
      ([how]) =>
        Effect.gen(function* () {
          const proxy = yield* Proxy.make(server, { protocol })
          yield* Effect.scoped(
            Effect.gen(function* () {
              const built = yield* Layer.build(layer(Redacted.make(proxy.url(server.url))))
              const storage = Context.get(built, Storage.Storage)
              yield* storage.get("nothing")
              const before = proxy.connections()
              assert.isAbove(before, 0)
              if (how === "waiting to be woken") {
                yield* Effect.forkScoped(Stream.runDrain(storage.wakeUps))
                const claim = { lockId: randomUUID(), lease: 60_000_000 }
                for (const ownerId of ["ada", "bob"]) yield* storage.claim({ ...claim, ownerId, holdId: ownerId })
                // A storage may use the connections that it has.
                yield* Effect.sync(() => proxy.connections() > before).pipe(
                  Effect.delay("10 millis"),
                  Effect.repeat({ until: (more) => more }),
                  Effect.timeoutOption("300 millis")
                )
              }
              yield* proxy.hang(true)
              if (how === "waiting for an answer") yield* Effect.forkChild(storage.get("nothing"))
              yield* Effect.sleep("50 millis")
            })
          )
          yield* Effect.sync(() => socketsTo(proxy.port) === 0).pipe(
            Effect.delay("20 millis"),
            Effect.repeat({ until: (gone) => gone }),
            Effect.timeout("15 seconds")
          )
        })
    )
  })

await suite("PostgresStorage", Shared.postgres, (url) => PostgresStorage.layer({ url }), "postgres")
await suite("MysqlStorage", Shared.mysql("mysql8"), (url) => MysqlStorage.layer({ url }), Frames.watch)
await suite("RedisStorage", Shared.redis, (url) => RedisStorage.layer({ url }))
await suite("EtcdStorage", Shared.etcd, (url) => EtcdStorage.layer({ url }))
await suite("ElasticsearchStorage", Shared.opensearch, (url) => ElasticsearchStorage.layer({ url }), http)
await suite("DynamoDbStorage", Shared.dynamodb, (url) =>
  DynamoDbStorage.layer({
    endpoint: Redacted.value(url),
    region: "local",
    credentials: { accessKeyId: "any", secretAccessKey: Redacted.make("any") }
  })
)
await suite("CassandraStorage", Shared.cassandra, (url) => CassandraStorage.layer({ url }), cql())
await suite("ConsulStorage", Shared.consul, (url) => ConsulStorage.layer({ url }), http)
await suite("ZookeeperStorage", Shared.zookeeper, (url) => ZookeeperStorage.layer({ url }))
const user = { name: "locks", password: Redacted.make("sesame") }
await suite("SplunkStorage", Splunk.double(), (url) => SplunkStorage.layer({ url, user }), http)
await suite("MongoStorage", Shared.mongo, (url) =>
  MongoStorage.layer({
    url: Redacted.make(Mongo.watchedSeldom(Redacted.value(url))),
    mode: "versioned",
    wakeUps: false
  })
)
