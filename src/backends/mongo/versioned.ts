/** Compare-and-set over MongoDB. */
import * as Effect from "#effect/Effect"
import * as Option from "#effect/Option"
import * as Stream from "#effect/Stream"
import { StorageError } from "../../LockError.js"
import type { LockRecord } from "../../LockRecord.js"
import * as VersionedStore from "../../VersionedStore.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"
import * as pipelines from "./pipelines.js"
import * as record from "./record.js"
import { readConcern, type Run, type Settings, writeConcern } from "./runner.js"
import { batch, guarantees, pages } from "./storage.js"

const { clock: _, ...unclocked } = guarantees

/** The server's clock in its answer to a greeting, in microseconds: what `$$NOW` is, too. DocumentDB tells it as a number of milliseconds. */
export const serverTime = ({ localTime }: Document): number | undefined => {
  const millis = localTime instanceof Date ? localTime.getTime() : localTime
  return typeof millis === "number" && millis > 0 && Number.isSafeInteger(millis * 1000) ? millis * 1000 : undefined
}

/** Compare-and-set of whole documents by their version. Asks nothing of the server but what all of them can. */
export const make = (
  run: Run,
  /** Without repeats: a duplicate key is an answer here. */
  runOnce: Run,
  settings: Settings,
  greeting: Document,
  wakeUps: Stream.Stream<string> | undefined
): VersionedStore.Service => {
  const { collection } = settings
  // The fields are named so that they are copied together: mongo-java-server sends whole documents as they are when it gets to them, half of one update and half of the next.
  const find: Document = {
    find: collection,
    projection: record.projection,
    readConcern: readConcern(settings.replicated)
  }

  /** One command, judged by how many documents it found. */
  const compareAndSet = (operation: string, lockId: string, command: Document) =>
    Effect.flatMap(
      run(operation, { ...command, writeConcern }),
      (reply): Effect.Effect<void, VersionedStore.VersionMiss> =>
        Number(reply.n) === 1 ? Effect.void : new VersionedStore.VersionMiss({ lockId })
    )

  /** Of any format, if it has the fields of this one. */
  const readable = (operation: string, document: Document): Effect.Effect<LockRecord, StorageError> => {
    const found = record.read(operation, document)
    return found instanceof StorageError ? (record.unreadable(operation, document) ?? found) : Effect.succeed(found)
  }

  return VersionedStore.VersionedStore.of({
    create: (lockId, version, value) =>
      runOnce("create", {
        insert: collection,
        documents: [record.toDocument(lockId, { ...value, version })],
        writeConcern
      }).pipe(
        Effect.asVoid,
        Effect.mapError((error) =>
          errors.codeOf(error.cause) === 11000 ? new VersionedStore.VersionMiss({ lockId }) : error
        )
      ),
    update: (lockId, version, value) =>
      compareAndSet("update", lockId, {
        update: collection,
        updates: [{ q: { _id: lockId, version }, u: record.toDocument(lockId, value), multi: false, upsert: false }]
      }),
    delete: (lockId, version) =>
      compareAndSet("delete", lockId, { delete: collection, deletes: [{ q: { _id: lockId, version }, limit: 1 }] }),
    get: (lockId) =>
      Effect.flatMap(run("get", { ...find, filter: { _id: lockId }, limit: 1, singleBatch: true }), (reply) => {
        const document = batch(reply)[0]
        return document === undefined ? Effect.succeedNone : Effect.map(readable("get", document), Option.some)
      }),
    list: Stream.mapEffect(
      pages(run, find, (after) => pipelines.listQuery(after, true)),
      (document) => readable("list", document)
    ),
    time: Effect.flatMap(run("time", greeting), (hello) => {
      const now = serverTime(hello)
      return now === undefined ? errors.schema("time", "the server does not tell its clock") : Effect.succeed(now)
    }),
    wakeUps,
    guarantees: { ...unclocked, name: "MongoStorage.versioned" }
  })
}
