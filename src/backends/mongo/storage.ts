/** The native storage over MongoDB: update pipelines, judged by the server's clock. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { freeFor } from "../../common/freeFor.js"
import { StorageError } from "../../LockError.js"
import * as LockRecord from "../../LockRecord.js"
import * as Storage from "../../Storage.js"
import * as renewals from "../../common/renewals.js"
import * as outcomes from "../shared/outcomes.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"
import * as pipelines from "./pipelines.js"
import * as record from "./record.js"
import { readConcern, type Run, type Settings, writeConcern } from "./runner.js"

const pageSize = 500

export const guarantees = {
  name: "MongoStorage",
  clock: "storage",
  time: "real",
  leaseGranularity: 1_000,
  shortestLease: 10_000,
  longestId: 4 * 255,
  // A document may have 16 MiB.
  largestRecord: 16_000_000
} as const satisfies Storage.Guarantees

const isDocument = (value: unknown): value is Document => typeof value === "object" && value !== null

/** What is no list of documents is none. */
export const batch = (reply: Document): ReadonlyArray<Document> => {
  const found: unknown = isDocument(reply.cursor) ? reply.cursor.firstBatch : undefined
  return Array.isArray(found) ? found.filter(isDocument) : []
}

/** The documents that a query finds, in pages by their `_id`. */
export const pages = (
  run: Run,
  command: Document,
  query: (after: string) => Document
): Stream.Stream<Document, StorageError> =>
  Stream.paginate("", (after) =>
    Effect.map(
      run("list", {
        ...command,
        filter: query(after),
        sort: { _id: 1 },
        limit: pageSize,
        batchSize: pageSize,
        singleBatch: true
      }),
      (reply) => {
        const found = batch(reply)
        return [
          found,
          found.length < pageSize ? Option.none<string>() : Option.some(found[found.length - 1]!._id as string)
        ]
      }
    )
  )

const fail = (error: StorageError | undefined) => (error === undefined ? Effect.void : Effect.fail(error))

/** A readable record, and the clock by which it was judged. */
interface Timed {
  readonly current: LockRecord.LockRecord
  readonly now: number
}

const judgeRenewal = (request: LockRecord.Renew, found: Timed | undefined): LockRecord.RenewOutcome =>
  found === undefined ? { _tag: "NotHeld" } : outcomes.renewed(request, found.current, found.now)

/** The port by update pipelines: each operation is one command on one document, judged by `$$NOW` within it. */
export const make = (run: Run, settings: Settings, wakeUps: Stream.Stream<string> | undefined): Storage.Service => {
  const { collection } = settings
  const find: Document = {
    find: collection,
    projection: pipelines.projection,
    readConcern: readConcern(settings.replicated)
  }
  const findOne = (operation: string, query: Document) =>
    Effect.map(run(operation, { ...find, filter: query, limit: 1, singleBatch: true }), (reply) => batch(reply)[0])

  /** The document after the update, with the clock by which it was made; nothing where there was none. */
  const modify = (
    operation: string,
    query: Document,
    update: ReadonlyArray<Document>,
    upsert = false
  ): Effect.Effect<Document | undefined, StorageError> =>
    Effect.map(
      run(operation, {
        findAndModify: collection,
        query,
        update,
        new: true,
        upsert,
        fields: pipelines.projection,
        writeConcern
      }),
      (reply) => (isDocument(reply.value) ? reply.value : undefined)
    )

  /** Every readable answer bears the clock. One that does not is of a server that keeps to the letter of something else. */
  const timed = (operation: string, document: Document): Timed | StorageError => {
    const current = record.unreadable(operation, document) ?? record.read(operation, document)
    if (current instanceof StorageError) return current
    const now = record.nowOf(document)
    return now === undefined
      ? errors.unexpected(operation, 'the server\'s answer bears no clock: set `mode: "versioned"`')
      : { current, now }
  }

  const orFail = <A>(value: A | StorageError): Effect.Effect<A, StorageError> =>
    value instanceof StorageError ? value : Effect.succeed(value)

  const claim: Storage.Service["claim"] = (request) =>
    Effect.flatMap(modify("claim", { _id: request.lockId }, pipelines.claim(request), true), (document) => {
      if (document === undefined) return errors.unexpected("claim", "the server did not tell the document that it made")
      return Effect.map(orFail(timed("claim", document)), ({ current, now }) =>
        outcomes.claimed(request, current, current.leaseExpireTime - now)
      )
    })

  const renewOne = (request: LockRecord.Renew) =>
    Effect.flatMap(modify("renew", { _id: request.lockId }, pipelines.renew([request])), (document) =>
      Effect.map(document === undefined ? Effect.succeed(undefined) : orFail(timed("renew", document)), (found) =>
        judgeRenewal(request, found)
      )
    )

  /**
   * An update of many documents tells counts alone, so a second command reads what it left. That is as true as if it had told: a hold that is in and whose lease is not
   * over has what is left of it, whoever renewed it; and one that was over when the update came by is not revived by anybody.
   */
  const renewMany = (requests: ReadonlyArray<LockRecord.Renew>) => {
    const ids = [...new Set(requests.map(({ lockId }) => lockId))]
    return run("renew", {
      update: collection,
      updates: [
        {
          q: { _id: { $in: ids }, holds: { $in: requests.map(({ holdId }) => holdId) } },
          u: pipelines.renew(requests),
          multi: true
        }
      ],
      ordered: false,
      writeConcern
    }).pipe(
      Effect.andThen(
        run("renew", { ...find, filter: { _id: { $in: ids } }, batchSize: ids.length, singleBatch: true })
      ),
      Effect.flatMap((reply) =>
        Effect.gen(function* () {
          const found = new Map<unknown, Timed | StorageError>()
          for (const document of batch(reply)) found.set(document._id, timed("renew", document))
          return yield* renewals.settle(
            requests.map((request) => {
              const one = found.get(request.lockId)
              return one instanceof StorageError ? one : judgeRenewal(request, one)
            })
          )
        })
      ),
      // A document that the server cannot compute with ends the update for all: then each is renewed for itself.
      Effect.catchIf(
        (error) => error.reason === "Unknown",
        () =>
          Effect.flatMap(
            Effect.forEach(
              requests,
              (request) =>
                Effect.match(renewOne(request), { onFailure: (error) => error, onSuccess: (outcome) => outcome }),
              { concurrency: 4 }
            ),
            renewals.settle
          )
      )
    )
  }

  /** Whether something was there for the update, and what it left. */
  const takenOut = (operation: string, query: Document, update: ReadonlyArray<Document>) =>
    Effect.tap(modify(operation, query, update), (document) =>
      document === undefined ? Effect.void : fail(record.unreadable(operation, document))
    )

  const purge = (micros: number, after: string, total: number): Effect.Effect<number, StorageError> =>
    Effect.gen(function* () {
      const reply = yield* run("purge", {
        ...find,
        projection: { _id: 1, version: 1 },
        filter: { _id: { $gt: after }, ...pipelines.oldQuery(micros) },
        sort: { _id: 1 },
        limit: pageSize,
        batchSize: pageSize,
        singleBatch: true
      })
      const found = batch(reply)
      if (found.length === 0) return total
      // Each as it was found: whoever takes or renews one makes another version of it.
      const dropped = yield* run("purge", {
        delete: collection,
        deletes: found.map(({ _id, version }) => ({ q: { _id, version }, limit: 1 })),
        ordered: false,
        writeConcern
      })
      const sum = total + Number(dropped.n)
      return found.length < pageSize ? sum : yield* purge(micros, found[found.length - 1]!._id as string, sum)
    })

  return Storage.Storage.of({
    claim,
    renew: (requests) =>
      requests.length === 0
        ? Effect.succeed([])
        : requests.length === 1
          ? Effect.map(renewOne(requests[0]!), (outcome) => [outcome])
          : renewMany(requests),
    release: (request) =>
      Effect.map(
        takenOut("release", pipelines.releaseQuery(request), pipelines.release(request)),
        (document): LockRecord.ReleaseOutcome =>
          document === undefined
            ? { _tag: "NotHeld" }
            : { _tag: "Released", remaining: Array.isArray(document.holds) ? document.holds.length : 0 }
      ),
    revoke: (request) =>
      Effect.map(
        takenOut("revoke", pipelines.revokeQuery(request), pipelines.revoke(request)),
        (document): LockRecord.RevokeOutcome => ({ _tag: document === undefined ? "NotHeld" : "Revoked" })
      ),
    get: (lockId) =>
      Effect.flatMap(findOne("get", { _id: lockId }), (document) =>
        document === undefined
          ? Effect.succeedNone
          : Effect.map(orFail(timed("get", document)), ({ current, now }) => {
              return LockRecord.isLive(current, now)
                ? Option.some({ record: current, validFor: current.leaseExpireTime - now })
                : Option.none()
            })
      ),
    list: Stream.mapEffect(
      pages(run, find, (after) => pipelines.listQuery(after, false)),
      (document) =>
        Effect.map(orFail(timed("list", document)), ({ current, now }) => ({
          record: current,
          validFor: current.leaseExpireTime - now
        }))
    ),
    purge: (olderThan) =>
      Effect.suspend(() => {
        const micros = freeFor(olderThan)
        return Number.isSafeInteger(micros) ? purge(micros, "", 0) : Effect.succeed(0)
      }),
    wakeUps: wakeUps ?? Stream.empty,
    guarantees
  })
}
