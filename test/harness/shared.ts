/**
 * The servers that all test files of one run share: each is started when the first file asks for it (see `globalSetup.ts`), and ends with the run.
 * For tests that neither suspend nor stop their server, and that stay within a database or a prefix of their own.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Net from "node:net"
import * as Cassandra from "./cassandra.js"
import * as Dynamo from "./dynamodb.js"
import * as Consul from "./consul.js"
import * as Etcd from "./etcd.js"
import * as Mongo from "./mongo.js"
import * as Mysql from "./mysql.js"
import * as Postgres from "./postgres.js"
import * as Redis from "./redis.js"
import * as Search from "./search.js"
import { ServerUnavailable } from "./server.js"
import * as Tidb from "./tidb.js"
import * as Zookeeper from "./zookeeper.js"

export interface Kind {
  readonly server: string
  /** A server's URL here is used instead of a private instance. */
  readonly environmentVariable: string
  /** A private instance. */
  readonly own: Effect.Effect<{ readonly url: string }, ServerUnavailable, Scope.Scope>
  /** A run that does not build it does not fail for want of it. */
  readonly optional?: boolean | undefined
}

/** One line each. */
export const kinds = {
  etcd: { server: "etcd", environmentVariable: Etcd.environmentVariable, own: Etcd.own("etcd 3.4") },
  dynamodb: { server: "DynamoDB Local", environmentVariable: Dynamo.environmentVariable, own: Dynamo.own },
  redis: { server: "Redis", environmentVariable: Redis.environmentVariable, own: Redis.own },
  postgres: { server: "PostgreSQL", environmentVariable: Postgres.environmentVariable, own: Postgres.own },
  /** By itself mongo-java-server: there is no MongoDB to be fetched. */
  mongo: { server: "MongoDB", environmentVariable: Mongo.javaEnvironmentVariable, own: Mongo.own },
  mysql8: { server: "MySQL 8.0", environmentVariable: "EFFECT_STORAGE_LOCK_MYSQL_URL", own: Mysql.mysql8 },
  mysql9: { server: "MySQL 9", environmentVariable: "EFFECT_STORAGE_LOCK_MYSQL9_URL", own: Mysql.mysql9 },
  mariadb10: { server: "MariaDB 10.11", environmentVariable: "EFFECT_STORAGE_LOCK_MARIADB_URL", own: Mysql.mariadb10 },
  mariadb11: { server: "MariaDB 11.8", environmentVariable: "EFFECT_STORAGE_LOCK_MARIADB11_URL", own: Mysql.mariadb11 },
  opensearch: {
    server: "OpenSearch 2",
    environmentVariable: Search.environmentVariable,
    own: Search.own("OpenSearch 2")
  },
  cassandra: { server: "Cassandra 5", environmentVariable: Cassandra.environmentVariable, own: Cassandra.own() },
  consul: { server: "Consul 1.8", environmentVariable: Consul.environmentVariable, own: Consul.own() },
  zookeeper: { server: "ZooKeeper 3.9", environmentVariable: Zookeeper.environmentVariable, own: Zookeeper.own },
  tidb: {
    server: "TiDB 8.5",
    environmentVariable: "EFFECT_STORAGE_LOCK_TIDB_URL",
    own: Tidb.own,
    optional: !Tidb.wanted
  }
} satisfies Record<string, Kind>

export type Name = keyof typeof kinds

export type Reply = { readonly url: string } | { readonly unavailable: string }

const ask = (port: number, name: string) =>
  Effect.callback<string>((resume) => {
    let text = ""
    Net.connect(port, "127.0.0.1", function (this: Net.Socket) {
      this.end(`${name}\n`)
    })
      .setEncoding("utf8")
      .on("data", (_) => (text += _))
      .on("close", () => resume(Effect.succeed(text)))
      .on("error", (error) => resume(Effect.die(error)))
  })

/** The URL of the server of this kind in this test run. */
export const url = (name: Name): Effect.Effect<string, ServerUnavailable> =>
  Effect.gen(function* () {
    const { inject } = yield* Effect.promise(() => import("vitest"))
    const reply = JSON.parse(yield* ask(inject("sharedServers"), name)) as Reply
    return "url" in reply
      ? reply.url
      : yield* new ServerUnavailable({
          server: kinds[name].server,
          reason: reply.unavailable,
          isOptional: (kinds[name] as Kind).optional
        })
  })

/** A fresh database in the shared PostgreSQL. */
export const postgres: Effect.Effect<Postgres.PostgresServer, ServerUnavailable, Scope.Scope> = Effect.flatMap(
  Effect.suspend(() => url("postgres")),
  Postgres.at
)

/** The shared Redis. */
export const redis: Effect.Effect<Redis.RedisServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("redis")),
  Redis.at
)

/** The shared etcd. */
export const etcd: Effect.Effect<Etcd.EtcdServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("etcd")),
  Etcd.at
)

/** The shared DynamoDB Local. */
export const dynamodb: Effect.Effect<Dynamo.DynamoServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("dynamodb")),
  Dynamo.at
)

/** The shared Cassandra. */
export const cassandra: Effect.Effect<Cassandra.CassandraServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("cassandra")),
  Cassandra.at
)

/** A fresh database in the shared mongo-java-server. */
export const mongo: Effect.Effect<Mongo.MongoServer, ServerUnavailable, Scope.Scope> = Effect.flatMap(
  Effect.suspend(() => url("mongo")),
  Mongo.at
)

/** The shared OpenSearch. */
export const opensearch: Effect.Effect<Search.SearchServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("opensearch")),
  Search.at("OpenSearch 2")
)

/** The shared Consul. */
export const consul: Effect.Effect<Consul.ConsulServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("consul")),
  Consul.at
)

/** The shared ZooKeeper. */
export const zookeeper: Effect.Effect<Zookeeper.ZookeeperServer, ServerUnavailable> = Effect.flatMap(
  Effect.suspend(() => url("zookeeper")),
  Zookeeper.at
)

/** A fresh database in a shared server of the MySQL family. */
export const mysql = (
  name: "mysql8" | "mysql9" | "mariadb10" | "mariadb11" | "tidb"
): Effect.Effect<Mysql.MysqlServer, ServerUnavailable, Scope.Scope> =>
  Effect.flatMap(
    Effect.suspend(() => url(name)),
    Mysql.at(kinds[name].server)
  )
