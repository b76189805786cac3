/** All storages, in the order of the report. */
import { etcd } from "./etcd.js"
import { mongo } from "./mongo.js"
import { mysql } from "./mysql.js"
import { postgres } from "./postgres.js"
import { redis } from "./redis.js"
import { sqlite } from "./sqlite.js"
import type { StorageSubject } from "./Subject.js"

export const table: ReadonlyArray<StorageSubject> = [postgres, sqlite, redis, mysql, etcd, mongo]
