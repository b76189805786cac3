/**
 * The storages that chaos is made over, one entry each.
 *
 * To add one: `layer` is run in a worker and makes the storage from the URL that leads through the worker's proxy (import the backend in it, so that
 * only its driver is loaded); `start` is run once in the controller and gives a private server of the test harness: its URL, how to suspend, kill and
 * start it (`Life` of test/harness/instance.ts has all of that), and how an administrator ends all its clients' connections, if it can. `protocol` tells the
 * proxy how requests are told apart: `"bytes"` suits all but PostgreSQL. `judges` names whose clock judges leases: `"server"`, or `"client"` where it is the wall
 * clock of the worker's own machine, which then is only set as far as the margin covers. That is all: faults, workers and checks follow from it.
 */
import * as Effect from "#effect/Effect"
import type * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "#effect/Scope"
import type { InvalidOptions, StorageError } from "../../src/LockError.js"
import type * as Storage from "../../src/Storage.js"
import type * as VersionedStore from "../../src/VersionedStore.js"
import type * as Instance from "../../test/harness/instance.js"
import type * as Proxy from "../../test/harness/proxy.js"
import type { ServerUnavailable } from "../../test/harness/server.js"
import type { StorageConfig } from "./protocol.js"

export interface Running {
  readonly url: string
  /** What it was, for the report. */
  readonly title: string
  /** Where the proxies lead. None: no network. */
  readonly address: Instance.Address | undefined
  readonly protocol: NonNullable<Proxy.Options["protocol"]>
  readonly server: Pick<Instance.Life, "suspend" | "resume" | "kill" | "start"> | undefined
  /** Ends all connections of clients. */
  readonly killConnections: Effect.Effect<unknown> | undefined
  /** Faults of its own, by name: each is over when its effect is. `lease` in milliseconds. */
  readonly own: Readonly<Record<string, (lease: number) => Effect.Effect<unknown>>>
}

export interface Entry {
  readonly layer: (
    config: StorageConfig
  ) => Promise<Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions>>
  readonly start: Effect.Effect<Running, ServerUnavailable, Scope.Scope>
  readonly judges: "server" | "client"
}

const load = <A>(module: () => Promise<A>) => Effect.promise(module)

const postgres: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/postgres/PostgresStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/postgres.js"))).own
    const [{ version }] = (yield* server.admin("SELECT version()")) as [{ version: string }]
    return {
      url: server.url,
      title: version.split(" on ")[0]!,
      address: server,
      protocol: "postgres",
      server,
      killConnections: server.admin(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
      ),
      own: {}
    }
  })
}

const sqlite: Entry = {
  layer: async ({ url }) => (await import("../../src/backends/sqlite/SqliteStorage.js")).layer({ filename: url }),
  judges: "client",
  start: Effect.flatMap(
    load(() => import("./sqlite.js")),
    ({ start }) => start
  )
}

/** Leases are observed, on the monotonic clocks of those who wait: no wall clock has a say, neither the server's nor theirs. */
const etcd: Entry = {
  layer: async ({ url }) => (await import("../../src/backends/etcd/EtcdStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/etcd.js"))).own("etcd 3.5")
    const { version } = yield* server.admin("maintenance/status", {})
    return {
      url: server.url,
      title: `etcd ${version}`,
      address: server,
      protocol: "bytes",
      server,
      killConnections: undefined,
      own: {}
    }
  })
}

const redis: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/redis/RedisStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/redis.js"))).own
    const info = String(yield* server.admin("INFO", "server"))
    return {
      url: server.url,
      title: `Redis ${/redis_version:(\S+)/.exec(info)?.[1]}`,
      address: server,
      protocol: "bytes",
      server,
      killConnections: Effect.all([
        server.admin("CLIENT", "KILL", "TYPE", "normal"),
        server.admin("CLIENT", "KILL", "TYPE", "pubsub")
      ]),
      own: {}
    }
  })
}

const mysql = (of: "mysql8" | "mysql9" | "mariadb10" | "mariadb11" | "tidb"): Entry => ({
  layer: async ({ url }) =>
    (await import("../../src/backends/mysql/MysqlStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* of === "tidb"
      ? (yield* load(() => import("../../test/harness/tidb.js"))).own
      : (yield* load(() => import("../../test/harness/mysql.js")))[of]
    const { watch } = yield* load(() => import("../../test/harness/mysqlFrames.js"))
    yield* server.admin("CREATE DATABASE chaos")
    const [{ version }] = (yield* server.admin("SELECT VERSION() AS version")) as [{ version: string }]
    const sessions = server.admin("SELECT id AS id FROM information_schema.processlist WHERE db = 'chaos'")
    return {
      url: `${server.url}chaos`,
      title: version.includes("MariaDB")
        ? version.split("-", 2).join(" ")
        : of === "tidb"
          ? "TiDB 8.5, with its embedded store"
          : `MySQL ${version}`,
      address: server,
      protocol: watch,
      server,
      // One that has ended meanwhile is no failure.
      killConnections: Effect.flatMap(sessions, (all) =>
        Effect.forEach(all, ({ id }) => Effect.catchDefect(server.admin(`KILL ${id}`), () => Effect.void), {
          discard: true
        })
      ),
      own: {}
    }
  })
})

/** Faults of the network and of processes alone: mongo-java-server forgets everything when it ends. A real MongoDB is not to be fetched. */
const mongo: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/mongo/MongoStorage.js")).layer({
      url: Redacted.make(url),
      mode: "versioned",
      wakeUps: false
    }),
  judges: "server",
  start: Effect.gen(function* () {
    const { own, watchedSeldom } = yield* load(() => import("../../test/harness/mongo.js"))
    const server = yield* own
    return {
      url: watchedSeldom(server.url),
      title: "mongo-java-server 1.47, by compare-and-set",
      address: server,
      protocol: "bytes",
      server: undefined,
      killConnections: undefined,
      own: {}
    }
  })
}

const search = (release: "OpenSearch 2" | "Elasticsearch 7"): Entry => ({
  layer: async ({ url }) =>
    (await import("../../src/backends/elasticsearch/ElasticsearchStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/search.js"))).own(release)
    const { http } = yield* load(() => import("../../test/harness/httpFrames.js"))
    const { body } = yield* server.admin("GET", "/")
    return {
      url: server.url,
      title: `${release.split(" ")[0]} ${body.version.number}, one node`,
      address: server,
      protocol: http,
      server,
      killConnections: undefined,
      own: {}
    }
  })
})

/** Faults of the network and of processes alone: DynamoDB Local in memory forgets everything when it ends. */
const dynamodb: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/dynamodb/DynamoDbStorage.js")).layer({
      endpoint: url,
      region: "local",
      credentials: { accessKeyId: "any", secretAccessKey: Redacted.make("any") }
    }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/dynamodb.js"))).own
    return {
      url: server.url,
      title: "DynamoDB Local 3.1, in memory",
      address: server,
      protocol: "bytes",
      server: undefined,
      killConnections: undefined,
      own: {}
    }
  })
}

/** No Oracle is to be fetched: its blocks, with the rewritings of the test harness, on MariaDB in Oracle mode. */
const oracle: Entry = {
  layer: async ({ url }) => {
    const { own } = await import("../../test/support/oracleStorage.js")
    const { make } = await import("../../test/harness/oracleOnMariadb.js")
    const { portsOf } = await import("../../src/backends/shared/layers.js")
    return portsOf(own(make(url, url)))
  },
  judges: "server",
  start: Effect.gen(function* () {
    const running = yield* mysql("mariadb11").start
    const { prepare } = yield* load(() => import("../../test/harness/oracleOnMariadb.js"))
    yield* Effect.orDie(prepare(running.url))
    return { ...running, title: `${running.title} in Oracle mode, for want of an Oracle` }
  })
}

/** As on etcd, leases are observed. */
const consul: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/consul/ConsulStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/consul.js"))).own()
    const { http } = yield* load(() => import("../../test/harness/httpFrames.js"))
    const { body } = yield* server.admin("GET", "/v1/agent/self")
    return {
      url: server.url,
      title: `Consul ${body.Config.Version}, one server`,
      address: server,
      protocol: http,
      server,
      killConnections: undefined,
      own: {}
    }
  })
}

/** As on etcd, leases are observed. */
const zookeeper: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/zookeeper/ZookeeperStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const { own, protocol } = yield* load(() => import("../../test/harness/zookeeper.js"))
    const server = yield* own
    return {
      url: server.url,
      title: "ZooKeeper 3.9, one server",
      address: server,
      protocol,
      server,
      killConnections: undefined,
      own: {}
    }
  })
}

/** One node, with all that it acknowledges on its disk. Leases are observed. */
const cassandra: Entry = {
  layer: async ({ url }) =>
    (await import("../../src/backends/cassandra/CassandraStorage.js")).layer({ url: Redacted.make(url) }),
  judges: "server",
  start: Effect.gen(function* () {
    const server = yield* (yield* load(() => import("../../test/harness/cassandra.js"))).own()
    const { cql } = yield* load(() => import("../../test/harness/cqlFrames.js"))
    const [row] = yield* server.admin("SELECT release_version FROM system.local")
    return {
      url: server.url,
      title: `Cassandra ${row!.release_version}, one node`,
      address: server,
      protocol: cql(),
      server,
      killConnections: undefined,
      own: {}
    }
  })
}

export const storages: Readonly<Record<string, Entry>> = {
  cassandra,
  consul,
  dynamodb,
  elasticsearch: search("Elasticsearch 7"),
  etcd,
  mariadb: mysql("mariadb11"),
  mongo,
  mysql: mysql("mysql8"),
  opensearch: search("OpenSearch 2"),
  oracle,
  postgres,
  redis,
  sqlite,
  tidb: mysql("tidb"),
  zookeeper
}
