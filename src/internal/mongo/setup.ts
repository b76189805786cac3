import * as Effect from "effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"
import * as pipelines from "./pipelines.js"
import { type Run, writeConcern } from "./runner.js"
import { batch } from "./storage.js"
import { serverTime } from "./versioned.js"

export interface Deployment {
  readonly mode: "pipeline" | "versioned"
  readonly replicated: boolean
  /** What asks the server for its clock. */
  readonly greeting: Document
}

/** Some services know the command by its old name alone. */
const greet = (run: Run) => {
  const ask = (greeting: Document) => Effect.map(run("setup", greeting), (hello) => ({ greeting, hello }))
  return Effect.catchIf(ask({ hello: 1 }), (error) => errors.isRefusal(error) && error.reason !== "Permission", () => ask({ isMaster: 1 }))
}

/** What we may not look at, or the server does not know, is not found wrong. */
const orUnchecked = (what: string, look: Effect.Effect<Document, StorageError>) =>
  Effect.catchIf(look, errors.isRefusal, (error) => Effect.as(Effect.logWarning(`MongoStorage: ${what}. ${error.message}`), undefined))

const checkCollection = (run: Run, name: string) =>
  Effect.gen(function*() {
    const reply = yield* orUnchecked(
      `cannot check whether the collection "${name}" compares ids byte for byte`,
      run("setup", { listCollections: 1, filter: { name }, nameOnly: false })
    )
    const found = reply === undefined ? undefined : batch(reply)[0]
    if (found === undefined) return
    const options = (found.options ?? {}) as Document
    const locale = (options.collation as Document | undefined)?.locale
    const fault = found.type !== undefined && found.type !== "collection" ? `a ${String(found.type)}`
      : options.capped === true ? "a capped collection"
      : locale !== undefined && locale !== "simple" ? `a collection with the collation ${JSON.stringify(locale)}, to which different ids may be the same`
      : undefined
    if (fault !== undefined) return yield* errors.schema("setup", `"${name}" is ${fault}: name another by \`collection\``)
  })

/** Routers send what has no shard key to all shards, and each could have an `_id` of its own. */
const checkShardKey = (runInConfig: Run, namespace: string) =>
  Effect.gen(function*() {
    const reply = yield* orUnchecked(
      `cannot check whether ${namespace} is sharded by anything but its _id, which would be unsafe`,
      runInConfig("setup", { find: "collections", filter: { _id: namespace }, limit: 1, singleBatch: true })
    )
    const key = reply === undefined ? undefined : batch(reply)[0]?.key as Document | undefined
    if (key !== undefined && Object.keys(key).join() !== "_id") {
      return yield* errors.schema("setup", `${namespace} is sharded by ${JSON.stringify(key)}: shard it by _id, or not at all`)
    }
  })

const isRight = (value: Document | undefined): boolean => {
  const made = value?.made as Document | undefined
  return value !== undefined && value.collection === "effect-storage-lock" && value.now instanceof Date && value.later === true &&
    Array.isArray(value.list) && value.list.join() === "$a,$$b" && made !== undefined &&
    Object.entries(pipelines.trial.made).every(([name, expected]) => Number(made[name]) === expected)
}

/** Whether update pipelines do here what they do in MongoDB. */
const knowsPipelines = (run: Run, collection: string): Effect.Effect<boolean, StorageError> =>
  run("setup", {
    findAndModify: collection,
    query: { _id: pipelines.trial._id },
    update: pipelines.trial.pipeline,
    new: true,
    upsert: true,
    fields: pipelines.trial.projection,
    writeConcern
  }).pipe(
    Effect.map((reply) => isRight((reply.value ?? undefined) as Document | undefined)),
    Effect.catchIf((error) => errors.isRefusal(error) && error.reason !== "Permission", () => Effect.succeed(false))
  )

/** Finds out what the deployment is and can, refuses what would be unsafe, and tells what an operator should know. */
export const prepare = (
  run: Run,
  runInConfig: Run,
  options: { readonly database: string; readonly collection: string; readonly mode: "auto" | "pipeline" | "versioned" }
): Effect.Effect<Deployment, StorageError> =>
  Effect.gen(function*() {
    const { collection, database, mode } = options
    const { greeting, hello } = yield* greet(run)
    const routed = hello.msg === "isdbgrid"
    if (serverTime(hello) === undefined) return yield* errors.schema("setup", "the server does not tell its clock: it cannot keep leases")
    yield* checkCollection(run, collection)
    if (routed) yield* checkShardKey(runInConfig, `${database}.${collection}`)
    const deployment = (mode: Deployment["mode"]): Deployment => ({
      mode,
      replicated: routed || typeof hello.setName === "string",
      greeting
    })
    if (mode === "versioned") return deployment(mode)
    if (yield* knowsPipelines(run, collection)) return deployment("pipeline")
    const message = "this server does not run update pipelines as MongoDB 4.4 does"
    if (mode === "pipeline") return yield* errors.schema("setup", `${message}: set \`mode: "auto"\``)
    yield* Effect.logWarning(`MongoStorage: ${message}: locks go by compare-and-set, in several round trips each`)
    return deployment("versioned")
  })
