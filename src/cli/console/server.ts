/**
 * The console's server: Node's own, over a table of routes.
 *
 * It could have been an `HttpApi` of Effect. That is in `@effect/platform` on Effect 3 and among the unstable modules of `effect` on Effect 4, and both serve it by
 * `@effect/platform-node`. This command is one source for both, and needs nothing but `effect` and the driver of the storage. What `HttpApi` would give, answers
 * that are typed by the schemas of the document, is a table and a page of code here.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { version } from "../version.js"
import { headers, json, send } from "./answer.js"
import { askedByUs, type Guard } from "./guard.js"
import type { Looker } from "./looker.js"
import { openapi } from "./openapi.js"
import { page } from "./page.js"
import { find, refusalOf } from "./routes.js"
import { Streams } from "./streams.js"

export interface Options extends Guard {
  readonly host: string
  /** 0 for one that is free. */
  readonly port: number
  /** The most that may watch at once. Default 32. */
  readonly mostWatchers?: number
  /** What is wrong with the console itself. */
  readonly fault: (error: unknown) => void
}

export interface Server {
  readonly url: string
  readonly close: () => Promise<void>
}

const document = { json: {} }

const urlOf = ({ address, family, port }: AddressInfo): string => {
  const host = family === "IPv6" ? `[${address}]` : address
  return `http://${host === "0.0.0.0" || host === "[::]" ? "localhost" : host}:${port}/`
}

export const serve = async (looker: Looker, options: Options): Promise<Server> => {
  const streams = new Streams(looker, options.mostWatchers ?? 32)

  const answer = async (request: Http.IncomingMessage, response: Http.ServerResponse): Promise<void> => {
    const isHead = request.method === "HEAD"
    headers(response)
    try {
      askedByUs(request, options)
      const path = (request.url ?? "/").split("?")[0]!
      const { lockId, route } = find(request.method ?? "", path)
      if (route.path === "/") {
        headers(response, page().policy)
        send(response, { status: 200, type: "text/html; charset=utf-8", body: page().html }, isHead)
      } else if (route.path === "/openapi.json") send(response, json(document, openapi(version)), isHead)
      else if (route.path !== "/events") {
        send(response, await route.answer!({ request, guard: options, looker, lockId }), isHead)
      } else if (isHead) send(response, { status: 200, type: "text/event-stream; charset=utf-8", body: "" }, true)
      else streams.open(response)
    } catch (error) {
      const refusal = refusalOf(error)
      if (refusal.code === "FAULT") options.fault(error)
      if (!response.headersSent) send(response, refusal.answer, isHead)
      else response.destroy()
    }
  }

  const server = Http.createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    // A connection that breaks is no fault.
    response.on("error", () => {})
    void answer(request, response)
  })
  server.maxConnections = 256

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(options.port, options.host, () => {
      server.off("error", reject)
      resolve()
    })
  })

  return {
    url: urlOf(server.address() as AddressInfo),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        streams.close()
        server.closeIdleConnections()
        // What is still being answered has a moment to end.
        setTimeout(() => server.closeAllConnections(), 1_000).unref()
      })
  }
}
