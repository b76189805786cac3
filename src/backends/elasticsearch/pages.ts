/** Searches of all locks, page by page. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import type { StorageError } from "../../LockError.js"
import type { Requests } from "./requests.js"
import type { Json } from "../http/json.js"
import type { Runner } from "./runner.js"

export const pageSize = 500

/** What a search found, each with the order of its last change. */
export const hitsOf = (body: Json): ReadonlyArray<Json> => body.hits.hits as ReadonlyArray<Json>

/** The documents of locks that a query finds, by their ids, as they were when the list began. */
export const all = (
  runner: Runner,
  requests: Requests,
  operation: string,
  query: Json
): Stream.Stream<Json, StorageError> =>
  Stream.unwrap(
    Effect.as(
      runner.run(operation, requests.refresh),
      Stream.paginate(undefined as string | undefined, (after) =>
        Effect.map(runner.run(operation, requests.page(query, pageSize, after)), ({ body }) => {
          const hits = hitsOf(body)
          const last: unknown = hits[hits.length - 1]?.sort?.[0]
          return [
            hits,
            hits.length < pageSize || typeof last !== "string" ? Option.none() : Option.some<string | undefined>(last)
          ] as const
        })
      )
    )
  )
