/** What can be asked, and what is answered. The document of the API is made of this table. */
import type { IncomingMessage } from "node:http"
import { InvalidLockId, StorageError } from "../../promise/errors.js"
import { type Answer, json, Refusal } from "./answer.js"
import { body } from "./body.js"
import { type Guard, mayWrite } from "./guard.js"
import { type Looker, said } from "./looker.js"
import * as metrics from "./metrics.js"
import * as model from "./model.js"
import type { Schema } from "./schema.js"

export interface Question {
  readonly request: IncomingMessage
  readonly guard: Guard
  readonly looker: Looker
  /** Of a path that has one. */
  readonly lockId: string
}

export interface Route {
  readonly method: "GET" | "POST"
  /** `{id}` is a lock id, percent-encoded. */
  readonly path: string
  readonly summary: string
  readonly asks?: Schema<unknown>
  readonly needsToken?: true
  /** By status. A text is a type of media; a schema is JSON. */
  readonly answers: Readonly<Record<number, readonly [description: string, of: Schema<unknown> | string]>>
  /** Absent for those that the server answers by itself: a stream, the page, the document. */
  readonly answer?: (question: Question) => Promise<Answer>
}

const problem = (description: string) => [description, model.problem] as const

const storageFailed = problem("The storage does not answer.")

export const routes: ReadonlyArray<Route> = [
  {
    method: "GET",
    path: "/locks",
    summary: "The locks that somebody holds. Never older than the console looks: a thousand at most, by their ids.",
    answers: { 200: ["All that the console knows.", model.state], 503: storageFailed },
    answer: async ({ looker }) => {
      await looker.fresh()
      return json(model.state, looker.state)
    }
  },
  {
    method: "GET",
    path: "/locks/{id}",
    summary: "Who holds a lock, asked of the storage at once.",
    answers: {
      200: ["The lock.", model.lock],
      400: problem("No lock can have this id."),
      404: problem("Nobody holds it."),
      503: storageFailed
    },
    answer: async ({ lockId, looker }) => {
      const lock = await looker.get(lockId)
      if (lock === undefined) throw new Refusal(404, "NOT_HELD", "nobody holds this lock")
      return json(model.lock, lock)
    }
  },
  {
    method: "POST",
    path: "/locks/{id}/release",
    summary: "Takes a lock away from the hold with this fencing token, and from no other.",
    asks: model.wish,
    needsToken: true,
    answers: {
      200: ["It was taken away.", model.released],
      400: problem("The body, or the id of the lock, is not as it has to be."),
      401: problem("The token of the console is missing or wrong."),
      403: problem("The console is read-only, or another site has asked."),
      409: problem("The hold with this token is over already. Nothing was changed."),
      413: problem("The body is too large."),
      503: storageFailed
    },
    answer: async ({ guard, lockId, looker, request }) => {
      mayWrite(request, guard)
      const released = await looker.release(lockId, await body(request))
      if (released === undefined)
        throw new Refusal(409, "HOLD_IS_OVER", "the hold with this token is over already: nothing was changed")
      return json(model.released, released)
    }
  },
  {
    method: "GET",
    path: "/events",
    summary:
      "Server-sent events. First one `state`, with all that the console knows; then a `look` after each look, with what has changed.",
    answers: {
      200: ["`state` as `GET /locks` answers, and `look`.", "text/event-stream"],
      503: problem("Too many watch already.")
    }
  },
  {
    method: "GET",
    path: "/metrics",
    summary: "What the console sees, for Prometheus.",
    answers: { 200: ["The text format of Prometheus.", "text/plain"] },
    answer: async ({ looker }) => {
      // A storage that is away is told as such. Who comes every quarter of a minute need not be waited for in between.
      await looker.fresh(false).catch(() => {})
      return { status: 200, type: metrics.type, body: metrics.metrics(looker) }
    }
  },
  {
    method: "GET",
    path: "/healthz",
    summary: "Whether the storage answers, as of the last look.",
    answers: { 200: ["It does.", model.health], 503: ["It does not.", model.health] },
    answer: async ({ looker }) => {
      const { storage } = looker
      return storage.status === "ok"
        ? json(model.health, { status: "ok", storage })
        : json(model.health, { status: "failing", storage }, 503)
    }
  },
  {
    method: "GET",
    path: "/openapi.json",
    summary: "This document.",
    answers: { 200: ["OpenAPI 3.1.", "application/json"] }
  },
  { method: "GET", path: "/", summary: "The page.", answers: { 200: ["For people.", "text/html"] } }
]

/** What went wrong, as an answer; nothing of a fault of ours is told to whoever asks. */
export const refusalOf = (error: unknown): Refusal =>
  error instanceof Refusal
    ? error
    : error instanceof InvalidLockId
      ? new Refusal(400, "INVALID_LOCK_ID", error.message)
      : error instanceof StorageError
        ? new Refusal(503, "STORAGE", said(error), { "Retry-After": "2" })
        : new Refusal(500, "FAULT", "the console has a fault")

export interface Found {
  readonly route: Route
  readonly lockId: string
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Refusal(400, "INVALID_LOCK_ID", "the id of the lock must be percent-encoded UTF-8")
  }
}

const patterns = routes.map(
  (route) => [route, new RegExp(`^${route.path.replaceAll(".", "\\.").replace("{id}", "([^/]+)")}$`)] as const
)

/** `path`: without its query. */
export const find = (method: string, path: string): Found => {
  const matching = patterns.flatMap(([route, pattern]) => {
    const match = pattern.exec(path)
    return match === null ? [] : [[route, match[1]] as const]
  })
  if (matching.length === 0) throw new Refusal(404, "NOT_FOUND", "there is nothing here: see /openapi.json")
  const found = matching.find(([route]) => route.method === method || (route.method === "GET" && method === "HEAD"))
  if (found === undefined) {
    const allowed = matching.map(([route]) => (route.method === "GET" ? "GET, HEAD" : route.method)).join(", ")
    throw new Refusal(405, "METHOD", `only ${allowed} is answered here`, { Allow: allowed })
  }
  return { route: found[0], lockId: found[1] === undefined ? "" : decoded(found[1]) }
}
