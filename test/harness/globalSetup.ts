/** Gives all test files of a run one server of each kind, started when the first of them asks. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { TestProject } from "vitest/node"
import * as Postgres from "./postgres.js"

declare module "vitest" {
  interface ProvidedContext {
    /** The loopback port that answers with the shared server's URL, as JSON. */
    sharedPostgres: number
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const scope = Effect.runSync(Scope.make())
  const environment = process.env[Postgres.environmentVariable]
  let reply: Promise<string> | undefined
  const start = () =>
    environment !== undefined && environment !== ""
      ? Promise.resolve(JSON.stringify({ url: environment }))
      : Effect.runPromise(
        Scope.extend(Postgres.own, scope).pipe(
          Effect.match({
            onSuccess: ({ url }) => JSON.stringify({ url }),
            onFailure: ({ reason }) => JSON.stringify({ unavailable: reason })
          }),
          Effect.catchAllDefect((defect) => Effect.succeed(JSON.stringify({ unavailable: String(defect) })))
        )
      )
  const broker = Net.createServer((socket) => {
    socket.on("error", () => {})
    void (reply ??= start()).then((text) => socket.end(text))
  })
  await new Promise<void>((resolve) => broker.listen(0, "127.0.0.1", resolve))
  project.provide("sharedPostgres", (broker.address() as Net.AddressInfo).port)
  return async () => {
    broker.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
