import * as Effect from "#effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Http from "node:http"
import * as ElasticsearchStorage from "../../../src/backends/elasticsearch/ElasticsearchStorage.js"
import * as Harness from "../../../test/harness/search.js"
import { library } from "./library.js"
import type { Server, StorageSubject, Way } from "./Subject.js"

/** One request over connections that are kept, as whoever has no client does it. */
const bare = (place: string) => {
  const url = place.replace(/\/$/, "")
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
        let text = ""
        response.setEncoding("utf8").on("data", (part) => (text += String(part)))
        response.on("end", () =>
          response.statusCode! < 300
            ? resolve()
            : reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`))
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
          const path = `/${prefix}_bare`
          await send("PUT", `${path}/_create/${lockId}`, { leaseEnd: Date.now() + 3_600_000 })
          return { release: () => send("DELETE", `${path}/_doc/${lockId}`) }
        },
        close
      }
    }
  },
  {
    name: "StorageLock",
    role: "ours",
    packages: [],
    polls: true,
    open: ({ prefix, url }, settings) =>
      library(ElasticsearchStorage.layer({ url: Redacted.make(url), index: prefix }), settings)
  }
]

const server = Effect.gen(function* () {
  const server = yield* Harness.own("OpenSearch 2")
  const { body } = yield* server.admin("GET", "/")
  return {
    setting: `server ${body.version.number}, one node, a heap of 256 MB`,
    fresh: Effect.map(server.freshIndex, (prefix) => ({ url: server.url, prefix })),
    work: undefined,
    stall: () => Effect.acquireRelease(server.suspend, () => server.resume),
    wire: { host: server.host, port: server.port, protocol: "bytes" }
  } satisfies Server
})

export const opensearch: StorageSubject = {
  name: "opensearch",
  title: "OpenSearch",
  server,
  ways
}
