/** All storages, in the order of the report. */
import { cassandra } from "./cassandra.js"
import { consul } from "./consul.js"
import { dynamodb } from "./dynamodb.js"
import { etcd } from "./etcd.js"
import { mongo } from "./mongo.js"
import { opensearch } from "./opensearch.js"
import { mysql } from "./mysql.js"
import { postgres } from "./postgres.js"
import { redis } from "./redis.js"
import { sqlite } from "./sqlite.js"
import type { StorageSubject } from "./Subject.js"
import { zookeeper } from "./zookeeper.js"

export const table: ReadonlyArray<StorageSubject> = [
  postgres,
  sqlite,
  redis,
  mysql,
  etcd,
  mongo,
  opensearch,
  dynamodb,
  consul,
  zookeeper,
  cassandra
]
