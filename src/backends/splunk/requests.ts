/** The requests that are made of Splunk, and what their answers say. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import { asked } from "../http/asked.js"
import type { Call, Client } from "../http/client.js"
import { encoded, type Response } from "../http/exchange.js"
import { isObject, type Json, parsed } from "../http/json.js"
import { definition } from "./ddl.js"
import { refusals } from "./errors.js"
import type { ResolvedPlace } from "./options.js"

/** Of a collection, in the language of its queries. */
export type Query = Readonly<Record<string, unknown>>

export interface Find {
  readonly query: Query
  readonly sort: string
  readonly limit: number
}

/** The newest version of a lock. */
export const newest = (lock: string): Find => ({ query: { lock }, sort: "seq:-1", limit: 1 })

/** The versions of a lock from this one on, the newest first. */
export const since = (lock: string, seq: number, limit: number): Find => ({
  query: { lock, seq: { $gte: seq } },
  sort: "seq:-1",
  limit
})

export interface Requests {
  readonly find: (operation: string, find: Find, until: number) => Effect.Effect<ReadonlyArray<Json>, StorageError>
  /** What any of them finds. Nothing is said of the order. */
  readonly findEach: (
    operation: string,
    finds: ReadonlyArray<Find>,
    until: number
  ) => Effect.Effect<ReadonlyArray<Json>, StorageError>
  /** Whether there was none of this key. */
  readonly insert: (
    operation: string,
    key: string,
    document: object,
    until: number
  ) => Effect.Effect<boolean, StorageError>
  readonly get: (operation: string, key: string, until: number) => Effect.Effect<Json | undefined, StorageError>
  readonly drop: (operation: string, key: string, until: number) => Effect.Effect<void, StorageError>
  readonly dropAll: (operation: string, query: Query, until: number) => Effect.Effect<void, StorageError>
  /** Whether there is such a collection. */
  readonly exists: (until: number) => Effect.Effect<boolean, StorageError>
  readonly create: (until: number) => Effect.Effect<void, StorageError>
  /** What the server says that it is, such as a member of a cluster of search heads. */
  readonly roles: (until: number) => Effect.Effect<ReadonlyArray<string>, StorageError>
}

interface Ask {
  readonly method: Call["request"]["method"]
  readonly path: string
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly json?: unknown
  readonly form?: Readonly<Record<string, string>> | undefined
  readonly kind: Call["kind"]
}

const queryText = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query)
    .map(([name, value]) => `${name}=${encoded(value)}`)
    .join("&")

const parameters = ({ limit, query, sort }: Find): Readonly<Record<string, string>> => ({
  query: JSON.stringify(query),
  sort,
  limit: String(limit)
})

export const make = (client: Client, { app, collection, owner }: ResolvedPlace): Requests => {
  const base = `/servicesNS/${encoded(owner)}/${encoded(app)}/storage/collections`
  const data = `${base}/data/${encoded(collection)}`
  const config = `${base}/config`

  /** Whatever is answered, if `read` does not take it and its status is that of a failure, is one. All are repeatable: what is inserted is known again by what it bears. */
  const ask = <A>(
    operation: string,
    { form, json, kind, method, path, query }: Ask,
    until: number,
    read: (response: Response) => A | undefined
  ): Effect.Effect<A, StorageError> =>
    Effect.suspend(() => {
      const parts = queryText(query ?? {})
      const body = json !== undefined ? JSON.stringify(json) : form !== undefined ? queryText(form) : undefined
      const type = json === undefined ? "application/x-www-form-urlencoded" : "application/json"
      return asked(
        client,
        refusals,
        {
          operation,
          kind,
          repeatable: true,
          request: {
            method,
            path: `${path}${parts === "" ? "" : `?${parts}`}`,
            body,
            headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": type }) }
          }
        },
        until - performance.now(),
        read
      )
    })

  const isDone = (status: number): boolean => status === 200 || status === 201

  const list = ({ status, text }: Response): ReadonlyArray<Json> | undefined => {
    const body = status === 200 ? parsed(text) : undefined
    return Array.isArray(body) && body.every(isObject) ? body : undefined
  }

  const lists = ({ status, text }: Response): ReadonlyArray<Json> | undefined => {
    const body = status === 200 ? parsed(text) : undefined
    return Array.isArray(body) && body.every((each) => Array.isArray(each) && each.every(isObject))
      ? body.flat()
      : undefined
  }

  return {
    find: (operation, find, until) =>
      ask(operation, { method: "GET", path: data, query: parameters(find), kind: "reads" }, until, list),
    findEach: (operation, finds, until) =>
      ask(operation, { method: "POST", path: `${data}/batch_find`, json: finds, kind: "reads" }, until, lists),
    insert: (operation, key, document, until) =>
      ask(
        operation,
        { method: "POST", path: data, json: { _key: key, ...document }, kind: "writes" },
        until,
        ({ status, text }) => {
          if (status === 409) return false
          const body = isDone(status) ? parsed(text) : undefined
          return isObject(body) && body._key === key ? true : undefined
        }
      ),
    get: (operation, key, until) =>
      Effect.map(
        ask(
          operation,
          { method: "GET", path: `${data}/${encoded(key)}`, kind: "reads" },
          until,
          ({ status, text }): { readonly found: Json | undefined } | undefined => {
            if (status === 404) return { found: undefined }
            const body = status === 200 ? parsed(text) : undefined
            return isObject(body) && body._key === key ? { found: body } : undefined
          }
        ),
        ({ found }) => found
      ),
    drop: (operation, key, until) =>
      ask(operation, { method: "DELETE", path: `${data}/${encoded(key)}`, kind: "writes" }, until, ({ status }) =>
        status === 200 || status === 404 ? true : undefined
      ).pipe(Effect.asVoid),
    dropAll: (operation, query, until) =>
      ask(
        operation,
        { method: "DELETE", path: data, query: { query: JSON.stringify(query) }, kind: "writes" },
        until,
        ({ status }) => (status === 200 ? true : undefined)
      ).pipe(Effect.asVoid),
    exists: (until) =>
      ask(
        "setup",
        { method: "GET", path: `${config}/${encoded(collection)}`, query: { output_mode: "json" }, kind: "reads" },
        until,
        ({ status, text }) => (status === 404 ? false : status === 200 && isObject(parsed(text)) ? true : undefined)
      ),
    create: (until) =>
      ask(
        "setup",
        {
          method: "POST",
          path: config,
          query: { output_mode: "json" },
          form: definition(collection),
          kind: "writes"
        },
        until,
        // Somebody else has made it meanwhile.
        ({ status }) => (isDone(status) || status === 409 ? true : undefined)
      ).pipe(Effect.asVoid),
    roles: (until) =>
      ask(
        "setup",
        { method: "GET", path: "/services/server/info", query: { output_mode: "json" }, kind: "reads" },
        until,
        ({ status, text }) => {
          const body = status === 200 ? parsed(text) : undefined
          const entry: unknown = isObject(body) && Array.isArray(body.entry) ? body.entry[0] : undefined
          const roles: unknown = isObject(entry) && isObject(entry.content) ? entry.content.server_roles : undefined
          return Array.isArray(roles) ? roles.filter((each) => typeof each === "string") : undefined
        }
      )
  }
}
