/** The requests that are made of Consul, and what their answers say. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import { asked } from "../http/asked.js"
import type { Call, Client } from "../http/client.js"
import { encoded, type Response } from "../http/exchange.js"
import { isObject, type Json, parsed } from "../http/json.js"
import * as errors from "./errors.js"

/** A key as it stands there, or the store's count of changes if it does not. */
export type Found =
  | { readonly _tag: "Entry"; readonly key: string; readonly value: unknown; readonly index: number }
  | { readonly _tag: "Absent"; readonly index: number }

export type Entry = Extract<Found, { readonly _tag: "Entry" }>

/** One operation of a transaction. */
export interface Operation {
  readonly Verb: "cas" | "get" | "check-index" | "delete"
  readonly Key: string
  readonly Value?: string
  readonly Index?: number
}

/** The most operations of one transaction. */
export const mostOperations = 64

export type Transaction =
  | { readonly _tag: "Done"; readonly entries: ReadonlyMap<string, Entry> }
  /** Nothing was done. The positions of the operations that stood in the way. */
  | { readonly _tag: "Refused"; readonly positions: ReadonlySet<number> }

/** No change ever had this number. */
const impossible = Number.MAX_SAFE_INTEGER

/** How much longer than it was asked to the server may wait, in milliseconds: it adds a sixteenth, so that not all come back at once. */
const slack = 5_000

export interface Requests {
  /** Linearizable. */
  readonly get: (operation: string, key: string, until: number) => Effect.Effect<Found, StorageError>
  readonly keys: (
    operation: string,
    prefix: string,
    until: number
  ) => Effect.Effect<ReadonlyArray<string>, StorageError>
  /** `repeatable`: as for a call. */
  readonly transact: (
    operation: string,
    operations: ReadonlyArray<Operation>,
    kind: Call["kind"],
    repeatable: boolean,
    until: number
  ) => Effect.Effect<Transaction, StorageError>
  /** Fails if this key may not be written, and writes nothing. */
  readonly mayWrite: (operation: string, key: string, until: number) => Effect.Effect<void, StorageError>
  /** Answers when the key has changed since `index`, or after `millis`. Not linearizable: it is for hints. */
  readonly wait: (key: string, index: number, millis: number) => Effect.Effect<Found, StorageError>
}

const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0

const entry = (value: unknown): Entry | undefined =>
  isObject(value) && typeof value.Key === "string" && isIndex(value.ModifyIndex)
    ? { _tag: "Entry", key: value.Key, value: value.Value, index: value.ModifyIndex }
    : undefined

export const make = (
  clients: { readonly asks: Client; readonly waits: Client },
  { datacenter, namespace }: { readonly datacenter: string | undefined; readonly namespace: string | undefined }
): Requests => {
  const path = (rest: string, query: ReadonlyArray<string>): string => {
    const all = [
      ...query,
      ...(datacenter === undefined ? [] : [`dc=${datacenter}`]),
      ...(namespace === undefined ? [] : [`ns=${namespace}`])
    ].join("&")
    return `/v1/${rest}${all === "" ? "" : `?${all}`}`
  }

  const pathOf = (key: string, query: ReadonlyArray<string>): string =>
    path(`kv/${key.split("/").map(encoded).join("/")}`, query)

  /** Whatever is answered, if `also` does not take it and its status is that of a failure, is one. */
  const ask = <A>(
    client: Client,
    call: Omit<Call, "request"> & { readonly request: Omit<Call["request"], "headers"> },
    millis: number,
    read: (response: Response) => A | undefined
  ): Effect.Effect<A, StorageError> =>
    asked(
      client,
      errors.refusals,
      {
        ...call,
        request: {
          ...call.request,
          headers: call.request.body === undefined ? {} : { "content-type": "application/json" }
        }
      },
      millis,
      read
    )

  const left = (until: number): number => until - performance.now()

  /** One that is not there is told with the store's index: a gateway that knows no such path tells none. */
  const found =
    (key: string) =>
    ({ header, status, text }: Response): Found | undefined => {
      if (status === 404) {
        const index = Number(header("x-consul-index"))
        return isIndex(index) ? { _tag: "Absent", index } : undefined
      }
      const body = status === 200 ? parsed(text) : undefined
      const one = Array.isArray(body) && body.length === 1 ? entry(body[0]) : undefined
      return one?.key === key ? one : undefined
    }

  return {
    get: (operation, key, until) =>
      ask(
        clients.asks,
        { operation, kind: "reads", repeatable: true, request: { method: "GET", path: pathOf(key, ["consistent"]) } },
        left(until),
        found(key)
      ),
    keys: (operation, prefix, until) =>
      ask(
        clients.asks,
        {
          operation,
          kind: "reads",
          repeatable: true,
          request: { method: "GET", path: pathOf(prefix, ["keys", "consistent"]) }
        },
        left(until),
        ({ header, status, text }) => {
          if (status === 404 && isIndex(Number(header("x-consul-index")))) return []
          const body = status === 200 ? parsed(text) : undefined
          return Array.isArray(body) && body.every((each) => typeof each === "string") ? body : undefined
        }
      ),
    transact: (operation, operations, kind, repeatable, until) =>
      ask(
        clients.asks,
        {
          operation,
          kind,
          repeatable,
          request: {
            method: "PUT",
            path: path("txn", kind === "reads" ? ["consistent"] : []),
            body: JSON.stringify(
              operations.map((each) => ({
                KV: namespace === undefined ? each : { ...each, Namespace: namespace }
              }))
            )
          }
        },
        left(until),
        ({ status, text }): Transaction | undefined => {
          const body = status === 200 || status === 409 ? parsed(text) : undefined
          if (!isObject(body)) return undefined
          if (status === 409) {
            const positions = Array.isArray(body.Errors) ? body.Errors.map((each) => (each as Json)?.OpIndex) : []
            return positions.length > 0 && positions.every((at) => Number.isInteger(at) && at in operations)
              ? { _tag: "Refused", positions: new Set(positions) }
              : undefined
          }
          const results: ReadonlyArray<unknown> = body.Results ?? []
          const entries = Array.isArray(results) ? results.map((each) => entry((each as Json)?.KV)) : [undefined]
          return entries.every((each) => each !== undefined)
            ? { _tag: "Done", entries: new Map(entries.map((each) => [each.key, each])) }
            : undefined
        }
      ),
    mayWrite: (operation, key, until) =>
      ask(
        clients.asks,
        {
          operation,
          kind: "reads",
          repeatable: true,
          request: { method: "PUT", path: pathOf(key, [`cas=${impossible}`]), body: "" }
        },
        left(until),
        ({ status }) => (status === 200 ? true : undefined)
      ).pipe(Effect.asVoid),
    wait: (key, index, millis) =>
      ask(
        clients.waits,
        {
          operation: "wakeUps",
          kind: "reads",
          repeatable: false,
          request: { method: "GET", path: pathOf(key, [`index=${index}`, `wait=${millis}ms`]) }
        },
        millis + millis / 16 + slack,
        found(key)
      )
  }
}
