/**
 * The servers that all test files of one run share: each is started when the first file asks for it (see `globalSetup.ts`), and ends with the run.
 * For tests that neither suspend nor stop their server, and that stay within a database or a prefix of their own.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Postgres from "./postgres.js"
import { ServerUnavailable } from "./server.js"

export interface Kind {
  readonly server: string
  /** A server's URL here is used instead of a private instance. */
  readonly environmentVariable: string
  /** A private instance. */
  readonly own: Effect.Effect<{ readonly url: string }, ServerUnavailable, Scope.Scope>
}

/** One line each. */
export const kinds = {
  postgres: { server: "PostgreSQL", environmentVariable: Postgres.environmentVariable, own: Postgres.own }
} satisfies Record<string, Kind>

export type Name = keyof typeof kinds

export type Reply = { readonly url: string } | { readonly unavailable: string }

const ask = (port: number, name: string) =>
  Effect.async<string>((resume) => {
    let text = ""
    Net.connect(port, "127.0.0.1", function(this: Net.Socket) {
      this.end(`${name}\n`)
    }).setEncoding("utf8").on("data", (_) => (text += _)).on(
      "close",
      () => resume(Effect.succeed(text))
    ).on("error", (error) => resume(Effect.die(error)))
  })

/** The URL of the server of this kind in this test run. */
export const url = (name: Name): Effect.Effect<string, ServerUnavailable> =>
  Effect.gen(function*() {
    const { inject } = yield* Effect.promise(() => import("vitest"))
    const reply = JSON.parse(yield* ask(inject("sharedServers"), name)) as Reply
    return "url" in reply ? reply.url : yield* new ServerUnavailable({ server: kinds[name].server, reason: reply.unavailable })
  })

/** A fresh database in the shared PostgreSQL. */
export const postgres: Effect.Effect<Postgres.PostgresServer, ServerUnavailable, Scope.Scope> = Effect.flatMap(
  Effect.suspend(() => url("postgres")),
  Postgres.at
)
