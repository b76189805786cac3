/** Stands between a client and DynamoDB Local: counts requests by their operation, and does to them what a test tells it to. */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

/** `lost`: it is done, and the connection is reset without an answer. An object is the answer, in place of the server's or, with `edit`, made of it. */
export type Rule =
  | "pass"
  | "lost"
  | "silent"
  | { readonly status: number; readonly type: string; readonly message?: string }
  | { readonly edit: (body: any) => unknown }

export interface AwsProxy {
  readonly url: string
  /** Operations, in the order in which they came, since the last call. */
  readonly asked: () => ReadonlyArray<string>
  rule: (operation: string, body: any, headers: Http.IncomingHttpHeaders) => Rule
}

const read = async (stream: Http.IncomingMessage): Promise<Buffer> => {
  const parts: Array<Buffer> = []
  for await (const part of stream) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

export const make = (target: {
  readonly host: string
  readonly port: number
}): Effect.Effect<AwsProxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const asked: Array<string> = []
    const agent = new Http.Agent({ keepAlive: true })

    const forward = (request: Http.IncomingMessage, body: Buffer) =>
      new Promise<{ readonly answer: Http.IncomingMessage; readonly body: Buffer }>((resolve, reject) => {
        Http.request(
          { ...target, agent, method: request.method, path: request.url, headers: request.headers },
          (answer) => void read(answer).then((body) => resolve({ answer, body }), reject)
        )
          .on("error", reject)
          .end(body)
      })

    const serve = async (request: Http.IncomingMessage, response: Http.ServerResponse) => {
      const body = await read(request)
      const operation = String(request.headers["x-amz-target"]).split(".")[1]!
      asked.push(operation)
      const rule = proxy.rule(operation, JSON.parse(body.toString("utf8")), request.headers)
      if (rule === "silent") return
      if (typeof rule === "object" && "type" in rule) {
        const text = JSON.stringify({
          __type: `com.amazonaws.dynamodb.v20120810#${rule.type}`,
          message: rule.message ?? rule.type
        })
        response.writeHead(rule.status, { "content-type": "application/x-amz-json-1.0" }).end(text)
        return
      }
      const { answer, body: found } = await forward(request, body)
      if (rule === "lost") {
        request.socket.resetAndDestroy()
        return
      }
      if (rule === "pass") {
        response.writeHead(answer.statusCode!, answer.headers).end(found)
        return
      }
      const text = JSON.stringify(rule.edit(JSON.parse(found.toString("utf8"))))
      response.writeHead(answer.statusCode!, { "content-type": "application/x-amz-json-1.0" }).end(text)
    }

    const server = Http.createServer((request, response) => {
      serve(request, response).catch(() => request.socket.destroy())
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
          agent.destroy()
        })
    )
    const proxy: AwsProxy = {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      asked: () => asked.splice(0),
      rule: () => "pass"
    }
    return proxy
  })
