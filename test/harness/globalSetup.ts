/** Gives all test files of a run one server of each kind, started when the first of them asks. */
import * as Effect from "#effect/Effect"
import * as Exit from "#effect/Exit"
import * as Scope from "#effect/Scope"
import * as Net from "node:net"
import type { TestProject } from "vitest/node"
import { type Kind, kinds, type Reply } from "./shared.js"

declare module "vitest" {
  interface ProvidedContext {
    /** The loopback port that is told a kind of server, and answers with a `Reply`. */
    sharedServers: number
  }
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const scope = Effect.runSync(Scope.make())
  const replies = new Map<string, Promise<Reply>>()

  const start = (kind: Kind): Promise<Reply> => {
    const given = process.env[kind.environmentVariable]
    return given !== undefined && given !== ""
      ? Promise.resolve({ url: given })
      : Effect.runPromise(
          Scope.provide(kind.own, scope).pipe(
            Effect.match({
              onSuccess: ({ url }) => ({ url }),
              onFailure: ({ reason }) => ({ unavailable: reason })
            }),
            Effect.catchDefect((defect) => Effect.succeed({ unavailable: String(defect) }))
          )
        )
  }

  const replyTo = (name: string): Promise<Reply> => {
    const known = replies.get(name)
    if (known !== undefined) return known
    const kind = (kinds as Record<string, Kind>)[name]
    const reply =
      kind === undefined ? Promise.resolve({ unavailable: `nobody knows how to start ${name}` }) : start(kind)
    replies.set(name, reply)
    return reply
  }

  const broker = Net.createServer({ allowHalfOpen: true }, (socket) => {
    let asked = ""
    socket.on("error", () => {})
    socket.setEncoding("utf8").on("data", (text) => (asked += String(text)))
    socket.on("end", () => void replyTo(asked.trim()).then((reply) => socket.end(JSON.stringify(reply))))
  })
  await new Promise<void>((resolve) => broker.listen(0, "127.0.0.1", resolve))
  project.provide("sharedServers", (broker.address() as Net.AddressInfo).port)
  return async () => {
    broker.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
