/** What a MongoDB deployment has to be, and what is made there. */
import * as Effect from "#effect/Effect"
import type { StorageError } from "../../LockError.js"
import * as errors from "./errors.js"
import type { Document } from "./executor.js"
import * as pipelines from "./pipelines.js"
import { readConcern, type Run, writeConcern } from "./runner.js"
import { batch } from "./storage.js"
import { serverTime } from "./versioned.js"

export interface Deployment {
  readonly mode: "pipeline" | "versioned"
  readonly replicated: boolean
  /** What asks the server for its clock. */
  readonly greeting: Document
}

/** Some services know the command by its old name alone. */
export const greet = (run: Run) => {
  const ask = (greeting: Document) => Effect.map(run("setup", greeting), (hello) => ({ greeting, hello }))
  return Effect.catchIf(
    ask({ hello: 1 }),
    (error) => errors.isRefusal(error) && error.reason !== "Permission",
    () => ask({ isMaster: 1 })
  )
}

/** What we may not look at, or the server does not know, is not found wrong. */
const orUnchecked = (what: string, look: Effect.Effect<Document, StorageError>) =>
  Effect.catchIf(look, errors.isRefusal, (error) =>
    Effect.as(Effect.logWarning(`MongoStorage: ${what}. ${error.message}`), undefined)
  )

const checkCollection = (run: Run, name: string) =>
  Effect.gen(function* () {
    const reply = yield* orUnchecked(
      `cannot check whether the collection "${name}" compares ids byte for byte`,
      run("setup", { listCollections: 1, filter: { name }, nameOnly: false })
    )
    const found = reply === undefined ? undefined : batch(reply)[0]
    if (found === undefined) return
    const options = (found.options ?? {}) as Document
    const locale = (options.collation as Document | undefined)?.locale
    const fault =
      found.type !== undefined && found.type !== "collection"
        ? `a ${String(found.type)}`
        : options.capped === true
          ? "a capped collection"
          : locale !== undefined && locale !== "simple"
            ? `a collection with the collation ${JSON.stringify(locale)}, to which different ids may be the same`
            : undefined
    if (fault !== undefined)
      return yield* errors.schema("setup", `"${name}" is ${fault}: name another by \`collection\``)
  })

/** Routers send what has no shard key to all shards, and each could have an `_id` of its own. */
const checkShardKey = (runInConfig: Run, namespace: string) =>
  Effect.gen(function* () {
    const reply = yield* orUnchecked(
      `cannot check whether ${namespace} is sharded by anything but its _id, which would be unsafe`,
      runInConfig("setup", { find: "collections", filter: { _id: namespace }, limit: 1, singleBatch: true })
    )
    const key = reply === undefined ? undefined : (batch(reply)[0]?.key as Document | undefined)
    if (key !== undefined && Object.keys(key).join() !== "_id") {
      return yield* errors.schema(
        "setup",
        `${namespace} is sharded by ${JSON.stringify(key)}: shard it by _id, or not at all`
      )
    }
  })

const isRight = (value: Document | undefined): boolean => {
  const made = value?.made as Document | undefined
  return (
    value !== undefined &&
    value.collection === "effect-storage-lock" &&
    value.now instanceof Date &&
    value.later === true &&
    Array.isArray(value.list) &&
    value.list.join() === "$a,$$b" &&
    made !== undefined &&
    Object.entries(pipelines.trial.made).every(([name, expected]) => Number(made[name]) === expected)
  )
}

/** Why the server does not do something, in its own words; nothing if it does. */
const orRefusal = (
  look: Effect.Effect<string | undefined, StorageError>
): Effect.Effect<string | undefined, StorageError> =>
  Effect.catchIf(
    look,
    // Without majority reads nothing is safe.
    (error) =>
      errors.isRefusal(error) && error.reason !== "Permission" && errors.codeOf(error.cause) !== errors.noMajorityReads,
    (error) => Effect.succeed(error.message)
  )

/**
 * Why it is not MongoDB itself, of which it is known that two upserts of one `_id` make one document, whose second is told so. The engine of DocumentDB, on which FerretDB and
 * services of Azure run, too, lets the later one replace what the earlier one made, and tells both that they made it. No trial shows that.
 */
const isOther = (run: Run, hello: Document): Effect.Effect<string | undefined, StorageError> =>
  hello.topologyVersion !== undefined
    ? Effect.succeed(undefined)
    : // Routers before 5.0, and MongoDB behind something that speaks for it.
      run("setup", { buildInfo: 1 }).pipe(
        Effect.map(({ ferretdb, gitVersion }) => typeof gitVersion === "string" && ferretdb === undefined),
        Effect.catchIf(errors.isRefusal, () => Effect.succeed(false)),
        Effect.map((mongo) =>
          mongo ? undefined : "it does not show itself as MongoDB, and others may let two upserts at once both succeed"
        )
      )

/** Why update pipelines are not here what they are in MongoDB. */
const lacksPipelines = (
  run: Run,
  collection: string,
  replicated: boolean
): Effect.Effect<string | undefined, StorageError> => {
  const { filter, projection } = pipelines.trial
  const modified = run("setup", {
    findAndModify: collection,
    query: { _id: pipelines.trial._id },
    update: pipelines.trial.pipeline,
    new: true,
    upsert: true,
    fields: projection,
    writeConcern
  })
  const found = run("setup", {
    find: collection,
    filter,
    projection,
    limit: 1,
    singleBatch: true,
    readConcern: readConcern(replicated)
  })
  const judge = (value: unknown) =>
    isRight((value ?? undefined) as Document | undefined) ? undefined : "it computes something else"
  return orRefusal(
    Effect.flatMap(modified, (reply) => {
      const fault = judge(reply.value)
      return fault === undefined ? Effect.map(found, (reply) => judge(batch(reply)[0])) : Effect.succeed(fault)
    })
  )
}

/** Finds out what the deployment is and can, refuses what would be unsafe, and tells what an operator should know. */
export const prepare = (
  run: Run,
  runInConfig: Run,
  options: { readonly database: string; readonly collection: string; readonly mode: "auto" | "pipeline" | "versioned" }
): Effect.Effect<Deployment, StorageError> =>
  Effect.gen(function* () {
    const { collection, database, mode } = options
    const { greeting, hello } = yield* greet(run)
    const routed = hello.msg === "isdbgrid"
    if (serverTime(hello) === undefined)
      return yield* errors.schema("setup", "the server does not tell its clock: it cannot keep leases")
    yield* checkCollection(run, collection)
    if (routed) yield* checkShardKey(runInConfig, `${database}.${collection}`)
    const replicated = routed || typeof hello.setName === "string"
    const deployment = (mode: Deployment["mode"]): Deployment => ({ mode, replicated, greeting })
    if (mode === "versioned") return deployment(mode)
    const fault = (yield* isOther(run, hello)) ?? (yield* lacksPipelines(run, collection, replicated))
    if (fault === undefined) return deployment("pipeline")
    const message = `this server cannot be trusted to run update pipelines as MongoDB 4.4 does: ${fault}`
    if (mode === "pipeline") return yield* errors.schema("setup", `${message}. Set \`mode: "auto"\``)
    yield* Effect.logWarning(`MongoStorage: ${message}. Locks go by compare-and-set, in several round trips each`)
    return deployment("versioned")
  })
