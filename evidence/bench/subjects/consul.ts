import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Http from "node:http"
import * as ConsulStorage from "../../../src/backends/consul/ConsulStorage.js"
import * as Harness from "../../../test/harness/consul.js"
import { library } from "./library.js"
import type { Server, StorageSubject, Way } from "./Subject.js"

/** One request over connections that are kept, as whoever has no client does it. */
const bare = (url: string) => {
  const agent = new Http.Agent({ keepAlive: true, maxSockets: 4 })
  const send = (method: string, path: string, body?: object) =>
    new Promise<void>((resolve, reject) => {
      const request = Http.request(`${url}${path}`, {
        agent,
        method,
        headers: { "content-type": "application/json" }
      })
      request.on("error", reject)
      request.on("response", (response) => {
        response.resume()
        response.on("end", () =>
          response.statusCode! < 300 ? resolve() : reject(new Error(`${method} ${path}: ${response.statusCode}`))
        )
      })
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return { send, close: async () => agent.destroy() }
}

const ways: ReadonlyArray<Way> = [
  {
    name: "bare HTTP, create and delete",
    role: "floor",
    packages: [],
    note: "less than ours does: no token, no takeover; nothing is renewed, and nothing is told",
    waits: false,
    open: async ({ prefix, url }) => {
      const { close, send } = bare(url)
      return {
        acquire: async (lockId) => {
          const path = `/v1/kv/${prefix}${lockId}`
          await send("PUT", `${path}?cas=0`, { leaseEnd: Date.now() + 3_600_000 })
          return { release: () => send("DELETE", path) }
        },
        close
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    tells: true,
    open: ({ prefix, url }, settings) => library(ConsulStorage.layer({ url: Redacted.make(url), prefix }), settings)
  }
]

const server = Effect.gen(function* () {
  const server = yield* Harness.own()
  const { body } = yield* server.admin("GET", "/v1/agent/self")
  return {
    setting: `server ${body.Config.Version}, alone`,
    fresh: Effect.map(server.freshPrefix, (prefix) => ({ url: server.url, prefix })),
    work: undefined,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const consul: StorageSubject = {
  name: "consul",
  title: "Consul",
  server,
  ways
}
