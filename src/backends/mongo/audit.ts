/** The audit as a collection. Its documents have names and values as the tables of SQL have. */
import * as Effect from "#effect/Effect"
import type { Place, Row } from "../../AuditStore.js"
import { faulty, valid } from "../../common/input.js"
import type { StorageError } from "../../LockError.js"
import * as shared from "../shared/audit.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"
import { collectionFault, collectionRule } from "./options.js"
import { readConcern, type Run, type Settings, writeConcern } from "./runner.js"
import { batch } from "./storage.js"
import { serverTime } from "./versioned.js"

const dropLimit = 1_000

/** The order in which entries are read and dropped. */
export const indexes: ReadonlyArray<Document> = [{ key: { written_at: 1, _id: 1 }, name: "written" }]

const documentOf = (row: Row, written_at: number): Document => {
  const values = shared.valuesOf(row)
  return {
    ...Object.fromEntries(shared.columns.map((name, i) => [name === "entry_id" ? "_id" : name, values[i]])),
    written_at
  }
}

/** `run`: once, for a duplicate is an answer here. */
export const make =
  (run: Run, { collection: locks, replicated }: Settings, greeting: Document): Place =>
  (options) =>
    Effect.gen(function* () {
      const name = options.name ?? shared.besides(locks)
      const collection = yield* valid(
        shared.uncounted(options, "MongoStorage") ?? faulty("name", collectionFault(name), collectionRule) ?? name
      )
      const create = run("audit.setup", { createIndexes: collection, indexes, writeConcern })
      if (options.setup) yield* create

      const time = (operation: string) =>
        Effect.flatMap(run(operation, greeting), (hello) => {
          const micros = serverTime(hello)
          return micros === undefined
            ? errors.schema(operation, "the server does not tell its clock")
            : Effect.succeed(Math.floor(micros / 1_000))
        })
      const find = (operation: string, filter: Document, more: Document) =>
        Effect.map(
          run(operation, {
            find: collection,
            filter,
            singleBatch: true,
            readConcern: readConcern(replicated),
            ...more
          }),
          batch
        )
      const insert = (rows: ReadonlyArray<Row>, now: number) =>
        Effect.asVoid(
          run("audit.append", {
            insert: collection,
            documents: rows.map((row) => documentOf(row, now)),
            ordered: true,
            writeConcern
          })
        )
      /** Some are there already, of a batch whose reply was lost: only the others are written. */
      const append = (rows: ReadonlyArray<Row>, now: number, tries: number): Effect.Effect<void, StorageError> =>
        rows.length === 0
          ? Effect.void
          : Effect.catchIf(
              insert(rows, now),
              (error) => error.reason === "Conflict" && tries > 1,
              () =>
                Effect.flatMap(
                  find(
                    "audit.append",
                    { _id: { $in: rows.map(({ id }) => id) } },
                    { projection: { _id: 1 }, limit: rows.length, batchSize: rows.length }
                  ),
                  (found) => {
                    const known = new Set(found.map(({ _id }) => _id))
                    return append(
                      rows.filter(({ id }) => !known.has(id)),
                      now,
                      tries - 1
                    )
                  }
                )
            )
      return {
        append: (rows) =>
          rows.length === 0 ? Effect.void : Effect.flatMap(time("audit.append"), (now) => append(rows, now, 5)),
        page: (query) =>
          Effect.suspend(() => {
            const [at, id] = shared.startOf(query)
            const { limit, lockId, namespace } = query
            return find(
              "audit.page",
              {
                written_at: { $gte: at },
                $or: [{ written_at: { $gt: at } }, { _id: { $gt: id } }],
                namespace,
                ...(lockId === undefined ? {} : { lock_id: lockId })
              },
              { sort: { written_at: 1, _id: 1 }, limit, batchSize: limit }
            )
          }).pipe(
            Effect.map((found) => found.map((document) => ({ ...document, entry_id: document._id }))),
            Effect.flatMap((found) => shared.read("MongoStorage.audit.page", found, query.limit))
          ),
        drop: (olderThan) =>
          Effect.flatMap(time("audit.drop"), (now) =>
            shared.dropAll(
              Effect.flatMap(
                find(
                  "audit.drop",
                  { written_at: { $lt: now - Math.floor(olderThan) } },
                  { projection: { _id: 1 }, sort: { written_at: 1, _id: 1 }, limit: dropLimit, batchSize: dropLimit }
                ),
                (old) =>
                  old.length === 0
                    ? Effect.succeed(0)
                    : Effect.as(
                        run("audit.drop", {
                          delete: collection,
                          deletes: [{ q: { _id: { $in: old.map(({ _id }) => _id) } }, limit: 0 }],
                          writeConcern
                        }),
                        old.length
                      )
              ),
              dropLimit
            )
          )
      }
    })
