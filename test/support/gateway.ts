/** Whoever stands in front of a server of HTTP. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"

/** A server in front of the server, which may answer by itself. */
export const gateway = (
  server: { readonly url: string },
  itself: (request: Http.IncomingMessage) => { readonly status: number; readonly text: string } | undefined,
  tls?: Https.ServerOptions
): Effect.Effect<{ readonly url: string }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly server: Http.Server | Https.Server }>((resume) => {
      const answer: Http.RequestListener = (request, response) => {
        const own = itself(request)
        if (own !== undefined) {
          request.resume()
          request.on("end", () => response.writeHead(own.status).end(own.text))
          return
        }
        const behind = Http.request(
          `${server.url}${request.url!.replace(/^\/search/, "")}`,
          { method: request.method!, headers: request.headers },
          (answer) => {
            response.writeHead(answer.statusCode!, answer.headers)
            answer.pipe(response)
          }
        )
        behind.on("error", () => response.destroy())
        request.pipe(behind)
      }
      const front = tls === undefined ? Http.createServer(answer) : Https.createServer(tls, answer)
      front.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${(front.address() as Net.AddressInfo).port}`,
            server: front
          })
        )
      )
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
