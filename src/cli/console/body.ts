/** What is sent along: small, and JSON. */
import type { IncomingMessage } from "node:http"
import { Refusal } from "./answer.js"
import type * as model from "./model.js"

/** In bytes. */
const most = 4_096

const refused = (message: string) => new Refusal(400, "INVALID_REQUEST", message)

const read = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    // Not read to its end: the connection is closed.
    if (length > most) throw new Refusal(413, "TOO_LARGE", `more than ${most} bytes`, { Connection: "close" })
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const body = async (request: IncomingMessage): Promise<model.Wish> => {
  // A form of another site cannot send this without asking first.
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? ""))
    throw refused("the body must be application/json")
  const text = await read(request)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refused("the body is no JSON")
  }
  if (!isObject(value)) throw refused("the body must be an object")
  const { token, when, ...more } = value
  if (!Number.isSafeInteger(token) || (token as number) < 1)
    throw refused("`token` must be the fencing token of the hold that is meant")
  if (when !== "leaseEnd" && when !== "now") throw refused('`when` must be "leaseEnd" or "now"')
  const [unknown] = Object.keys(more)
  if (unknown !== undefined) throw refused("there is nothing but `token` and `when`")
  return { token: token as number, when }
}
