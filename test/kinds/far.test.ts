/** Shared locks of a process that is far from its database. */
import { PgClient } from "@effect/sql-pg"
import { describe } from "#harness/vitest"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import Mysql from "mysql2"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as PostgresStorage from "../../src/backends/postgres/PostgresStorage.js"
import * as RedisStorage from "../../src/backends/redis/RedisStorage.js"
import type { Ports } from "../../src/backends/shared/layers.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as PgBouncer from "../harness/pgbouncer.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Far from "../support/far.js"

const options = { poolSize: 1, notify: false }
const versioned = <E, R>(ports: Effect.Effect<Ports, E, R>) => Effect.map(ports, ({ versioned }) => versioned)

await describeServer("far from PostgreSQL", Shared.postgres, (server) => {
  const place = Effect.all({
    url: server.freshDatabase,
    prefix: Effect.succeed(""),
    proxy: Proxy.make({ host: server.host, port: server.port })
  })
  describe("with a pool of its own", () =>
    Far.suite((url) => versioned(PostgresStorage.make({ ...options, url: Redacted.make(url) })), place))
  describe("on the program's client", () =>
    Far.suite(
      (url) =>
        Effect.flatMap(Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })), (context) =>
          versioned(Effect.provide(PostgresStorage.makeFromClient({ notify: false }), context))
        ),
      place
    ))
  describe("behind a pooler that hands each transaction to another session", () =>
    Far.suite(
      (url) => versioned(PostgresStorage.make({ ...options, url: Redacted.make(url), pooler: true })),
      Effect.gen(function* () {
        const pooler = yield* PgBouncer.inFrontOf(server)
        const url = new URL(yield* server.freshDatabase)
        url.port = String(pooler.port)
        return { url: url.toString(), prefix: "", proxy: yield* Proxy.make(pooler) }
      })
    ))
})

await describeServer("far from MySQL", Shared.mysql("mysql8"), (server) => {
  const place = Effect.all({
    url: server.freshDatabase,
    prefix: Effect.succeed(""),
    proxy: Proxy.make({ host: server.host, port: server.port }, { protocol: Frames.watch })
  })
  describe("with a pool of its own", () =>
    Far.suite((url) => versioned(MysqlStorage.make({ ...options, url: Redacted.make(url) })), place))
  describe("on the program's pool", () =>
    Far.suite(
      (url) =>
        Effect.flatMap(
          Effect.acquireRelease(
            Effect.sync(() => Mysql.createPool({ uri: url, connectionLimit: 1, multipleStatements: true })),
            (pool) => Effect.sync(() => pool.end(() => {}))
          ),
          (pool) => versioned(MysqlStorage.makeFromPool({ pool, notify: false }))
        ),
      place
    ))
})

await describeServer("far from Redis", Shared.redis, (server) =>
  Far.suite(
    (url, prefix) => versioned(RedisStorage.make({ url: Redacted.make(url), prefix, notify: false })),
    Effect.all({
      url: Effect.succeed(server.url),
      prefix: server.freshPrefix,
      proxy: Proxy.make(server, { protocol: "bytes" })
    })
  )
)
