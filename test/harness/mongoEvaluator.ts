/**
 * An evaluator of MongoDB commands in JavaScript, over one collection in memory, with a clock that the test moves: the queries, update pipelines and projections are those that the
 * storage sends, evaluated by `mingo`. It is no MongoDB: it shows that the pipelines mean what they must, not that a server evaluates them so.
 */
import * as Effect from "#effect/Effect"
import { Aggregator } from "mingo/aggregator"
import { Context } from "mingo/core"
import { Query } from "mingo/query"
import * as accumulatorOperators from "mingo/operators/accumulator"
import * as expressionOperators from "mingo/operators/expression"
import * as pipelineOperators from "mingo/operators/pipeline"
import * as projectionOperators from "mingo/operators/projection"
import * as queryOperators from "mingo/operators/query"
import { BSON } from "mongodb"
import * as errors from "../../src/backends/mongo/errors.js"
import type { Document, Executor } from "../../src/backends/mongo/executor.js"

/** All the operators that `mingo` has. */
export const options = {
  context: Context.init({
    accumulator: accumulatorOperators,
    expression: expressionOperators,
    pipeline: pipelineOperators,
    projection: projectionOperators,
    query: queryOperators
  })
}

export interface Evaluator extends Executor {
  /** By `_id`, of any type. */
  readonly documents: Map<unknown, Document>
  /** Milliseconds since the epoch. */
  clock: number
  /** Documents that were written so far: an update that leaves a document as it was writes none. */
  writes: number
  /** Commands so far. */
  commands: number
  /** The next write is done, and its answer lost. */
  loseReply: boolean
  /** While it is set, nothing is answered. */
  hanging: boolean
  /** What is said before the next command is done; then it is not done. */
  refuseWith: ReadonlyArray<Document>
  /** Beside what a collection in memory is by itself. */
  hello: Document
  buildInfo: Document
  collectionInfo: ReadonlyArray<Document>
}

type Batch = ReadonlyArray<Record<string, any>>

/** As it would come over the wire, with the driver's own idea of numbers. */
const transmitted = <A>(value: A): any =>
  BSON.deserialize(BSON.serialize({ value: value as never }), { promoteLongs: true }).value

const bytesOf = (document: Document): string => Buffer.from(BSON.serialize(document as never)).toString("base64")

export const make = (): Evaluator => {
  const documents = new Map<unknown, Document>()

  /** `$$NOW` is `Date` at the begin of an evaluation. Evaluations are synchronous, so nobody else sees the other clock. */
  const atServer = <A>(evaluate: () => A): A => {
    const now = Date.now
    Date.now = () => self.clock
    try {
      return evaluate()
    } finally {
      Date.now = now
    }
  }
  const matching = (query: Document): Array<Document> => {
    const condition = new Query(query, options)
    // As by the index that every collection has: not each document is asked whether it is the one.
    const only = typeof query._id === "string" ? documents.get(query._id) : undefined
    const candidates = typeof query._id !== "string" ? [...documents.values()] : only === undefined ? [] : [only]
    return candidates.filter((document) => condition.test(document as never))
  }
  const through = (pipeline: Batch, document: Document): Document =>
    new Aggregator(pipeline as never, options).run([document as never])[0]!
  const projected = (projection: unknown, found: Document): Document =>
    projection === undefined || projection === null ? found : through([{ $project: projection }], found)
  const put = (before: Document | undefined, after: Document) => {
    if (before !== undefined && bytesOf(before) === bytesOf(after)) return 0
    self.writes++
    documents.set(after._id, after)
    return 1
  }
  const updated = (update: unknown, document: Document): Document =>
    Array.isArray(update) ? through(update, document) : { ...(update as Document), _id: document._id }

  const commands: Record<string, (command: Record<string, any>) => Document> = {
    hello: () => ({
      localTime: new Date(self.clock),
      isWritablePrimary: true,
      topologyVersion: { counter: 0 },
      ...self.hello
    }),
    buildInfo: () => self.buildInfo,
    listCollections: () => ({ cursor: { firstBatch: self.collectionInfo } }),
    findAndModify: ({ fields, new: after, query, update, upsert }) => {
      const [found] = matching(query)
      if (found === undefined && !upsert) return { value: null }
      const before = found ?? { _id: query._id }
      const next = updated(update, before)
      put(found, next)
      return { value: projected(fields, after ? next : before) }
    },
    update: ({ updates }) => {
      let n = 0
      let nModified = 0
      for (const { multi, q, u } of updates as Batch) {
        for (const document of multi ? matching(q) : matching(q).slice(0, 1)) {
          n++
          nModified += put(document, updated(u, document))
        }
      }
      return { n, nModified }
    },
    delete: ({ deletes }) => {
      let n = 0
      for (const { limit, q } of deletes as Batch) {
        for (const { _id } of matching(q).slice(0, limit === 0 ? undefined : limit)) if (documents.delete(_id)) n++
      }
      self.writes += n
      return { n }
    },
    insert: ({ documents: [document] }) => {
      if (documents.has(document._id)) return { n: 0, writeErrors: [{ index: 0, code: 11000, errmsg: "E11000" }] }
      put(undefined, document)
      return { n: 1 }
    },
    find: ({ filter, limit, projection, sort }) => {
      const found = matching(filter)
      // Simple collation: by bytes.
      if (sort !== undefined)
        found.sort((a, b) => Buffer.compare(Buffer.from(String(a._id)), Buffer.from(String(b._id))))
      return {
        cursor: {
          firstBatch: found.slice(0, limit === undefined ? undefined : limit).map((each) => projected(projection, each))
        }
      }
    }
  }

  const server = (error: Document) => ({ name: "MongoServerError", message: error.errmsg, ...error })

  const self: Evaluator = {
    documents,
    clock: 1_700_000_000_000,
    writes: 0,
    commands: 0,
    loseReply: false,
    hanging: false,
    refuseWith: [],
    hello: {},
    buildInfo: { gitVersion: "unknown" },
    collectionInfo: [],
    run: (operation, command, millis) =>
      Effect.suspend((): Effect.Effect<Document, ReturnType<typeof errors.fromDriver>> => {
        self.commands++
        if (self.hanging)
          return Effect.delay(
            Effect.suspend(() => errors.noAnswer(operation, millis)),
            millis
          )
        const [refusal, ...rest] = self.refuseWith
        self.refuseWith = rest
        if (refusal !== undefined) return errors.fromDriver(operation, server(refusal))
        const sent = transmitted(command) as Record<string, any>
        const name = Object.keys(sent)[0]!
        const before = self.writes
        const reply = transmitted(atServer(() => commands[name]!(sent))) as Document
        if (self.loseReply && self.writes > before) {
          self.loseReply = false
          return errors.fromDriver(operation, { name: "MongoNetworkError", message: "connection closed" })
        }
        const failed = (reply.writeErrors as Batch | undefined)?.[0]
        return failed === undefined ? Effect.succeed(reply) : errors.fromDriver(operation, server(failed))
      })
  }
  return self
}
