/** A server of one's own behind a link that fails: the hooks of the conformance kit for it. */
import { afterAll, beforeAll } from "#effect/vitest"
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Option from "#effect/Option"
import * as Scope from "#effect/Scope"
import * as Conformance from "../../src/testing/index.js"
import type * as Mysql from "./mysql.js"
import * as Frames from "./mysqlFrames.js"
import * as Proxy from "./proxy.js"

/** What a suite needs is made when it runs, and goes when it has run. */
export const resource = <A, E>(make: Effect.Effect<A, E, Scope.Scope>): (() => A) => {
  const scope = Effect.runSync(Scope.make())
  let made: Option.Option<A> = Option.none()
  beforeAll(async () => {
    made = Option.some(await Effect.runPromise(Scope.provide(make, scope)))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return () => Option.getOrThrow(made)
}

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
