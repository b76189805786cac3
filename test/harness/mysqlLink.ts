/** A server of one's own behind a link that fails: the hooks of the conformance kit for it. */
import * as Effect from "#effect/Effect"
import * as Conformance from "../../src/testing/index.js"
import type * as Mysql from "./mysql.js"
import * as Frames from "./mysqlFrames.js"
import * as Proxy from "./proxy.js"
import { resource } from "./resource.js"

export const failingLink = (
  server: Mysql.MysqlServer
): { readonly url: () => string; readonly hooks: Conformance.Hooks } => {
  const link = resource(
    Effect.all({
      database: server.freshDatabase,
      proxy: Proxy.make({ host: server.host, port: server.port }, { protocol: Frames.watch })
    })
  )
  return {
    url: () => link().proxy.url(link().database),
    hooks: {
      shiftClient: Conformance.shiftDate,
      loseReply: Effect.suspend(() => link().proxy.dropNextReply),
      hang: (effect) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => link().proxy.hang(true)),
          () => effect,
          () => link().proxy.hang(false)
        ),
      // As a power cut, not in order: what was acknowledged is there afterwards.
      restart: Effect.andThen(server.kill, server.start)
    }
  }
}
