/**
 * All storages, by the schemes of their URLs: the one place that knows which module a URL is for. A module, and with it its driver, is loaded when it is asked for.
 *
 * A new storage is one entry of `backends`.
 */
import type * as Layer from "#effect/Layer"
import type { Open } from "../common/checkup.js"
import type { InvalidOptions, StorageError } from "../LockError.js"
import type * as Storage from "../Storage.js"
import type * as VersionedStore from "../VersionedStore.js"
import * as text from "./text.js"

/** What of a module is needed. */
export interface Module {
  readonly layer: (
    options: any
  ) => Layer.Layer<Storage.Storage | VersionedStore.VersionedStore, StorageError | InvalidOptions>
}

export interface Backend {
  readonly name: string
  /** Without the colon, each with what the module calls it. */
  readonly schemes: Readonly<Record<string, string>>
  readonly load: () => Promise<Module>
  /** The options that a URL stands for. If absent, the module reads the URL itself, as its option `url`. */
  readonly read?: ((url: string) => text.Read) | undefined
  /** What a doctor looks at there. */
  readonly checkup?: (() => Promise<{ readonly checkup: Open<any> }>) | undefined
  /** Where the options have secrets, as in `tls.key`. */
  readonly secrets?: ReadonlyArray<string> | undefined
}

const same = <Names extends ReadonlyArray<string>>(...names: Names): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [name, name]))

/** Whoever wants plain HTTP has to say so. */
const http = (name: string): Readonly<Record<string, string>> => ({
  [name]: "https",
  [`${name}+https`]: "https",
  [`${name}+http`]: "http"
})

export const backends: ReadonlyArray<Backend> = [
  {
    name: "PostgresStorage",
    schemes: same("postgres", "postgresql"),
    load: () => import("../backends/postgres/PostgresStorage.js"),
    checkup: () => import("../backends/postgres/checkup.js"),
    secrets: ["notify.url"]
  },
  {
    name: "MysqlStorage",
    schemes: same("mysql", "mariadb", "tidb"),
    load: () => import("../backends/mysql/MysqlStorage.js"),
    checkup: () => import("../backends/mysql/checkup.js")
  },
  {
    name: "MssqlStorage",
    schemes: same("sqlserver", "mssql"),
    load: () => import("../backends/mssql/MssqlStorage.js"),
    secrets: ["password", "accessToken"]
  },
  {
    name: "OracleStorage",
    schemes: same("oracle", "oracles"),
    load: () => import("../backends/oracle/OracleStorage.js"),
    secrets: ["password"]
  },
  {
    name: "MongoStorage",
    schemes: same("mongodb", "mongodb+srv"),
    load: () => import("../backends/mongo/MongoStorage.js"),
    checkup: () => import("../backends/mongo/checkup.js")
  },
  {
    name: "RedisStorage",
    schemes: { ...same("redis", "rediss"), valkey: "redis", valkeys: "rediss" },
    load: () => import("../backends/redis/RedisStorage.js"),
    checkup: () => import("../backends/redis/checkup.js"),
    secrets: ["password"]
  },
  {
    name: "EtcdStorage",
    schemes: same("etcd", "etcds"),
    load: () => import("../backends/etcd/EtcdStorage.js"),
    checkup: () => import("../backends/etcd/checkup.js"),
    secrets: ["user.password", "tls.key"]
  },
  {
    name: "ElasticsearchStorage",
    schemes: { ...http("elasticsearch"), ...http("opensearch") },
    load: () => import("../backends/elasticsearch/ElasticsearchStorage.js"),
    checkup: () => import("../backends/elasticsearch/checkup.js"),
    secrets: ["user.password", "apiKey", "tls.key"]
  },
  {
    name: "ConsulStorage",
    schemes: { consul: "http", consuls: "https" },
    load: () => import("../backends/consul/ConsulStorage.js"),
    checkup: () => import("../backends/consul/checkup.js"),
    secrets: ["token", "tls.key"]
  },
  {
    name: "SplunkStorage",
    schemes: http("splunk"),
    load: () => import("../backends/splunk/SplunkStorage.js"),
    secrets: ["token", "user.password", "tls.key"]
  },
  {
    name: "ZookeeperStorage",
    schemes: same("zookeeper", "zookeepers"),
    load: () => import("../backends/zookeeper/ZookeeperStorage.js"),
    checkup: () => import("../backends/zookeeper/checkup.js"),
    secrets: ["user.password", "tls.key"]
  },
  {
    name: "CassandraStorage",
    schemes: { ...same("cassandra", "cassandras"), scylla: "cassandra", scyllas: "cassandras" },
    load: () => import("../backends/cassandra/CassandraStorage.js"),
    checkup: () => import("../backends/cassandra/checkup.js"),
    secrets: ["user.password", "tls.key"]
  },
  {
    name: "DynamoDbStorage",
    schemes: same("dynamodb"),
    load: () => import("../backends/dynamodb/DynamoDbStorage.js"),
    read: text.dynamodb,
    secrets: ["credentials.secretAccessKey", "credentials.sessionToken"]
  },
  {
    name: "SqliteStorage",
    schemes: same("sqlite"),
    load: () => import("../backends/sqlite/SqliteStorage.js"),
    checkup: () => import("../backends/sqlite/checkup.js"),
    read: text.sqlite
  },
  {
    name: "MemoryStorage",
    schemes: same("memory"),
    load: () => import("./memory.js"),
    checkup: () => import("../backends/memory/checkup.js"),
    read: text.memory
  }
]
