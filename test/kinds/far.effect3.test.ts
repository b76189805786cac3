/** Shared locks of a process that is far from MySQL, on the program's client of Effect 3. */
import { MysqlClient } from "@effect/sql-mysql2"
import * as Effect from "#effect/Effect"
import * as Layer from "#effect/Layer"
import * as Redacted from "effect/Redacted"
import * as MysqlStorage from "../../src/backends/mysql/MysqlStorage.js"
import * as Frames from "../harness/mysqlFrames.js"
import * as Proxy from "../harness/proxy.js"
import { describeServer } from "../harness/server.js"
import * as Shared from "../harness/shared.js"
import * as Far from "../support/far.js"

await describeServer("far from MySQL, on the program's client", Shared.mysql("mysql8"), (server) =>
  Far.suite(
    (url) =>
      Effect.flatMap(Layer.build(MysqlClient.layer({ url: Redacted.make(url), maxConnections: 1 })), (context) =>
        Effect.map(
          Effect.provide(MysqlStorage.makeFromClient({ notify: false }), context),
          ({ versioned }) => versioned
        )
      ),
    Effect.all({
      url: server.freshDatabase,
      prefix: Effect.succeed(""),
      proxy: Proxy.make({ host: server.host, port: server.port }, { protocol: Frames.watch })
    })
  )
)
