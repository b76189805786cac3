/** The transport of our own: Node's, with connections that are kept, and a bound for every wait. */
import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"
import { createSecureContext } from "node:tls"
import { InvalidOptions } from "../../LockError.js"
import * as exchange from "./exchange.js"
import { isUnreached } from "./codes.js"
import type { ResolvedTls } from "./options.js"

/** A connection that nobody has used for so long is closed, in milliseconds: sooner than by the balancers that stand in between. */
const idle = 30_000

/** `setTimeout` fires at once beyond this. */
const longestTimer = 2 ** 31 - 1

/** What Node cannot read of certificates, before it has to. */
export const tlsFault = (tls: ResolvedTls): InvalidOptions | undefined => {
  try {
    createSecureContext(tls)
    return undefined
  } catch {
    return new InvalidOptions({
      field: "tls",
      kind: "something that cannot be read",
      rule: "certificates and their key in PEM, the one belonging to the other"
    })
  }
}

export const make = (options: {
  /** The most connections to one server. */
  readonly poolSize: number
  readonly tls: ResolvedTls
}): exchange.Transport => {
  const keeping = { keepAlive: true, maxSockets: options.poolSize, timeout: idle }
  const http = new Http.Agent(keeping)
  const https = new Https.Agent({ ...keeping, ...options.tls })

  /** Those that have been used, or could have been. */
  const open = new WeakSet<Net.Socket>()

  const send: exchange.Transport["send"] = (target, request, patience, done) => {
    const url = new URL(`${target.base}${request.path}`)
    const secure = url.protocol === "https:"
    const began = performance.now()
    let over = false
    /** The request is on its way, or may be. */
    let sent: exchange.Failure["sent"] = "no"
    let asked: Http.ClientRequest | undefined

    const end = (outcome: exchange.Outcome) => {
      if (over) return
      over = true
      clearTimeout(timer)
      done(outcome)
    }
    const giveUp = () => {
      end(exchange.failure(sent, "silent"))
      asked?.destroy()
    }
    let timer = setTimeout(giveUp, Math.min(patience.connect, patience.whole, longestTimer))
    const connected = () => {
      if (over) return
      sent = "maybe"
      clearTimeout(timer)
      timer = setTimeout(giveUp, Math.max(0, Math.min(began + patience.whole - performance.now(), longestTimer)))
    }
    const failed = (error: unknown) =>
      end(exchange.failure(sent, sent === "no" || isUnreached(error) ? "unreached" : "broken", error))

    try {
      asked = (secure ? Https : Http).request(url, {
        agent: secure ? https : http,
        method: request.method,
        headers: {
          ...request.headers,
          ...(request.body === undefined ? {} : { "content-length": String(Buffer.byteLength(request.body)) })
        }
      })
      asked.on("socket", (socket: Net.Socket) => {
        // Node does not say so of one that another request has just left to this one.
        if (open.has(socket)) return connected()
        socket.once(secure ? "secureConnect" : "connect", () => {
          open.add(socket)
          connected()
        })
      })
      asked.on("error", failed)
      asked.on("response", (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", failed)
        response.on("close", () => {
          if (!response.complete) return failed(new Error("the connection ended within the response"))
          end({
            _tag: "Response",
            status: response.statusCode ?? 0,
            text: Buffer.concat(chunks).toString("utf8"),
            header: (name) => {
              const value = response.headers[name.toLowerCase()]
              return Array.isArray(value) ? value.join(", ") : value
            }
          })
        })
      })
      asked.end(request.body)
    } catch (error) {
      // Headers, or a URL, that cannot be.
      failed(error)
    }
    return () => {
      over = true
      clearTimeout(timer)
      asked?.destroy()
    }
  }

  return {
    send,
    close: () => {
      http.destroy()
      https.destroy()
    }
  }
}
