/**
 * A stand-in for Splunk's management port, as far as locks need it: logins, the configuration of collections, and the data of the KV store, as the public documentation has them (REST API Reference: "KV store endpoints", "Access
 * endpoints") and Splunk's own SDK uses them. It proves our side of the conversation, not Splunk's.
 */
import * as Effect from "#effect/Effect"
import type * as Scope from "#effect/Scope"
import { randomBytes } from "node:crypto"
import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"

type Document = Readonly<Record<string, unknown>>
type Collections = Map<string, Map<string, Document>>

interface Answer {
  readonly status: number
  readonly body: unknown
}

export interface Setting {
  readonly users?: Readonly<Record<string, { readonly password: string; readonly writes?: boolean }>> | undefined
  readonly tokens?: ReadonlyArray<string> | undefined
  readonly roles?: ReadonlyArray<string> | undefined
  readonly tls?: Https.ServerOptions | undefined
  /** It has no `batch_find`. */
  readonly plain?: boolean | undefined
}

export interface Double {
  readonly host: string
  readonly port: number
  readonly url: string
  /** Hangs up on everybody, and listens no more. */
  readonly stop: Effect.Effect<void>
  /** Again, at the same port and with the same data. Sessions have ended. */
  readonly start: Effect.Effect<void>
  /** All sessions end. */
  readonly endSessions: Effect.Effect<void>
  readonly logins: () => number
  /** Passwords may change, and tokens end. */
  readonly users: Record<string, { password: string; readonly writes?: boolean }>
  readonly tokens: Set<string>
  /** Reads show what was written so many milliseconds ago, as of a member that is not the captain. */
  lag: number
  /** Of a collection `app/name`, as the captain has it. */
  readonly documents: (collection: string) => ReadonlyArray<Document>
  readonly drop: (collection: string) => void
  /** What is asked for. */
  readonly asked: Array<string>
}

const message = (status: number, text: string, type = "ERROR"): Answer => ({
  status,
  body: { messages: [{ type, text }] }
})

const unauthenticated = message(401, "call not properly authenticated", "WARN")

const compare = (a: unknown, b: unknown): number =>
  typeof a === "number" && typeof b === "number"
    ? a - b
    : typeof a === "string" && typeof b === "string"
      ? Buffer.compare(Buffer.from(a), Buffer.from(b))
      : Number.NaN

const operators: Readonly<Record<string, (order: number) => boolean>> = {
  $gt: (order) => order > 0,
  $gte: (order) => order >= 0,
  $lt: (order) => order < 0,
  $lte: (order) => order <= 0,
  $ne: (order) => order !== 0
}

class Nonsense extends Error {}

/** As the documentation has it: equality, `$gt` and its like, `$and`, `$or`, `$not`. */
const matches = (document: Document, query: Document): boolean =>
  Object.entries(query).every(([field, wanted]) => {
    if (field === "$and" || field === "$or") {
      if (!Array.isArray(wanted)) throw new Nonsense(field)
      return field === "$and"
        ? wanted.every((each) => matches(document, each))
        : wanted.some((each) => matches(document, each))
    }
    if (field === "$not") return !matches(document, wanted as Document)
    if (field.startsWith("$")) throw new Nonsense(field)
    if (typeof wanted !== "object" || wanted === null) return compare(document[field], wanted) === 0
    return Object.entries(wanted).every(([name, value]) => {
      const holds = operators[name]
      if (holds === undefined) throw new Nonsense(name)
      const order = compare(document[field], value)
      return !Number.isNaN(order) && holds(order)
    })
  })

const sorted = (documents: ReadonlyArray<Document>, sort: string): ReadonlyArray<Document> => {
  const keys = sort
    .split(",")
    .filter((each) => each !== "")
    .map((each) => each.split(":"))
  return [...documents].sort((a, b) => {
    for (const [field, order = "1"] of keys) {
      const found = compare(a[field!], b[field!])
      if (found !== 0) return found * Number(order)
    }
    return 0
  })
}

const findIn = (documents: ReadonlyArray<Document>, find: Document): ReadonlyArray<Document> => {
  const query: unknown = typeof find.query === "string" ? JSON.parse(find.query) : (find.query ?? {})
  if (typeof query !== "object" || query === null) throw new Nonsense("query")
  const all = sorted(
    documents.filter((each) => matches(each, query as Document)),
    String(find.sort ?? "")
  )
  const skip = Number(find.skip ?? 0)
  // There is a limit of the server's, too.
  return all.slice(skip, skip + Math.min(Number(find.limit ?? 50_000) || 50_000, 50_000))
}

export const make = (setting: Setting = {}): Effect.Effect<Double, never, Scope.Scope> =>
  Effect.gen(function* () {
    const users = { ...(setting.users ?? { locks: { password: "sesame" } }) } as Double["users"]
    const tokens = new Set(setting.tokens ?? ["eyJ.token"])
    const sessions = new Map<string, string>()
    const configured = new Map<string, Readonly<Record<string, string>>>()
    const captain: Collections = new Map()
    const member: Collections = new Map()
    const log: Array<{ readonly at: number; readonly apply: (to: Collections) => void }> = []
    const asked: Array<string> = []
    const state = { lag: 0, logins: 0 }

    const of = (collections: Collections, name: string): Map<string, Document> => {
      const found = collections.get(name) ?? new Map<string, Document>()
      collections.set(name, found)
      return found
    }
    const write = (apply: (to: Collections) => void) => {
      apply(captain)
      log.push({ at: performance.now(), apply })
    }
    /** Changes come to a member in the order in which the captain made them. */
    const local = (): Collections => {
      while (log.length > 0 && log[0]!.at <= performance.now() - state.lag) log.shift()!.apply(member)
      return member
    }

    const who = (header: string | undefined): { readonly writes: boolean } | undefined => {
      const [scheme, value = ""] = (header ?? "").split(" ")
      if (scheme === "Bearer") return tokens.has(value) ? { writes: true } : undefined
      const name = scheme === "Splunk" ? sessions.get(value) : undefined
      const user = name === undefined ? undefined : users[name]
      return user === undefined ? undefined : { writes: user.writes !== false }
    }

    const login = (form: URLSearchParams): Answer => {
      const name = form.get("username") ?? ""
      if (users[name]?.password !== form.get("password") || users[name] === undefined)
        return {
          status: 401,
          body: { messages: [{ type: "WARN", code: "incorrect_username_or_password", text: "Login failed" }] }
        }
      const sessionKey = randomBytes(24).toString("base64url")
      sessions.set(sessionKey, name)
      state.logins++
      return { status: 200, body: { sessionKey, message: "", code: "" } }
    }

    const config = (method: string, app: string, name: string, form: URLSearchParams): Answer => {
      if (method === "GET")
        return configured.has(`${app}/${name}`)
          ? { status: 200, body: { entry: [{ name, content: configured.get(`${app}/${name}`) }] } }
          : message(404, `Could not find object id=${name}`)
      const made = form.get("name") ?? ""
      const key = `${app}/${made}`
      if (configured.has(key)) return message(409, `An object with name=${made} already exists`)
      configured.set(key, Object.fromEntries(form))
      return { status: 201, body: { entry: [{ name: made }] } }
    }

    const fits = (key: string, document: Document): boolean => {
      const rules = configured.get(key)!
      return (
        rules.enforceTypes !== "true" ||
        Object.entries(document).every(([field, value]) => {
          const type = rules[`field.${field}`]
          return type === undefined || typeof value === type
        })
      )
    }

    const data = (
      method: string,
      collection: string,
      owner: string,
      rest: string,
      query: URLSearchParams,
      body: string
    ): Answer => {
      if (!configured.has(collection)) return message(404, `Could not find object id=${collection.split("/")[1]}`)
      const mine = (each: Document) => each._user === owner
      const shown = () => [...of(local(), collection).values()].filter(mine)
      const keyOf = (id: unknown) => `${owner}:${String(id)}`
      if (method === "GET" && rest === "") return { status: 200, body: findIn(shown(), Object.fromEntries(query)) }
      if (method === "GET") {
        const found = of(local(), collection).get(keyOf(rest))
        return found === undefined ? message(404, "Could not find object.") : { status: 200, body: found }
      }
      if (method === "POST" && rest === "batch_find") {
        if (setting.plain === true) return message(404, "Could not find object.")
        const all = JSON.parse(body) as ReadonlyArray<Document>
        if (!Array.isArray(all) || all.length === 0 || all.length > 1_000) return message(400, "Bad batch")
        return { status: 200, body: all.map((find) => findIn(shown(), find)) }
      }
      if (method === "POST" && rest === "") {
        const document = JSON.parse(body) as Document
        const id = document._key ?? randomBytes(12).toString("hex")
        const key = keyOf(id)
        if (!fits(collection, document)) return message(400, "JSON in the request is invalid. ( field type )")
        if (of(captain, collection).has(key))
          return message(409, "A document with the same key and user already exists.")
        write((to) => of(to, collection).set(key, { ...document, _key: id, _user: owner }))
        return { status: 201, body: { _key: id } }
      }
      if (method === "DELETE" && rest === "") {
        const wanted = JSON.parse(query.get("query") ?? "{}") as Document
        const gone = [...of(captain, collection)].filter(([, each]) => mine(each) && matches(each, wanted))
        write((to) => gone.forEach(([key]) => of(to, collection).delete(key)))
        return { status: 200, body: {} }
      }
      if (method === "DELETE") {
        if (!of(captain, collection).has(keyOf(rest))) return message(404, "Could not find object.")
        write((to) => of(to, collection).delete(keyOf(rest)))
        return { status: 200, body: {} }
      }
      return message(405, "Method Not Allowed")
    }

    const route = (method: string, target: string, authorization: string | undefined, body: string): Answer => {
      const { pathname, searchParams } = new URL(target, "http://any")
      if (pathname === "/services/auth/login" && method === "POST") return login(new URLSearchParams(body))
      const user = who(authorization)
      if (user === undefined) return unauthenticated
      if (pathname === "/services/server/info")
        return { status: 200, body: { entry: [{ content: { server_roles: setting.roles ?? ["search_head"] } }] } }
      const [, services, owner, app, storage, collections, kind, name = "", rest = ""] = pathname
        .split("/")
        .map(decodeURIComponent)
      if (services !== "servicesNS" || storage !== "storage" || collections !== "collections")
        return message(404, "Not Found")
      const reads = method === "GET" || rest === "batch_find"
      if (!user.writes && !reads) return message(403, "You do not have permission to perform this operation.")
      return kind === "config"
        ? config(method, app!, name, new URLSearchParams(body))
        : kind === "data"
          ? data(method, `${app}/${name}`, owner!, rest, searchParams, body)
          : message(404, "Not Found")
    }

    const listener: Http.RequestListener = (request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const method = request.method!
        asked.push(`${method} ${request.url}`)
        let answer: Answer
        try {
          answer = route(method, request.url!, request.headers.authorization, Buffer.concat(chunks).toString("utf8"))
        } catch (error) {
          answer = message(400, error instanceof Nonsense ? `Bad query: ${error.message}` : "Bad request")
        }
        const text = JSON.stringify(answer.body)
        response
          .writeHead(answer.status, {
            "content-type": "application/json; charset=UTF-8",
            "content-length": Buffer.byteLength(text)
          })
          .end(text)
      })
    }

    let server: Http.Server | Https.Server | undefined
    let port = 0
    const start = Effect.callback<void>((resume) => {
      server = setting.tls === undefined ? Http.createServer(listener) : Https.createServer(setting.tls, listener)
      // Nobody is hung up on because nothing was asked for a while.
      server.keepAliveTimeout = 0
      server.listen(port, "127.0.0.1", () => {
        port = (server!.address() as Net.AddressInfo).port
        resume(Effect.void)
      })
    })
    const stop = Effect.callback<void>((resume) => {
      sessions.clear()
      if (server === undefined) return resume(Effect.void)
      server.closeAllConnections()
      server.close(() => resume(Effect.void))
      server = undefined
    })
    yield* Effect.acquireRelease(start, () => stop)
    const double: Double = {
      host: "127.0.0.1",
      port,
      url: `${setting.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
      start,
      stop,
      endSessions: Effect.sync(() => sessions.clear()),
      logins: () => state.logins,
      users,
      tokens,
      get lag() {
        return state.lag
      },
      set lag(millis) {
        state.lag = millis
      },
      documents: (collection) => [...of(captain, collection).values()],
      drop: (collection) => write((to) => to.delete(collection)),
      asked
    }
    return double
  })
