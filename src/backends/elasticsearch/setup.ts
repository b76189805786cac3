/** Finds the index behind the alias, or makes it; refuses what would be unsafe; and finds out by which clock its leases end. */
import * as Effect from "#effect/Effect"
import { sentence } from "../../common/checkup.js"
import * as LockRecord from "../../LockRecord.js"
import type { StorageError } from "../../LockError.js"
import { definition, indexName } from "./ddl.js"
import * as errors from "./errors.js"
import type { ResolvedCommon } from "./options.js"
import type { Clock } from "./record.js"
import type { Requests } from "./requests.js"
import type { Json } from "../http/json.js"
import { type Answer, isMissing, type Runner } from "./runner.js"
import * as scripts from "./scripts.js"
import { findings, type Settings } from "./startupFindings.js"

/** Which index it is. One that was dropped and recreated is another. */
export interface Identity {
  readonly name: string
  readonly uuid: string
  /** When it was made, in microseconds, by the clock of the master. */
  readonly created: number
}

export interface Prepared extends Identity {
  readonly clock: Clock
}

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null

/** Nothing where nothing has this name. */
const find = (runner: Runner, index: string): Effect.Effect<Json | undefined, StorageError> =>
  Effect.map(
    runner.run(
      "setup",
      { method: "GET", path: `/${index}`, kind: "reads", repeatable: true },
      ({ body, status }) => status === 404 && body.error?.type === "index_not_found_exception"
    ),
    ({ body, status }) => (status === 404 ? undefined : body)
  )

/** All who begin at once make the same. */
export const create = (runner: Runner, operation: string, index: string, body: Json) =>
  runner.run(
    operation,
    {
      method: "PUT",
      path: `/${indexName(index)}`,
      timed: true,
      kind: "writes",
      repeatable: true,
      body
    },
    ({ body, status }) => status === 400 && body.error?.type === "resource_already_exists_exception"
  )

const identify = (index: string, found: Json): Identity | StorageError => {
  const all = Object.entries(found)
  const fault = (what: string) => errors.schema("setup", what)
  if (all.length !== 1)
    return fault(`"${index}" stands for ${all.length} indices: an alias for locks must stand for one`)
  const [name, about] = all[0]!
  if (!isObject(about)) return errors.odd("setup", "reads", "what an index is was not told")
  if (!isObject(about.aliases?.[index]))
    return fault(
      `"${index}" is an index and not an alias: such a one could be made by any write. Name another by \`index\``
    )
  if (about.aliases[index].filter !== undefined)
    return fault(`the alias "${index}" has a filter, which would hide locks from whoever lists them`)
  const { mappings, settings } = about
  const fields: Json = mappings?.properties ?? {}
  if (fields.lockId?.type !== "keyword" || fields.holds?.type !== "keyword" || fields.expires?.type !== "long")
    return fault(`the index "${name}" was not made for locks: see \`ddl\``)
  if (mappings._source?.enabled === false) return fault(`the index "${name}" does not keep what is written (_source)`)
  const of: Json = settings?.index ?? {}
  for (const pipeline of ["default_pipeline", "final_pipeline"]) {
    if ((of[pipeline] ?? "_none") !== "_none")
      return fault(`the index "${name}" has a ${pipeline}, which may change what is written`)
  }
  const created = Number(of.creation_date) * 1000
  return typeof of.uuid === "string" && Number.isSafeInteger(created)
    ? { name, uuid: of.uuid, created }
    : errors.odd("setup", "reads", "which index it is was not told")
}

/** Which index the alias stands for. */
export const look = (runner: Runner, index: string): Effect.Effect<Identity, StorageError> =>
  Effect.flatMap(find(runner, index), (found) => {
    const known =
      found === undefined
        ? errors.schema(
            "setup",
            `there is no alias "${index}": \`setup: true\` makes it, and so does the request of \`ddl\``
          )
        : identify(index, found)
    return "uuid" in known ? Effect.succeed(known) : Effect.fail(known)
  })

const clockOf = (source: unknown): Clock | StorageError => {
  const { clock, format } = isObject(source) ? source : ({} as Json)
  return format > LockRecord.format
    ? errors.schema(
        "setup",
        `the index has format ${format}, newer than ${LockRecord.format}: update effect-storage-lock`
      )
    : clock === "storage" || clock === "observed"
      ? clock
      : errors.schema("setup", 'the document with the _id "clock" is not ours: use an index for locks alone')
}

const orFail = <A extends string>(value: A | StorageError): Effect.Effect<A, StorageError> =>
  typeof value === "string" ? Effect.succeed(value) : Effect.fail(value)

/** The server refused the script, not us. */
const isRefused = ({ body, status }: Answer): boolean => {
  if (status !== 400) return false
  const text = JSON.stringify(body.error ?? "")
  return !text.includes('"circuit_breaking_exception"') && !text.includes('"index_closed_exception"')
}

/**
 * By which clock leases end here, if scripts can tell it: they run, and one that changes nothing is answered with what it left. Else why not, in the server's words.
 */
const byScript = (
  runner: Runner,
  requests: Requests
): Effect.Effect<Clock | { readonly fault: string }, StorageError> =>
  Effect.gen(function* () {
    const first = yield* runner.run("setup", requests.clock(scripts.clock("storage")), isRefused)
    if (first.status === 400) {
      const { caused_by, reason } = first.body.error ?? {}
      return { fault: [reason, caused_by?.reason].filter((each) => typeof each === "string").join(": ") }
    }
    const clock = yield* orFail(clockOf(first.body.get?._source))
    const second = yield* runner.run("setup", requests.lookAtClock(scripts.read))
    return Number.isSafeInteger(second.body.get?._source?.now) && second.body.result === "noop"
      ? clock
      : { fault: "a script that changes nothing is not answered with the clock" }
  })

/** The first to begin decides. */
const observed = (runner: Runner, requests: Requests): Effect.Effect<Clock, StorageError> =>
  Effect.gen(function* () {
    const read = Effect.flatMap(runner.run("setup", requests.readClock, isMissing), ({ body, status }) =>
      status === 404 ? Effect.succeed(undefined) : orFail(clockOf(body._source))
    )
    const known = yield* read
    if (known !== undefined) return known
    const made = yield* runner.run(
      "setup",
      requests.createClock({ clock: "observed" satisfies Clock, format: LockRecord.format }),
      ({ status }) => status === 409
    )
    return made.status === 409 ? ((yield* read) ?? "observed") : "observed"
  })

const clock = (
  runner: Runner,
  requests: Requests,
  { index, mode }: ResolvedCommon
): Effect.Effect<Clock, StorageError> =>
  Effect.gen(function* () {
    const wanted: Clock = mode === "versioned" ? "observed" : "storage"
    const mixed = (has: Clock, why: string) =>
      errors.schema(
        "setup",
        `leases in "${index}" ${has === "storage" ? "are timed by the server, by scripts" : "are observed, without scripts"}, and ${why}. All that use an index must use the same \`mode\`: name another by \`index\`, or delete it when nobody uses it`
      )
    if (wanted === "storage") {
      const found = yield* byScript(runner, requests)
      if (found === "storage") return found
      if (found === "observed")
        return mode === "script" ? yield* mixed(found, '`mode: "script"` asks for scripts') : found
      const why = `scripts cannot time leases here: ${found.fault}`
      if (mode === "script") return yield* errors.schema("setup", `${why}. Set \`mode: "auto"\``)
      const has = yield* observed(runner, requests)
      if (has === "storage") return yield* mixed(has, why)
      yield* Effect.logWarning(
        `ElasticsearchStorage: ${why}. Locks go by compare-and-set, in several round trips each, and leases are observed`
      )
      return has
    }
    const has = yield* observed(runner, requests)
    return has === "observed" ? has : yield* mixed(has, '`mode: "versioned"` asks for none')
  })

const warnings = ({ name }: Identity, found: Json) =>
  Effect.forEach(
    findings(name, (found[name]?.settings?.index ?? {}) as Settings),
    (each) => Effect.logWarning(`ElasticsearchStorage: ${sentence(each)}`),
    { discard: true }
  )

export const prepare = (
  runner: Runner,
  requests: Requests,
  options: ResolvedCommon
): Effect.Effect<Prepared, StorageError> =>
  Effect.gen(function* () {
    const { index, setup } = options
    const before = yield* find(runner, index)
    if (before === undefined && setup) yield* create(runner, "setup", index, definition(index))
    const found = before ?? (setup ? yield* find(runner, index) : undefined)
    if (found === undefined && setup)
      return yield* errors.schema(
        "setup",
        `the index "${indexName(index)}" is there without the alias "${index}": give it the alias, if it is the one for locks`
      )
    const identity = found === undefined ? yield* look(runner, index) : identify(index, found)
    if (!("uuid" in identity)) return yield* identity
    yield* warnings(identity, found ?? {})
    return { ...identity, clock: yield* clock(runner, requests, options) }
  })
