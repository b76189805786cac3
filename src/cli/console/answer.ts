/** Answers, each with what keeps a browser from making anything else of it. */
import type { ServerResponse } from "node:http"
import type * as model from "./model.js"
import type { Of, Schema } from "./schema.js"

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** The schema is there for its type alone. */
export const json = <S extends Schema<any>>(_: S, body: Of<S>, status = 200): Answer => ({
  status,
  type: "application/json; charset=utf-8",
  body: JSON.stringify(body)
})

/** An answer that says why not. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: model.Problem["code"],
    message: string,
    readonly headers: Readonly<Record<string, string>> = {}
  ) {
    super(message)
  }

  get answer(): Answer {
    const body: model.Problem = { code: this.code, message: this.message }
    return {
      status: this.status,
      type: "application/json; charset=utf-8",
      body: JSON.stringify(body),
      headers: this.headers
    }
  }
}

/** What is no page may do nothing, wherever it is shown. */
const nothing = "default-src 'none'; frame-ancestors 'none'"

export const headers = (response: ServerResponse, policy = nothing): void => {
  const all: Readonly<Record<string, string>> = {
    "Content-Security-Policy": policy,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store"
  }
  for (const [name, value] of Object.entries(all)) response.setHeader(name, value)
}

export const send = (response: ServerResponse, { body, headers = {}, status, type }: Answer, isHead: boolean): void => {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) })
  response.end(isHead ? undefined : body)
}
