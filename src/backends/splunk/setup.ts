/** Finds the collection, or makes it, and tells whether it is still the one that it was. */
import * as Effect from "#effect/Effect"
import { randomBytes } from "node:crypto"
import type { StorageError } from "../../LockError.js"
import { statusOf } from "../http/errors.js"
import * as errors from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import * as records from "./records.js"
import type { Requests } from "./requests.js"

/** A collection that was made just now may take a moment, in milliseconds, until it can be used. */
const pause = 100

/** What tells this collection, as it was filled, from all others: the first who comes says so. */
export const identify = (requests: Requests, operation: string, until: number): Effect.Effect<string, StorageError> =>
  Effect.flatMap(requests.get(operation, records.identityKey, until), (found) => {
    if (typeof found?.by === "string") return Effect.succeed(found.by)
    const by = randomBytes(16).toString("base64url")
    const document = { lock: "", seq: 0, id: "", record: "", by, at: Date.now() }
    return Effect.flatMap(requests.insert(operation, records.identityKey, document, until), (inserted) =>
      inserted
        ? Effect.succeed(by)
        : Effect.flatMap(requests.get(operation, records.identityKey, until), (other) =>
            typeof other?.by === "string"
              ? Effect.succeed(other.by)
              : Effect.fail(
                  errors.schema(
                    operation,
                    `the document "${records.identityKey}" is none of ours: use a collection for locks alone`
                  )
                )
          )
    )
  })

const untilUsable = (requests: Requests, until: number): Effect.Effect<void, StorageError> =>
  requests.find("setup", { query: { lock: "" }, sort: "seq:-1", limit: 1 }, until).pipe(
    Effect.asVoid,
    Effect.catchIf(
      (error) => statusOf(error) === 404 && performance.now() + pause < until,
      () => Effect.delay(untilUsable(requests, until), pause)
    )
  )

/** Nothing of this is a failure: who may not ask asks no more. */
const warned = (requests: Requests, until: number): Effect.Effect<void> =>
  Effect.ignore(
    Effect.flatMap(requests.roles(until), (roles) =>
      roles.some((role) => role === "shc_member" || role === "shc_captain")
        ? Effect.logWarning(
            "SplunkStorage: this is a member of a search head cluster. Writes go to the captain of its KV store, and it is not documented what a failover of that loses: see docs/storages/splunk.md. Let all processes ask one member"
          )
        : Effect.void
    )
  )

/** Gives the identity of the collection. */
export const prepare = (
  requests: Requests,
  { operationTimeout, setup }: ResolvedCommon
): Effect.Effect<string, StorageError> =>
  Effect.gen(function* () {
    const until = performance.now() + operationTimeout
    if (setup && !(yield* requests.exists(until))) {
      yield* requests.create(until)
      yield* untilUsable(requests, until)
    }
    const identity = yield* identify(requests, "setup", until)
    yield* warned(requests, until)
    return identity
  })
