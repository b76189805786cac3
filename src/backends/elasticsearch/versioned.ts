/** Compare-and-set over Elasticsearch, by `if_seq_no` and `if_primary_term`. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as pages from "./pages.js"
import * as record from "./record.js"
import { type At, atOf, type Requests } from "./requests.js"
import type { Json } from "../http/json.js"
import { type Answer, isMissing, type Runner } from "./runner.js"
import { guarantees, time } from "./storage.js"

const { clock: _, ...unclocked } = guarantees

/** So many places are remembered. One that is forgotten costs a request. */
const capacity = 10_000

interface Place extends At {
  readonly version: number
}

const isConflict = ({ status }: Answer): boolean => status === 409

/**
 * Compare-and-set of whole documents. The server compares the order of changes (`_seq_no` and `_primary_term`), so what a version stands for is remembered from the last
 * answer about it, or read.
 */
export const make = (runner: Runner, requests: Requests, clock: record.Clock): VersionedStore.Service => {
  const places = new Map<string, Place>()

  const remember = (lockId: string, version: number, answer: Json) => {
    const at = atOf(answer)
    places.delete(lockId)
    if (at === undefined) return
    places.set(lockId, { ...at, version })
    if (places.size > capacity) places.delete(places.keys().next().value!)
  }

  const read = (operation: string, lockId: string): Effect.Effect<LockRecord | undefined, StorageError> =>
    Effect.flatMap(runner.run(operation, requests.get(lockId), isMissing), (answer) => {
      if (isMissing(answer)) {
        places.delete(lockId)
        return Effect.succeed(undefined)
      }
      const { body } = answer
      const found = record.read(operation, clock, lockId, body._source as Json, true)
      if (found instanceof StorageError) return Effect.fail(found)
      remember(lockId, found.version, body)
      return Effect.succeed(found)
    })

  const miss = (lockId: string) => {
    places.delete(lockId)
    return new VersionedStore.VersionMiss({ lockId })
  }

  /** Where the record is, if it is at this version. */
  const placeOf = (operation: string, lockId: string, version: number) => {
    const known = places.get(lockId)
    return known?.version === version
      ? Effect.succeed<Place | undefined>(known)
      : Effect.map(read(operation, lockId), () => {
          const found = places.get(lockId)
          return found?.version === version ? found : undefined
        })
  }

  /** A write that fails may have been applied: what is remembered is worth nothing then. */
  const write = (
    operation: string,
    lockId: string,
    ask: Parameters<Runner["run"]>[1],
    next: number | undefined
  ): Effect.Effect<void, StorageError | VersionedStore.VersionMiss> =>
    runner.run(operation, ask, isConflict).pipe(
      Effect.tapError(() => Effect.sync(() => places.delete(lockId))),
      Effect.flatMap((answer): Effect.Effect<void, VersionedStore.VersionMiss> => {
        if (isConflict(answer)) return miss(lockId)
        if (next === undefined) places.delete(lockId)
        else remember(lockId, next, answer.body)
        return Effect.void
      })
    )

  const change = (
    operation: string,
    lockId: string,
    expected: number,
    ask: (at: At) => Parameters<Runner["run"]>[1],
    next: number | undefined
  ) =>
    Effect.flatMap(
      placeOf(operation, lockId, expected),
      (place): Effect.Effect<void, StorageError | VersionedStore.VersionMiss> =>
        place === undefined ? miss(lockId) : write(operation, lockId, ask(place), next)
    )

  return VersionedStore.VersionedStore.of({
    create: (lockId, version, value) =>
      write(
        "create",
        lockId,
        requests.create(lockId, record.toDocument(clock, lockId, { ...value, version })),
        version
      ),
    update: (lockId, expected, value) =>
      change(
        "update",
        lockId,
        expected,
        (at) => requests.replace(lockId, at, record.toDocument(clock, lockId, value)),
        value.version
      ),
    delete: (lockId, expected) => change("delete", lockId, expected, (at) => requests.drop(lockId, at), undefined),
    get: (lockId) => Effect.map(read("get", lockId), Option.fromNullishOr),
    list: pages.all(runner, requests, "list", { exists: { field: "lockId" } }).pipe(
      Stream.mapEffect((hit) => {
        const found = record.read("list", clock, String(hit._id), hit._source as Json, true)
        return found instanceof StorageError ? Effect.fail(found) : Effect.succeed(found)
      })
    ),
    ...(clock === "storage" ? { time: time(runner, requests, "time") } : {}),
    guarantees: { ...unclocked, name: "ElasticsearchStorage.versioned" }
  })
}
